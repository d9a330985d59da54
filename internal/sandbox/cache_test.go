package sandbox

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestSaveRemovesAbandonedNames(t *testing.T) {
	kept, dir := t.TempDir(), t.TempDir()
	old := time.Now().Add(-2 * time.Minute)
	for name, modified := range map[string]time.Time{"c.tar": old, "c.tar.1": old, "c.tar.2": time.Now(), "cc.tar": old, "c": old} {
		file := filepath.Join(kept, name)
		if err := os.WriteFile(file, []byte("before"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, modified, modified); err != nil {
			t.Fatal(err)
		}
	}
	if err := (&cache{file: filepath.Join(kept, "c.tar"), dir: dir, size: 1 << 20}).save(nil); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(kept)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{"c", "c.tar", "c.tar.2", "cc.tar"}; !slices.Equal(names, want) {
		t.Errorf("files: got %q, want %q", names, want)
	}
	if data, err := os.ReadFile(filepath.Join(kept, "c.tar")); err != nil || string(data) == "before" {
		t.Errorf("the cache: got %q, %v, want a new copy", data, err)
	}
}

func TestCacheOfCutFiles(t *testing.T) {
	kept, dir := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "one"), bytes.Repeat([]byte("x"), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	when := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := os.Chtimes(filepath.Join(dir, "one"), when, when); err != nil {
		t.Fatal(err)
	}
	c := &cache{file: filepath.Join(kept, "c.tar"), dir: dir, size: 1 << 20}
	if err := c.save(nil); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(c.file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := checkWhole(f); err != nil {
		t.Error(err)
	}
	back := t.TempDir()
	if err := unpackCache(f, back, os.Getuid(), os.Getgid()); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(back, "one")); err != nil || !info.ModTime().Equal(when) || info.Size() != 1000 {
		t.Errorf("restored: %+v, %v", info, err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{info.Size() - 1, info.Size() - 512, info.Size() - 1024, 1024, 700, 512, 1, 0} {
		if err := os.Truncate(c.file, size); err != nil {
			t.Fatal(err)
		}
		if checkWhole(f) == nil {
			t.Errorf("a file of %d bytes cut to %d is accepted", info.Size(), size)
		}
	}
}
