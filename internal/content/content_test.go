package content

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// write makes files and folders in a directory. A name that ends with a slash is a folder; a content that begins with "-> " is the
// target of a symbolic link.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		err := os.MkdirAll(filepath.Dir(path), 0o700)
		switch to, link := strings.CutPrefix(text, "-> "); {
		case err != nil:
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(path, 0o700)
		case link:
			err = os.Symlink(to, path)
		default:
			err = os.WriteFile(path, []byte(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// read returns the files and folders of a directory, in the form of write.
func read(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name := filepath.ToSlash(strings.TrimPrefix(path, dir+string(filepath.Separator)))
		switch d.Type() {
		case fs.ModeDir:
			files[name+"/"] = ""
		case fs.ModeSymlink:
			to, err := os.Readlink(path)
			files[name] = "-> " + to
			return err
		default:
			data, err := os.ReadFile(path)
			files[name] = string(data)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestPackUnpack(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"a.txt": "a", "not taken": "x", "conf/app/one.yaml": "1", "conf/app/sub/two.yaml": "2", "conf/app/link": "-> sub/two.yaml",
		"conf/app/out": "-> ../../../etc", "conf/app/empty/": "", "by-link": "-> a.txt", "run.sh": "#!/bin/sh\n",
	})
	if err := os.Chmod(filepath.Join(dir, "run.sh"), 0o700); err != nil {
		t.Fatal(err)
	}
	store := Store(filepath.Join(t.TempDir(), "new", "store"))
	digest, err := store.Pack(t.Context(), dir, []string{"conf/app", "a.txt", "by-link", "run.sh", "conf/app/one.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	if err := store.Unpack(t.Context(), digest, out); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"a.txt": "a", "by-link": "a", "run.sh": "#!/bin/sh\n", "conf/": "", "conf/app/": "", "conf/app/one.yaml": "1", "conf/app/sub/": "",
		"conf/app/sub/two.yaml": "2", "conf/app/link": "-> sub/two.yaml", "conf/app/out": "-> ../../../etc", "conf/app/empty/": "",
	}
	got := read(t, out)
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s is %q, want %q", name, got[name], want[name])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%q, want %q", got, want)
	}
	for name, mode := range map[string]fs.FileMode{"run.sh": 0o755, "a.txt": 0o644} {
		if info, err := os.Stat(filepath.Join(out, name)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: got %v, %v; want mode %v", name, info, err, mode)
		}
	}

	// The digest depends only on the files, and not on other files, the order of names or times.
	if err := os.Chtimes(filepath.Join(dir, "a.txt"), fixedTime, fixedTime); err != nil {
		t.Fatal(err)
	}
	again, err := store.Pack(t.Context(), dir, []string{"run.sh", "by-link", "conf/app", "a.txt", "a.txt"})
	if err != nil || again != digest {
		t.Errorf("%s, %v; want %s", again, err, digest)
	}
	if entries, err := os.ReadDir(string(store)); err != nil || len(entries) != 1 {
		t.Errorf("the store contains %v, %v; want one tree", entries, err)
	}
}

func TestPackStaysInside(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	write(t, outside, map[string]string{"secret": "s"})
	write(t, dir, map[string]string{"link": "-> " + filepath.Join(outside, "secret"), "folder": "-> " + outside})
	store := Store(t.TempDir())
	for _, name := range []string{"link", "folder", "folder/secret", "../" + filepath.Base(outside) + "/secret", filepath.Join(outside, "secret"), "missing"} {
		if digest, err := store.Pack(t.Context(), dir, []string{name}); err == nil {
			t.Errorf("%s was packed as %s", name, digest)
		}
	}
	if entries, err := os.ReadDir(string(store)); err != nil || len(entries) != 0 {
		t.Errorf("the store contains %v, %v; want nothing", entries, err)
	}
}

// put stores a tar without checking it.
func put(t *testing.T, store Store, headers ...tar.Header) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write(make([]byte, h.Size)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b.Bytes())
	digest := "sha256:" + hex.EncodeToString(sum[:])
	path, err := store.Path(digest)
	if err == nil {
		err = os.WriteFile(path, b.Bytes(), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

func TestUnpackRefuses(t *testing.T) {
	outside := t.TempDir()
	file := func(name string, size int64) tar.Header {
		return tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644}
	}
	link := func(name, to string) tar.Header {
		return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to}
	}
	for name, headers := range map[string][]tar.Header{
		"a name that leads out": {file("../x", 1)},
		"an absolute name":      {file(filepath.Join(outside, "x"), 1)},
		"a link that leads out": {link("l", outside), file("l/x", 1)},
		"a link to the parent":  {link("l", ".."), file("l/x", 1)},
		"a file twice":          {file("a", 1), file("a", 1)},
		"a device":              {{Typeflag: tar.TypeChar, Name: "null", Devmajor: 1, Devminor: 3}},
		"a pipe":                {{Typeflag: tar.TypeFifo, Name: "p"}},
		"a hard link":           {{Typeflag: tar.TypeLink, Name: "h", Linkname: "/etc/passwd"}},
		"too deep":              {file(strings.Repeat("a/", maxTreeDepth)+"x", 1)},
	} {
		t.Run(name, func(t *testing.T) {
			store, out := Store(t.TempDir()), t.TempDir()
			if err := store.Unpack(t.Context(), put(t, store, headers...), out); err == nil {
				t.Error("the tar was unpacked")
			}
			if left := read(t, outside); len(left) > 0 {
				t.Errorf("outside the folder there is %q", left)
			}
		})
	}
	t.Run("too large", func(t *testing.T) { // by the size in the header
		store, out := Store(t.TempDir()), t.TempDir()
		var b bytes.Buffer
		if err := tar.NewWriter(&b).WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "x", Size: maxTreeBytes + 1}); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(b.Bytes())
		digest := "sha256:" + hex.EncodeToString(sum[:])
		path, _ := store.Path(digest)
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := store.Unpack(t.Context(), digest, out); err == nil || !strings.Contains(err.Error(), "1024 MiB") {
			t.Error(err)
		}
	})
	t.Run("wrong digest", func(t *testing.T) {
		store := Store(t.TempDir())
		digest := put(t, store, file("a", 1))
		path, _ := store.Path(digest)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := store.Unpack(t.Context(), digest, t.TempDir()); err == nil || !strings.Contains(err.Error(), "changed or truncated") {
			t.Error(err)
		}
	})
}

func TestPath(t *testing.T) {
	const digest = "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
	if path, err := Store("/s").Path(digest); err != nil || path != filepath.Join("/s", digest[7:]+".tar") {
		t.Errorf("%s, %v", path, err)
	}
	for _, wrong := range []string{"", "sha256:../../etc", "sha256:abcd", "sha512:" + digest[7:], strings.ToUpper(digest), "sha256:" + strings.ToUpper(digest[7:])} {
		var is *DigestError
		if _, err := Store("/s").Path(wrong); !errors.As(err, &is) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

func TestSweep(t *testing.T) {
	store := Store(t.TempDir())
	one, two := put(t, store, tar.Header{Typeflag: tar.TypeDir, Name: "one"}), put(t, store, tar.Header{Typeflag: tar.TypeDir, Name: "two"})
	write(t, string(store), map[string]string{"making-x/out.tar": "x", "packing-1": "x"})
	if err := store.Sweep(map[string]bool{one: true}); err != nil {
		t.Fatal(err)
	}
	gone, _ := store.Path(two)
	if left := read(t, string(store)); len(left) != 1 || left[filepath.Base(gone)] != "" {
		t.Errorf("the store contains %q, want only the first tree", left)
	}
	if err := Store(filepath.Join(t.TempDir(), "none")).Sweep(nil); err != nil {
		t.Error(err)
	}
}

var fixedTime = time.Unix(1e9, 0)
