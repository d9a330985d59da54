package cli

import (
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/archive"
)

// TestGetFilesLeavesNothing has a server fail after the first file: the command must leave what was there before, so that it can be
// repeated.
func TestGetFilesLeavesNothing(t *testing.T) {
	r := remoteOf(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "b.txt") {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = w.Write([]byte("a")) // the client says so
	})
	files := []api.File{{Path: "bin/a.txt", Digest: archive.Digest([]byte("a"))}, {Path: "b.txt", Digest: archive.Digest([]byte("b"))}}
	f := &api.VersionFiles{Version: api.Version{Tool: "t", Version: 1}, Bundle: api.Bundle{Files: files}}
	top := t.TempDir()
	if err := os.Mkdir(filepath.Join(top, "empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"empty", "missing"} {
		if err := getFiles(t.Context(), r, f, filepath.Join(top, dir)); err == nil {
			t.Errorf("%s: no error", dir)
		}
	}
	var left []string
	err := filepath.WalkDir(top, func(path string, _ fs.DirEntry, err error) error {
		left = append(left, strings.TrimPrefix(path, top))
		return err
	})
	if err != nil || strings.Join(left, " ") != " /empty" {
		t.Errorf("left: %q, %v", left, err)
	}
	f.Files = f.Files[:1]
	if err := getFiles(t.Context(), r, f, filepath.Join(top, "missing")); err != nil {
		t.Error(err)
	}
	if data, err := os.ReadFile(filepath.Join(top, "missing/bin/a.txt")); err != nil || string(data) != "a" {
		t.Errorf("%q, %v", data, err)
	}
}
