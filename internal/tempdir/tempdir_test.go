//go:build unix

package tempdir

import (
	"os"
	"path/filepath"
	"testing"
)

// TestSweep checks that a process removes the directories of killed processes, and nothing else.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	live, err := New()
	if err != nil {
		t.Fatal(err)
	}
	make := func(name string, files ...string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if err := os.WriteFile(filepath.Join(path, f), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	make(prefix+"dead", "http", "commands")
	make(prefix + "empty")
	make("elsewhere", "http", "commands")
	if err := os.Symlink("elsewhere", filepath.Join(dir, prefix+"link")); err != nil {
		t.Fatal(err)
	}
	Sweep(dir, prefix)
	exists := func(name string) bool {
		_, err := os.Lstat(filepath.Join(dir, name))
		return err == nil
	}
	for name, want := range map[string]bool{
		prefix + "dead": false, prefix + "empty": false,
		"elsewhere/http": true, prefix + "link": true, filepath.Base(live.Path): true,
	} {
		if got := exists(name); got != want {
			t.Errorf("%s exists: got %v, want %v", name, got, want)
		}
	}
	if err := live.Close(); err != nil || exists(filepath.Base(live.Path)) {
		t.Errorf("Close didn't remove the folder: %v", err)
	}
}
