package drafts

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
)

// TestAbandoned opens a folder in which a process was killed that wrote a draft: what it left is removed, and nothing else.
func TestAbandoned(t *testing.T) {
	text := strings.Repeat("A2", 13)
	r := open(t, map[string]string{"a/tool.yaml": plain})
	for name, text := range map[string]string{
		"a/.mayfly-" + text: "left", ".mayfly-" + text: "left", "a/.mayfly-" + text[1:] + "Z": "new",
		"a/.mayfly-" + text + "A": "longer", "a/.mayfly-" + text[1:]: "shorter", "a/.mayfly-" + strings.ToLower(text): "lower", "a/x.mayfly-" + text: "after", ".git/.mayfly-" + text: "hidden",
		"b/.mayfly-" + text + "/x": "in a folder",
	} {
		r.edit(name, text)
	}
	if err := os.Symlink("tool.yaml", filepath.Join(r.dir, "a", ".mayfly-"+strings.Repeat("B", 26))); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-2 * abandoned)
	want := r.disk()
	for name := range want {
		if want[name] == "new" {
			continue
		}
		if err := os.Chtimes(filepath.Join(r.dir, name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	maps.DeleteFunc(want, func(_, text string) bool { return text == "left" })
	f, err := Open(r.dir, "default", r.archive, r.sent)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if got := r.disk(); !maps.Equal(got, want) {
		t.Errorf("there is %q, want %q", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
}

// TestUnfinishedName has what is being written have the name by which it is removed after a kill.
func TestUnfinishedName(t *testing.T) {
	r := open(t, map[string]string{"tool.yaml": plain})
	var names []string
	r.Folder.archive.In = &slow{r.archive.In, func() {
		for name := range r.disk() {
			if isUnfinished.MatchString(name) {
				names = append(names, name)
			}
		}
	}}
	if _, err := r.put("tool.yaml", "tool.yaml", map[string]string{"tool.yaml": script}, nil); err != nil || len(names) == 0 {
		t.Errorf("%v, %q", err, names)
	}
}

// TestRefusedFolders has a draft refused after folders were made for it: they are removed, and no others.
func TestRefusedFolders(t *testing.T) {
	r := open(t, map[string]string{"tool.yaml": plain})
	for _, dir := range []string{"empty", "there"} {
		if err := os.Mkdir(filepath.Join(r.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var p *api.Problem
	_, err := r.put("there/n/m/tool.yaml", "tool.yaml", map[string]string{"a/b/c": "c", "tool.yaml": plain, "z/.hidden/x": "x"}, nil)
	if !errors.As(err, &p) || !strings.Contains(p.Detail, "is hidden") {
		t.Errorf("%v", err)
	}
	for dir, want := range map[string]bool{"there/n": false, "there": true, "empty": true} {
		if _, err := os.Stat(filepath.Join(r.dir, dir)); (err == nil) != want {
			t.Errorf("%s: %v", dir, err)
		}
	}
}
