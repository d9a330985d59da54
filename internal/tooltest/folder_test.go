//go:build unix

package tooltest

import (
	"os"
	"path/filepath"
	"testing"
)

// What a killed process has left, and nothing else, is removed by the next.
func TestSweepFolders(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	live, err := newFolder()
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
	make(folderPrefix+"dead", "http", "commands")
	make(folderPrefix + "begun")
	make("elsewhere", "http", "commands")
	if err := os.Symlink("elsewhere", filepath.Join(dir, folderPrefix+"link")); err != nil {
		t.Fatal(err)
	}
	sweepFolders(dir)
	there := func(name string) bool {
		_, err := os.Lstat(filepath.Join(dir, name))
		return err == nil
	}
	for name, want := range map[string]bool{
		folderPrefix + "dead": false, folderPrefix + "begun": false,
		"elsewhere/http": true, folderPrefix + "link": true, filepath.Base(live.path): true,
	} {
		if there(name) != want {
			t.Errorf("%s is there: %v", name, !want)
		}
	}
	if err := live.close(); err != nil || there(filepath.Base(live.path)) {
		t.Errorf("its own folder stays: %v", err)
	}
}
