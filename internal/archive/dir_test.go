package archive_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/archive"
	"github.com/mayfly-run/mayfly/internal/archive/archivetest"
)

func TestDir(t *testing.T) {
	archivetest.Run(t, func(t *testing.T) archive.Storage { return archive.Dir(t.TempDir()) })
}

func TestTemporary(t *testing.T) {
	archivetest.Run(t, func(t *testing.T) archive.Storage { return archive.Temporary{Dir: archive.Dir(t.TempDir())} })
}

// TestDirKilled checks that what a killed put leaves is no object, and is removed after a day.
func TestDirKilled(t *testing.T) {
	dir := t.TempDir()
	a := archive.Dir(dir)
	if err := a.Put(t.Context(), "a/b", strings.NewReader("text")); err != nil {
		t.Fatal(err)
	}
	old, fresh := filepath.Join(dir, "a", ".bOLD"), filepath.Join(dir, "a", ".bNEW")
	for _, file := range []string{old, fresh} {
		if err := os.WriteFile(file, []byte("te"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	yesterday := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(old, yesterday, yesterday); err != nil {
		t.Fatal(err)
	}
	var names []string
	if err := a.List(t.Context(), "", func(o archive.Object) error { names = append(names, o.Name); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(names) != 1 || names[0] != "a/b" {
		t.Errorf("the archive has %q, want a/b", names)
	}
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Errorf("the old file is left: %v", err)
	}
	if _, err := os.Stat(fresh); err != nil {
		t.Errorf("a file that may still be written: %v", err)
	}
}

// TestDirSays checks that an error says what, where and what to do.
func TestDirSays(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := archive.Dir(dir).Put(t.Context(), "a/b", strings.NewReader("x"))
	want := "write a/b in the archive " + dir + ": mkdir " + dir + "/a: not a directory; check the folder's disk and permissions"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}
