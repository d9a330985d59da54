// Package image pulls container images and stores them unpacked on disk, so that their layers can be the lower directories
// of an overlay mount.
//
// # Layout of a store
//
//	<root>/
//	  blobs/sha256/<hex>             manifests, configs and compressed layers, unchanged, so that Save writes the
//	                                 same digests
//	  layers/sha256-<diffID hex>/    one unpacked layer, shared by all images that have it:
//	    tree/                          the lower directory: whiteouts are 0/0 character devices, and opaque
//	                                   directories have trusted.overlay.opaque=y
//	    layer.json                     what the unpacking counted: bytes and entries
//	  layers-userxattr/              the same for a store with Options.UserXattr (user.overlay.opaque)
//	  images/<manifest hex>.json     everything that a start needs to know about an image, in one small file; a run
//	                                 holds the image by a shared flock on this file
//	  refs/<hash>.json               (reference, platform) -> manifest digest
//	  holds/<random>.json            what a pull adds to the store; valid while it is flocked
//	  locks/                         files for flock: gc, and one for each layer that is being fetched
//	  tmp/<random>/                  work in progress, flocked by the process that does the work
//
// # Consistency
//
// A file or layer appears by rename(2) out of tmp, and its name depends on its content. So nobody sees a partial one, and
// two processes that make the same one make the same bytes. All locks are flock(2), which the kernel releases even after a
// kill -9. The directory that a killed process leaves in tmp has no lock, so the next pull, load or prune removes it.
//
// Prune decides and renames under the exclusive gc lock. A run holds an image by a shared flock on its record. Prune removes
// only images whose record it can lock exclusively, and keeps these locks until the images are renamed away. A pull takes the
// gc lock shared, only while it writes down what it adds. Prune reads that before it reads the references, and a pull deletes
// it after it has written its reference, so Prune always sees one of the two.
//
// Formats: https://github.com/opencontainers/image-spec (v1.1) and
// https://github.com/opencontainers/distribution-spec (v1.1).
package image
