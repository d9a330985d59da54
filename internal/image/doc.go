// Package image pulls container images and keeps them unpacked on disk, ready to be the lower directories of an
// overlay mount.
//
// # Layout of a store
//
//	<root>/
//	  blobs/sha256/<hex>             manifests, configs and compressed layers, byte for byte as they came, so that
//	                                 Save gives the same digests back
//	  layers/sha256-<diffID hex>/    one unpacked layer, shared by every image that has it:
//	    tree/                          the lower directory: whiteouts are 0/0 character devices, opaque
//	                                   directories carry trusted.overlay.opaque=y
//	    layer.json                     what unpacking it counted: bytes and entries
//	  layers-userxattr/              the same for a store opened with Options.UserXattr (user.overlay.opaque)
//	  images/<manifest hex>.json     everything a start needs to know of one image, in one small file; a run holds
//	                                 the image by a shared flock on it
//	  refs/<hash>.json               (reference, platform) -> manifest digest
//	  holds/<random>.json            what a live pull brings in; counts while it is flocked
//	  locks/                         flocks: gc, and one per layer being fetched
//	  tmp/<random>/                  work in progress, flocked by the process whose work it is
//
// # Rules that keep it whole
//
// Things appear by rename(2) out of tmp and are named after their content, so nobody sees a half of anything and two
// processes that make the same thing make the same bytes. All exclusion is flock(2): a kill -9 releases it. What a
// killed process leaves in tmp has no lock and is swept by the next pull, load or prune.
//
// Prune decides and renames under the exclusive gc lock. A run holds an image by a shared flock on its record; Prune
// takes only what it can flock exclusively, and keeps those locks until it is out of sight. A pull takes the gc lock
// shared for the instant in which it writes down what it brings in. Prune reads that before the references, and a pull
// drops it after it has written its reference: whichever comes first, one of the two is seen.
//
// Formats: https://github.com/opencontainers/image-spec (v1.1) and
// https://github.com/opencontainers/distribution-spec (v1.1).
package image
