package imagetest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"runtime"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
)

// Image is an image as a registry has it: documents and blobs. A test may change any of them before it pushes or archives the image.
type Image struct {
	Manifest  []byte
	MediaType types.MediaType
	Config    []byte
	Blobs     map[string][]byte // the config and the layers, by digest
	Platform  v1.Platform
}

// Digest returns the digest of the manifest, sha256:….
func (i Image) Digest() string { return Digest(i.Manifest).String() }

// Digest returns the digest of content, as in a registry.
func Digest(b []byte) v1.Hash {
	sum := sha256.Sum256(b)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
}

// Config says how to run an image.
type Config = v1.Config

// Build makes an OCI image for this machine's platform. Layers may be plain, or compressed with gzip or zstd.
func Build(t testing.TB, c Config, layers ...[]byte) Image {
	t.Helper()
	return BuildFor(t, v1.Platform{OS: "linux", Architecture: runtime.GOARCH}, c, layers...)
}

// BuildFor is like Build, for another platform.
func BuildFor(t testing.TB, p v1.Platform, c Config, layers ...[]byte) Image {
	t.Helper()
	file := v1.ConfigFile{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant, Config: c, RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{}}}
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Layers: []v1.Descriptor{}}
	img := Image{MediaType: types.OCIManifestSchema1, Blobs: map[string][]byte{}, Platform: p}
	for _, l := range layers {
		plain, mt := uncompress(t, l)
		file.RootFS.DiffIDs = append(file.RootFS.DiffIDs, Digest(plain))
		m.Layers = append(m.Layers, v1.Descriptor{MediaType: mt, Digest: Digest(l), Size: int64(len(l))})
		img.Blobs[Digest(l).String()] = l
	}
	img.Config = JSON(t, file)
	img.Blobs[Digest(img.Config).String()] = img.Config
	m.Config = v1.Descriptor{MediaType: types.OCIConfigJSON, Digest: Digest(img.Config), Size: int64(len(img.Config))}
	img.Manifest = JSON(t, m)
	return img
}

// JSON returns the JSON of v.
func JSON(t testing.TB, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func uncompress(t testing.TB, l []byte) ([]byte, types.MediaType) {
	t.Helper()
	var r io.Reader
	mt := types.OCIUncompressedLayer
	switch {
	case bytes.HasPrefix(l, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(bytes.NewReader(l))
		if err != nil {
			return l, types.OCILayer // it is damaged on purpose
		}
		r, mt = z, types.OCILayer
	case bytes.HasPrefix(l, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(bytes.NewReader(l))
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		r, mt = z, types.OCILayerZStd
	default:
		return l, mt
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return l, mt
	}
	return plain, mt
}

// Index makes a multi-platform index of images.
func Index(t testing.TB, images ...Image) Image {
	t.Helper()
	m := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	for _, i := range images {
		p := i.Platform
		m.Manifests = append(m.Manifests, v1.Descriptor{
			MediaType: i.MediaType, Digest: Digest(i.Manifest), Size: int64(len(i.Manifest)), Platform: &p,
		})
	}
	return Image{Manifest: JSON(t, m), MediaType: types.OCIImageIndex}
}

// Layout returns an OCI image layout in a tar, for Store.Load, with the image under a name.
func Layout(t testing.TB, name string, i Image) []byte {
	t.Helper()
	d := Digest(i.Manifest)
	files := []File{{Name: "blobs/sha256/" + d.Hex, Body: string(i.Manifest)}}
	for digest, b := range i.Blobs {
		files = append(files, File{Name: "blobs/sha256/" + digest[len("sha256:"):], Body: string(b)})
	}
	index := v1.IndexManifest{SchemaVersion: 2, Manifests: []v1.Descriptor{{
		MediaType: i.MediaType, Digest: d, Size: int64(len(i.Manifest)),
		Annotations: map[string]string{"io.containerd.image.name": name},
	}}}
	return Tar(t, append(files,
		File{Name: "oci-layout", Body: `{"imageLayoutVersion":"1.0.0"}`},
		File{Name: "index.json", Body: string(JSON(t, index))})...)
}

// DockerArchive returns an archive in the format of docker save before OCI: a directory for each layer, and links to shared layers.
func DockerArchive(t testing.TB, name string, c Config, layers ...[]byte) []byte {
	t.Helper()
	return ArchiveOf(t, name, Build(t, c, layers...), layers...)
}

// ArchiveOf is like DockerArchive, for an existing image.
func ArchiveOf(t testing.TB, name string, i Image, layers ...[]byte) []byte {
	t.Helper()
	var files []File
	var names []string
	for n, l := range layers {
		dir := string(rune('a'+n)) + "/layer.tar"
		files = append(files, File{Name: dir, Body: string(l)})
		names = append(names, dir)
	}
	if len(layers) > 0 { // name the first layer through a link
		files = append(files, File{Name: "link/layer.tar", Type: tar.TypeSymlink, Link: "../a/layer.tar"})
		names[0] = "link/layer.tar"
	}
	m := []map[string]any{{"Config": "config.json", "RepoTags": []string{name}, "Layers": names}}
	return Tar(t, append(files,
		File{Name: "config.json", Body: string(i.Config)},
		File{Name: "manifest.json", Body: string(JSON(t, m))})...)
}
