package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/mayfly-run/mayfly/internal/image/imagetest"
)

func fuzzStore(t testing.TB, root string) *Store {
	t.Helper()
	o := testOptions()
	o.Limits = Limits{LayerBytes: 1 << 20, ImageBytes: 4 << 20, LayerEntries: 500, ManifestBytes: 64 << 10}
	return openStore(t, root, o)
}

// FuzzUnpack checks that no bytes change anything outside the layer, and that nothing in the layer is a device, except whiteouts, or
// has a privileged mode or attribute.
func FuzzUnpack(f *testing.F) {
	for _, files := range [][]file{
		{{Name: "d/"}, {Name: "d/f", Body: "x", Mode: 0o6755}, {Name: "h", Type: tar.TypeLink, Link: "d/f"}},
		{{Name: "l", Type: tar.TypeSymlink, Link: "../canary"}, {Name: "l/secret", Body: "x"}},
		{{Name: "l", Type: tar.TypeSymlink, Link: "/"}, {Name: "l/tmp/x", Type: tar.TypeLink, Link: "l/etc/passwd"}},
		{{Name: "d/.wh.x"}, {Name: "d/.wh..wh..opq"}, {Name: ".wh.a/b"}, {Name: "c", Type: tar.TypeChar}},
		{{Name: "x", Xattrs: map[string]string{"trusted.overlay.opaque": "y", "user.a": "b"}}},
		{{Name: "a"}, {Name: "a/b"}, {Name: "a", Type: tar.TypeSymlink, Link: "a"}, {Name: "a/"}},
	} {
		f.Add(imagetest.Tar(f, files...))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		base := memoryDir(t)
		dir, err := unpackBeside(t, fuzzStore(t, filepath.Join(base, "store")), base, raw)
		checkTree(t, dir)
		var known *Error
		if err != nil && !errors.As(err, &known) && !errors.Is(err, fs.ErrInvalid) {
			t.Logf("error without a kind: %v", err)
		}
	})
}

// unpackBeside unpacks next to a canary, and checks that the canary stays unchanged.
func unpackBeside(t testing.TB, s *Store, base string, raw []byte) (string, error) {
	t.Helper()
	dir, canary := filepath.Join(base, "layer"), filepath.Join(base, "canary")
	for _, err := range []error{os.Mkdir(dir, 0o755), os.Mkdir(canary, 0o755), os.WriteFile(filepath.Join(canary, "secret"), []byte("untouched"), 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	before := imagetest.HashTree(t, canary)
	_, err := s.unpackTar(t.Context(), bytes.NewReader(raw), dir, newImageBudget(s.opts.Limits))
	if imagetest.HashTree(t, canary) != before || len(readDir(t, base)) != 2 {
		t.Fatalf("something outside the layer has changed: %q", readDir(t, base))
	}
	return dir, err
}

func checkTree(t testing.TB, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode()&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeNamedPipe|fs.ModeSocket) != 0 {
			t.Errorf("%s is %v", p, info.Mode())
		}
		if info.Mode()&fs.ModeDevice != 0 && !isWhiteoutInfo(info) {
			t.Errorf("%s is a device", p)
		}
		for _, x := range imagetest.Xattrs(t, p) {
			if !strings.HasPrefix(x, "user.") && !(d.IsDir() && x == `trusted.overlay.opaque="y"`) || strings.HasPrefix(x, "user.overlay.") {
				t.Errorf("%s has %s", p, x)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// FuzzLoad checks that a load of any bytes ends, and leaves a consistent store.
func FuzzLoad(f *testing.F) {
	layer := imagetest.Tar(f, file{Name: "f", Body: "x"})
	f.Add(imagetest.Layout(f, "a:1", imagetest.Build(f, imagetest.Config{}, layer)))
	f.Add(imagetest.DockerArchive(f, "a:1", imagetest.Config{}, layer))
	f.Add(imagetest.Gzip(f, imagetest.Tar(f, file{Name: "manifest.json", Body: `[{"Config":"c","Layers":["c"]}]`}, file{Name: "c", Body: "{}"})))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := fuzzStore(t, memoryDir(t))
		all, err := s.Load(t.Context(), bytes.NewReader(raw))
		if (err == nil) != (len(all) > 0) {
			t.Errorf("got %d images and the error %v", len(all), err)
		}
		if left := readDir(t, s.tmpDir()); len(left) > 0 {
			t.Errorf("tmp contains %q, want nothing", left)
		}
		fsck(t, s)
	})
}

// FuzzDocuments checks the plans of all manifests and configs that are accepted.
func FuzzDocuments(f *testing.F) {
	i := imagetest.Build(f, imagetest.Config{WorkingDir: "/w", User: "1", Env: []string{"A=b"}}, imagetest.Tar(f, file{Name: "f"}))
	f.Add(i.Manifest, i.Config)
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{}]}`), []byte(`{}`))
	f.Fuzz(func(t *testing.T, manifest, config []byte) {
		p, err := newPlan(manifest, config, Limits{}.withDefaults())
		if err != nil {
			return
		}
		if wd := p.run.WorkingDir; wd != "" && (!path.IsAbs(wd) || path.Clean(wd) != wd || strings.HasPrefix(wd+"/", "/proc/")) {
			t.Errorf("working directory %q", wd)
		}
		for _, l := range p.layers {
			if checkSHA256(l.diffID) != nil || checkSHA256(l.digest) != nil || l.size < 0 {
				t.Errorf("layer %+v", l)
			}
		}
	})
}

// TestUnpackPropertyStaysInside checks that any mix of hostile names, types and links stays in its directory.
func TestUnpackPropertyStaysInside(t *testing.T) {
	base := t.TempDir()
	n := 0
	rapid.Check(t, func(r *rapid.T) {
		n++
		// Most names are legitimate, since the unpacking ends at the first other one.
		names := rapid.OneOf(rapid.SampledFrom([]string{"a", "b", "c"}), rapid.SampledFrom([]string{
			"a/b", "b/a", "c/a", "a/b/c", "/a", "./b", ".wh.a", "a/.wh.b", "a/.wh..wh..opq", "c/secret", "a/", "b/", "c/", "./", "a//b", "b/.wh.c",
		}), rapid.SampledFrom([]string{"a/secret", "b/secret", "c/secret", "a/canary/secret", "../canary/secret", "a/../b", "..", ".wh.."}))
		links := rapid.SampledFrom([]string{"a", "b", "c", "..", "../canary", "../canary/secret", "/etc", "a/b", ".", "/", "../../../..", "b/../a"})
		types := rapid.SampledFrom([]byte{0, 0, tar.TypeDir, tar.TypeSymlink, tar.TypeSymlink, tar.TypeLink, tar.TypeChar, tar.TypeFifo})
		// The first entry is a link, so that the next names can go through it.
		files := []file{{Name: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(r, "first"), Type: tar.TypeSymlink, Link: links.Draw(r, "to")}}
		for range rapid.IntRange(1, 12).Draw(r, "entries") {
			f := file{Name: names.Draw(r, "name"), Type: types.Draw(r, "type")}
			if f.Type == tar.TypeSymlink || f.Type == tar.TypeLink {
				f.Link = links.Draw(r, "link")
			} else if f.Type == 0 && !strings.HasSuffix(f.Name, "/") {
				f.Body = "written"
			}
			if f.Type != 0 && f.Type != tar.TypeDir {
				f.Name = strings.TrimRight(f.Name, "/") // otherwise archive/tar doesn't write it
			}
			files = append(files, f)
		}
		sub := filepath.Join(base, string(rune('a'+n%26)))
		if err := os.RemoveAll(sub); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		dir, _ := unpackBeside(t, fuzzStore(t, filepath.Join(base, "none")), sub, imagetest.Tar(t, files...))
		checkTree(t, dir)
	})
}
