package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"os"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
)

// layer is a compressed layer in a file. size is its size in bytes.
type layer struct {
	path           string
	digest, diffID v1.Hash
	size           int64
}

func sum(h hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
}

// compress writes a layer, compressed with gzip, to path.
func compress(r io.Reader, path string) (l layer, err error) {
	f, err := os.Create(path)
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	plain, packed := sha256.New(), sha256.New()
	count := &counter{w: io.MultiWriter(f, packed)}
	z, err := gzip.NewWriterLevel(count, gzip.DefaultCompression) // without a name or a time in the header
	if err != nil {
		return l, err
	}
	if _, err := io.Copy(io.MultiWriter(z, plain), r); err != nil {
		return l, err
	}
	if err := z.Close(); err != nil {
		return l, err
	}
	return layer{path: path, digest: sum(packed), diffID: sum(plain), size: count.n}, nil
}

// blob is a JSON file of the layout.
type blob struct {
	digest v1.Hash
	raw    []byte
}

func jsonBlob(v any) (blob, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return blob{}, err
	}
	h := sha256.New()
	h.Write(raw)
	return blob{sum(h), raw}, nil
}

func blobName(h v1.Hash) string { return "blobs/sha256/" + h.Hex }

// writeArchive writes an OCI image layout (image-spec, image-layout.md), with Docker's manifest.json beside its index, to path.
func writeArchive(path string, o options, c v1.Config, l layer) (err error) {
	created := v1.Time{Time: time.Unix(o.epoch, 0).UTC()}
	config, err := jsonBlob(v1.ConfigFile{
		OS: "linux", Architecture: o.arch, Created: created, Config: c,
		RootFS:  v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{l.diffID}},
		History: []v1.History{{Created: created, CreatedBy: "mayfly images/build.sh"}},
	})
	if err != nil {
		return err
	}
	manifest, err := jsonBlob(v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1,
		Config: v1.Descriptor{MediaType: types.OCIConfigJSON, Digest: config.digest, Size: int64(len(config.raw))},
		Layers: []v1.Descriptor{{MediaType: types.OCILayer, Digest: l.digest, Size: l.size}},
	})
	if err != nil {
		return err
	}
	_, tag, _ := strings.Cut(o.name, ":")
	index, err := jsonBlob(v1.IndexManifest{
		SchemaVersion: 2, MediaType: types.OCIImageIndex,
		Manifests: []v1.Descriptor{{
			MediaType: types.OCIManifestSchema1, Digest: manifest.digest, Size: int64(len(manifest.raw)),
			Platform:    &v1.Platform{OS: "linux", Architecture: o.arch},
			Annotations: map[string]string{"io.containerd.image.name": "docker.io/" + o.name, "org.opencontainers.image.ref.name": tag},
		}},
	})
	if err != nil {
		return err
	}
	docker, err := jsonBlob([]map[string]any{{
		"Config": blobName(config.digest), "RepoTags": []string{o.name}, "Layers": []string{blobName(l.digest)},
	}})
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := tar.NewWriter(f)
	for _, e := range []struct {
		name string
		raw  []byte
	}{
		{"oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)},
		{"index.json", index.raw},
		{"manifest.json", docker.raw},
		{blobName(manifest.digest), manifest.raw},
		{blobName(config.digest), config.raw},
	} {
		if err := entry(w, e.name, int64(len(e.raw)), bytes.NewReader(e.raw)); err != nil {
			return err
		}
	}
	in, err := os.Open(l.path)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := entry(w, blobName(l.digest), l.size, in); err != nil {
		return err
	}
	return w.Close()
}

func entry(w *tar.Writer, name string, size int64, r io.Reader) error {
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: size, ModTime: time.Unix(0, 0)}); err != nil {
		return err
	}
	_, err := io.Copy(w, r)
	return err
}
