package remote

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestWithin(t *testing.T) {
	root := t.TempDir()
	at := func(names ...string) (all []string) {
		for _, n := range names {
			all = append(all, filepath.Join(root, filepath.FromSlash(n)))
		}
		return all
	}
	for name, c := range map[string]struct {
		files []string
		dir   string
		want  []string
	}{
		"one folder":             {at("a/x.yaml", "a/run.sh"), "a", []string{"x.yaml", "run.sh"}},
		"below":                  {at("a/x.yaml", "a/b/run.sh"), "a", []string{"x.yaml", "b/run.sh"}},
		"beside":                 {at("a/x.yaml", "ab/run.sh"), "", []string{"a/x.yaml", "ab/run.sh"}},
		"a name with two points": {at("a/x.yaml", "a/..run.sh"), "a", []string{"x.yaml", "..run.sh"}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := within(c.files)
			if err != nil {
				t.Fatal(err)
			}
			if got := append([]string{p.file}, p.paths...); p.dir != filepath.Join(root, c.dir) || !slices.Equal(got, c.want) {
				t.Errorf("got %s, %q", p.dir, got)
			}
		})
	}
	p, err := within([]string{"/a/x", "/b"}) // the root has them both
	if err != nil || p.dir != string(filepath.Separator) {
		t.Errorf("got %+v, %v", p, err)
	}
}

// TestBundleTooLarge checks that a file is refused before it is read: this one takes no room on the disk, and would in memory.
func TestBundleTooLarge(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "big"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(1 << 42); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := bundle(&parts{dir: dir, file: "big"}); err == nil || !strings.Contains(err.Error(), "256 MiB") {
		t.Errorf("got %v", err)
	}
}
