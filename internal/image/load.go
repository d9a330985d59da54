package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// unnamedRepository is the repository of images that have no name in their archive.
const unnamedRepository = "localhost/loaded"

// loadable is an image of an archive, with its names there.
type loadable struct {
	plan  *plan
	names []string
}

// Load adds the images of an archive to the store: an OCI image layout or the output of docker save, in a tar that may be compressed
// with gzip, zstd, xz or bzip2. It returns one image for each name, in the order of the archive. It reads the archive as a stream,
// and doesn't trust it.
func (s *Store) Load(ctx context.Context, r io.Reader) ([]*Image, error) {
	if err := s.prepare(); err != nil {
		return nil, err
	}
	if err := s.sweep(); err != nil {
		return nil, err
	}
	w, err := s.newWork()
	if err != nil {
		return nil, err
	}
	all, err := s.loadArchive(ctx, w, r)
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, fmt.Errorf("load image archive: %w", err)
	}
	return all, nil
}

func (s *Store) loadArchive(ctx context.Context, w *workDir, r io.Reader) ([]*Image, error) {
	a, err := spool(ctx, r, w.path, s.opts.Limits)
	if err != nil {
		return nil, err
	}
	found, err := s.readArchive(a)
	if err == nil {
		err = a.keep(found)
	}
	if err != nil {
		return nil, err
	}
	var all []*Image
	for _, l := range found {
		refs, err := s.loadRefs(l)
		if err != nil {
			return nil, err
		}
		if err := s.install(ctx, w, l.plan, refs, a, &progress{}); err != nil {
			return nil, fmt.Errorf("%s: %w", refs[0].Written, err)
		}
		for _, ref := range refs {
			img, err := s.load(ref)
			if err != nil {
				return nil, err
			}
			all = append(all, img)
		}
	}
	return all, nil
}

// readArchive finds the images. An archive of a current Docker has both formats: then the layout has the digests, and manifest.json
// may have more names.
func (s *Store) readArchive(a *archive) ([]loadable, error) {
	var index manifestOrIndex
	var docker []dockerEntry
	isLayout, err := a.decode("index.json", &index)
	if err != nil {
		return nil, err
	}
	isDocker, err := a.decode("manifest.json", &docker)
	if err != nil {
		return nil, err
	}
	var found []loadable
	switch {
	case isLayout:
		found, err = s.readLayout(a, index.Manifests, docker)
	case isDocker:
		found, err = s.readDocker(a, docker)
	default:
		err = a.notImageError()
	}
	if err == nil && len(found) == 0 {
		err = &Error{Kind: ErrMalformed, Msg: "the archive contains no image"}
	}
	return found, err
}

// loadHint says what Load accepts.
const loadHint = "give an OCI layout or the output of docker save or podman save, in a tar"

// notImageError returns an error that says what the tar is instead of an image archive.
func (a *archive) notImageError() error {
	for _, name := range []string{"etc/passwd", "etc/os-release", "usr/lib/os-release", "bin/busybox"} {
		if _, found := a.files[name]; found {
			return &Error{Kind: ErrMalformed, Msg: "it is the file system of a container or machine, not the archive of an image", Hint: "make an image from it with docker import, and an archive from that with docker save"}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.files)) {
		if dir, file := path.Split(name); (file == "index.json" || file == "manifest.json") && strings.Count(dir, "/") == 1 {
			return &Error{Kind: ErrMalformed, Msg: fmt.Sprintf("its %s is in the folder %s, not at the top", file, dir), Hint: "make the tar in that folder: tar -C " + strings.TrimSuffix(dir, "/") + " -cf image.tar ."}
		}
	}
	return &Error{Kind: ErrMalformed, Msg: "it has neither an index.json nor a manifest.json", Hint: loadHint}
}

func (s *Store) readLayout(a *archive, manifests []v1.Descriptor, docker []dockerEntry) ([]loadable, error) {
	var found []loadable
	for _, desc := range manifests {
		images, err := s.followLayout(a, desc)
		if err != nil {
			return nil, err
		}
		for _, p := range images {
			names := annotatedNames(desc)
			for _, e := range docker {
				if h, ok := a.named(e.Config); ok && h == p.configID {
					names = append(names, e.RepoTags...)
				}
			}
			found = append(found, loadable{p, names})
		}
	}
	return found, nil
}

// followLayout reads the image of a descriptor. If that is an index for several platforms, it reads those images that are present.
func (s *Store) followLayout(a *archive, desc v1.Descriptor) ([]*plan, error) {
	raw, err := a.document(desc.Digest)
	if err != nil {
		return nil, err
	}
	d, err := parseDocument(raw)
	if err != nil {
		return nil, err
	}
	if !d.isIndex() {
		p, err := s.readPlan(a, raw, d)
		return []*plan{p}, err
	}
	var all []*plan
	for _, child := range d.Manifests {
		raw, err := a.document(child.Digest)
		if errors.Is(err, ErrNotFound) {
			continue // docker save leaves out the other platforms, but keeps their entries in the index
		}
		if err != nil {
			return nil, err
		}
		d, err := parseDocument(raw)
		if err != nil {
			return nil, err
		}
		if d.isIndex() || (child.Platform != nil && child.Platform.OS == "unknown") {
			continue // an attestation is not an image, and nobody uses an index in an index in an index
		}
		p, err := s.readPlan(a, raw, d)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

func (s *Store) readPlan(a *archive, raw []byte, d *manifestOrIndex) (*plan, error) {
	if err := d.checkImage(s.opts.Limits); err != nil {
		return nil, err
	}
	config, err := a.document(d.Config.Digest)
	if err != nil {
		return nil, err
	}
	p, err := newPlan(raw, config, s.opts.Limits)
	if err != nil {
		return nil, err
	}
	for _, l := range p.layers {
		if b, ok := a.blobs[l.digest]; ok && b.size != l.size {
			return nil, &Error{Kind: ErrMalformed, Msg: fmt.Sprintf("layer %s has %d bytes, but %d in the manifest", l.digest, b.size, l.size)}
		}
	}
	return p, nil
}

func annotatedNames(desc v1.Descriptor) []string {
	if n := desc.Annotations[annotationImageName]; n != "" {
		return []string{n}
	}
	n := desc.Annotations[annotationRefName]
	switch {
	case n == "":
		return nil
	case strings.ContainsAny(n, "/:"):
		return []string{n}
	default:
		return []string{unnamedRepository + ":" + n} // a tag alone
	}
}

// readDocker reads the format of docker save before OCI layouts. That format has no manifests, so readDocker makes them. They depend
// only on the content, so the same archive always gives the same image.
func (s *Store) readDocker(a *archive, entries []dockerEntry) ([]loadable, error) {
	var found []loadable
	for _, e := range entries {
		raw, config, err := a.makeManifest(e)
		if err != nil {
			return nil, err
		}
		p, err := newPlan(raw, config, s.opts.Limits)
		if err != nil {
			return nil, err
		}
		found = append(found, loadable{p, e.RepoTags})
	}
	return found, nil
}

func (a *archive) makeManifest(e dockerEntry) (manifest, config []byte, err error) {
	id, ok := a.named(e.Config)
	if !ok {
		return nil, nil, &Error{Kind: ErrMalformed, Msg: fmt.Sprintf("the archive has no config %q", e.Config)}
	}
	if config, err = a.document(id); err != nil {
		return nil, nil, err
	}
	m := v1.Manifest{
		SchemaVersion: 2, MediaType: types.DockerManifestSchema2,
		Config: v1.Descriptor{MediaType: types.DockerConfigJSON, Digest: id, Size: int64(len(config))},
		Layers: []v1.Descriptor{},
	}
	for _, name := range e.Layers {
		h, ok := a.named(name)
		if !ok {
			return nil, nil, &Error{Kind: ErrMalformed, Msg: fmt.Sprintf("the archive has no layer %q", name)}
		}
		m.Layers = append(m.Layers, v1.Descriptor{MediaType: types.DockerUncompressedLayer, Digest: h, Size: a.blobs[h].size})
	}
	manifest, err = json.Marshal(m)
	return manifest, config, err
}

// loadRefs returns the references of a loaded image, at least one. Their platform is the store's, or the image's if it can't run on
// the store's.
func (s *Store) loadRefs(l loadable) ([]refRecord, error) {
	names := slices.DeleteFunc(slices.Clone(l.names), func(n string) bool { return n == "" })
	if len(names) == 0 {
		names = []string{unnamedRepository + "@" + l.plan.manifestID.String()}
	}
	p := s.opts.Platform
	if l.plan.checkPlatform(p) != nil {
		p = l.plan.platform()
	}
	var refs []refRecord
	for _, n := range names {
		r, err := parseReference(n)
		if err != nil {
			return nil, err
		}
		if d := r.digest(); d != "" && d != l.plan.manifestID.Hex {
			return nil, &Error{Kind: ErrDigest, Msg: fmt.Sprintf("the archive names an image %s, but its digest is %s", n, l.plan.manifestID)}
		}
		if slices.ContainsFunc(refs, func(o refRecord) bool { return o.Canonical == r.canonical() }) {
			continue
		}
		refs = append(refs, refRecord{
			Written: short(n), Canonical: r.canonical(), Platform: p, Manifest: l.plan.manifestID, Pulled: time.Now().UTC(),
		})
	}
	return refs, nil
}

// short returns a name as users write it in a tool, without the default registry that the names in layouts have
// (docker.io/library/…).
func short(name string) string {
	return strings.TrimPrefix(strings.TrimPrefix(name, "docker.io/"), "library/")
}
