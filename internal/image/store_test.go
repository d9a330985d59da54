package image

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/mayfly-run/mayfly/internal/image/imagetest"
)

// noCredentials is an empty keychain, so that tests don't use the machine's.
type noCredentials struct{}

func (noCredentials) Resolve(authn.Resource) (authn.Authenticator, error) {
	return authn.Anonymous, nil
}

func testOptions() Options {
	return Options{NoSync: true, RetryDelay: 2 * time.Millisecond, Keychain: noCredentials{}, StallTimeout: time.Minute}
}

func openStore(t testing.TB, root string, o Options) *Store {
	t.Helper()
	s, err := Open(root, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func testStore(t testing.TB) *Store {
	t.Helper()
	return openStore(t, t.TempDir(), testOptions())
}

func mustPull(t testing.TB, s *Store, ref string) *Image {
	t.Helper()
	img, err := s.Pull(t.Context(), ref, PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func wantKind(t testing.TB, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("got the error %v, want its kind to be %q", err, kind)
	}
}

// fsck fails the test unless the store is consistent: nothing is in tmp, every layer has its record, every blob has the digest in its
// name, every image has all its parts, and every reference leads to an image.
func fsck(t testing.TB, s *Store) {
	t.Helper()
	if err := s.sweep(); err != nil {
		t.Fatalf("sweep: %v", err)
	}
	for _, e := range readDir(t, s.tmpDir()) {
		t.Errorf("tmp still contains %s", e)
	}
	for _, e := range readDir(t, s.layerDir()) {
		var rec treeRecord
		if err := readRecord(filepath.Join(s.layerDir(), e, "layer.json"), &rec); err != nil || layerName(rec.DiffID) != e {
			t.Errorf("layer %s has the record %+v, %v", e, rec, err)
		}
		if ok, _ := exists(filepath.Join(s.layerDir(), e, "tree")); !ok {
			t.Errorf("layer %s has no tree", e)
		}
	}
	for _, e := range readDir(t, s.blobDir()) {
		raw, err := os.ReadFile(filepath.Join(s.blobDir(), e))
		if err != nil || imagetest.Digest(raw).Hex != e {
			t.Errorf("blob %s has the digest %s, %v", e, imagetest.Digest(raw), err)
		}
	}
	refs, err := s.refs()
	if err != nil {
		t.Error(err)
	}
	if n := len(readDir(t, s.refDir())); n != len(refs) {
		t.Errorf("%d of %d references can be read", len(refs), n)
	}
	for _, r := range refs {
		img, err := s.load(r.refRecord)
		if err != nil {
			t.Errorf("reference %s: %v", r.Canonical, err)
			continue
		}
		for _, l := range img.Layers {
			h, err := parseSHA256(l.Digest)
			if err != nil {
				t.Error(err)
			}
			if ok, _ := exists(s.blobPath(h)); !ok {
				t.Errorf("image %s lacks the blob of layer %s", r.Canonical, l.Digest)
			}
		}
	}
}

func readDir(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// nothingStored fails the test if the store contains anything, for example after a failed pull.
func nothingStored(t testing.TB, s *Store) {
	t.Helper()
	for _, dir := range []string{s.tmpDir(), s.blobDir(), s.layerDir(), s.imageDir(), s.refDir(), s.holdDir()} {
		for _, e := range readDir(t, dir) {
			t.Errorf("%s contains %s, want nothing", dir, e)
		}
	}
}

// memoryDir returns a directory on tmpfs. On ext4, a benchmark or fuzzer would measure ext4, which avoids inodes that were freed in
// the last seconds, and searches longer and longer for others.
func memoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "mayfly-bench-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
