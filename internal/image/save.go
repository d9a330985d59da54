package image

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// The annotations with the names of images in archives: the OCI's (image-spec, annotations.md) is for the tag, that of containerd and
// Docker for the full name.
const (
	annotationRefName   = "org.opencontainers.image.ref.name"
	annotationImageName = "io.containerd.image.name"
)

// dockerEntry is one image of docker save's manifest.json.
type dockerEntry struct {
	Config   string   `json:"Config"`
	RepoTags []string `json:"RepoTags"`
	Layers   []string `json:"Layers"`
}

// Save writes images as an OCI image layout in a tar (image-spec, image-layout.md). docker load accepts it too, since it contains
// Docker's manifest.json. Manifests and layers are unchanged, so their digests stay the same. The same images always give the same
// tar.
func (s *Store) Save(ctx context.Context, refs []string, out io.Writer) error {
	a := &archiveWriter{s: s, ctx: ctx, tw: tar.NewWriter(out), written: map[v1.Hash]bool{}}
	for _, ref := range refs {
		if err := a.add(ref); err != nil {
			return fmt.Errorf("save %s: %w", ref, err)
		}
	}
	if err := a.finish(); err != nil {
		return fmt.Errorf("save: %w", err)
	}
	return nil
}

type archiveWriter struct {
	s       *Store
	ctx     context.Context
	tw      *tar.Writer
	written map[v1.Hash]bool
	index   []v1.Descriptor
	docker  []dockerEntry
}

// add writes an image's blobs, and holds the image while it does.
func (a *archiveWriter) add(ref string) (err error) {
	d, err := a.s.Inspect(ref)
	if err != nil {
		return err
	}
	release, err := a.s.Hold(a.ctx, d.Image, "save")
	if err != nil {
		return err
	}
	defer func() {
		if e := release(); err == nil {
			err = e
		}
	}()
	manifest, err := v1.ParseManifest(bytes.NewReader(d.RawManifest))
	if err != nil {
		return err
	}
	entry := dockerEntry{Config: blobName(manifest.Config.Digest), RepoTags: []string{}}
	for _, desc := range append([]v1.Descriptor{manifest.Config}, manifest.Layers...) {
		if err := a.blob(desc.Digest); err != nil {
			return err
		}
	}
	for _, l := range manifest.Layers {
		entry.Layers = append(entry.Layers, blobName(l.Digest))
	}
	digest := sha256Of(d.RawManifest)
	if err := a.blob(digest); err != nil {
		return err
	}
	mediaType := manifest.MediaType
	if mediaType == "" {
		mediaType = types.OCIManifestSchema1
	}
	desc := v1.Descriptor{
		MediaType: mediaType, Digest: digest, Size: int64(len(d.RawManifest)),
		Platform: &v1.Platform{OS: d.Platform.OS, Architecture: d.Platform.Architecture, Variant: d.Platform.Variant},
	}
	if tag, ok := tagOf(d.Canonical); ok {
		desc.Annotations = map[string]string{annotationImageName: strings.Replace(tag.Name(), "index.docker.io/", "docker.io/", 1), annotationRefName: tag.TagStr()}
		entry.RepoTags = []string{dockerName(tag)}
	}
	a.index = append(a.index, desc)
	a.docker = append(a.docker, entry)
	return nil
}

func tagOf(canonical string) (name.Tag, bool) {
	t, err := name.NewTag(canonical, name.StrictValidation)
	return t, err == nil
}

// dockerName returns a tag as docker writes it, without the name of Docker Hub.
func dockerName(t name.Tag) string {
	s := strings.TrimPrefix(t.Name(), "index.docker.io/")
	return strings.TrimPrefix(s, "library/")
}

func blobName(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }

func (a *archiveWriter) blob(h v1.Hash) error {
	if a.written[h] {
		return nil
	}
	a.written[h] = true
	if err := checkSHA256(h); err != nil {
		return err
	}
	f, err := os.Open(a.s.blobPath(h))
	if err != nil {
		return fmt.Errorf("blob %s: %w", h, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return a.file(blobName(h), info.Size(), f)
}

// file writes one entry. Its metadata is the same in every save.
func (a *archiveWriter) file(name string, size int64, r io.Reader) error {
	if a.ctx.Err() != nil {
		return context.Cause(a.ctx)
	}
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: size, ModTime: time.Unix(0, 0)}
	if err := a.tw.WriteHeader(h); err != nil {
		return err
	}
	_, err := io.Copy(a.tw, r)
	return err
}

func (a *archiveWriter) finish() error {
	for _, doc := range []struct {
		name string
		v    any
	}{
		{"oci-layout", map[string]string{"imageLayoutVersion": "1.0.0"}},
		{"index.json", v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: a.index}},
		{"manifest.json", a.docker},
	} {
		raw, err := json.Marshal(doc.v)
		if err != nil {
			return err
		}
		if err := a.file(doc.name, int64(len(raw)), bytes.NewReader(raw)); err != nil {
			return err
		}
	}
	return a.tw.Close()
}
