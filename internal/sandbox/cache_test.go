package sandbox

import (
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
	if err := (&cache{file: filepath.Join(kept, "c.tar"), dir: dir, size: 1 << 20}).save(); err != nil {
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
		t.Errorf("there are %q, want %q", names, want)
	}
	if data, err := os.ReadFile(filepath.Join(kept, "c.tar")); err != nil || string(data) == "before" {
		t.Errorf("the cache has %q, %v", data, err)
	}
}
