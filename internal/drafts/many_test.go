package drafts

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/archive"
	"github.com/mayfly-run/mayfly/internal/store"
)

// age sets the time of a file.
func (r *rig) age(name string, at time.Time) {
	r.t.Helper()
	if err := os.Chtimes(filepath.Join(r.dir, name), at, at); err != nil {
		r.t.Fatal(err)
	}
}

// TestManyInAFolder lists folders with many definitions and their tests, of which nothing is known before: of twice as many, the work is about twice as much.
func TestManyInAFolder(t *testing.T) {
	work := func(n int) float64 {
		r := open(t, nil)
		for i := range n {
			for name, text := range map[string]string{"%d.yaml": plain, "%d_test.yaml": fmt.Sprintf("tool: ./%d.yaml\ntests: [{name: a}]\n", i)} {
				name = fmt.Sprintf(name, i)
				r.edit(name, text)
				r.age(name, time.Now().Add(hour)) // too new for anything to be kept
			}
		}
		return testing.AllocsPerRun(1, func() {
			if all, _, err := r.Drafts(t.Context(), "default"); err != nil || len(all) != n {
				t.Fatalf("%d, %v", len(all), err)
			}
		})
	}
	if few, many := work(50), work(100); many > 3*few {
		t.Errorf("for 50 it allocates %.0f times, and for 100 %.0f times", few, many)
	}
}

// TestParsedOnce parses a file again only when it has changed, or when too much is kept.
func TestParsedOnce(t *testing.T) {
	r := open(t, map[string]string{"a": "1", "b": "2"})
	times := 0
	parse := func(want string, more int) {
		t.Helper()
		before := times
		got, err := parsed(r.Folder, "a", func(_ string, text []byte) (string, error) {
			times++
			return string(text), os.ErrInvalid
		})
		if got != want || err != os.ErrInvalid || times != before+more { //nolint:errorlint // it is what parse returns
			t.Errorf("got %q, %v, parsed %d times; want %q, parsed %d times", got, err, times-before, want, more)
		}
	}
	parse("1", 1)
	parse("1", 1) // it is new
	long := time.Now().Add(-hour)
	r.age("a", long)
	parse("1", 1)
	parse("1", 0)
	r.edit("a", "3")
	r.age("a", long.Add(time.Second))
	parse("3", 1)
	parse("3", 0)
	r.kept = mostParsed
	if _, err := parsed(r.Folder, "b", func(string, []byte) (int, error) { return 0, nil }); err != nil || r.kept > mostParsed {
		t.Errorf("%d are kept, %v", r.kept, err)
	}
	parse("3", 1)
	if _, err := parsed(r.Folder, "none", func(string, []byte) (int, error) { return 0, nil }); !os.IsNotExist(err) {
		t.Errorf("%v", err)
	}
}

// TestDraftFile gets files of a draft, one after another: each as it is now, and only of what is a draft. Only the first one has the folder searched.
func TestDraftFile(t *testing.T) {
	r := open(t, map[string]string{"a/tool.yaml": plain, "a/b/x": "x", "a/y": "y", "c/tool.yaml": plain, "c/x": "other"})
	looks := 0 // at contents
	r.Folder.archive.In = &slow{r.archive.In, func() { looks++ }}
	check := func(project, draft, file, want string, most int, wrong error) {
		t.Helper()
		looks = 0
		digest, err := r.DraftFile(t.Context(), project, draft, file)
		if !errors.Is(err, wrong) || want == "" && digest != "" || want != "" && digest != archive.Digest([]byte(want)) {
			t.Errorf("%s of %s in %s: %q, %v; want %q", file, draft, project, digest, err, want)
		}
		if looks > most {
			t.Errorf("%s of %s in %s: it looked at %d contents; want at most %d", file, draft, project, looks, most)
		}
		if digest != "" && !r.sent["default "+digest] {
			t.Errorf("%s of %s isn't noted as sent", file, draft)
		}
	}
	check("default", "a/tool.yaml", "b/x", "x", 9, nil)
	check("default", "a/tool.yaml", "y", "y", 1, nil)
	check("default", "a/tool.yaml", "tool.yaml", plain, 1, nil)
	check("default", "a/tool.yaml", "x", "", 9, nil)
	check("default", "c/tool.yaml", "x", "other", 9, nil)
	check("default", "a/tool.yaml", "b/x", "x", 9, nil)
	check("default", "none", "b/x", "", 9, store.ErrNotFound)
	check("other", "a/tool.yaml", "b/x", "", 0, store.ErrNotFound)
	r.edit("a/y", "changed")
	check("default", "a/tool.yaml", "y", "changed", 1, nil)
	r.edit("a/new", "new")
	check("default", "a/tool.yaml", "new", "new", 9, nil)
	for _, gone := range []string{"y", "tool.yaml"} {
		if err := os.Remove(filepath.Join(r.dir, "a", gone)); err != nil {
			t.Fatal(err)
		}
		wrong := error(nil)
		if gone == "tool.yaml" {
			wrong = store.ErrNotFound
		}
		check("default", "a/tool.yaml", "y", "", 9, wrong)
	}
	check("default", "a/tool.yaml", "b/x", "", 9, store.ErrNotFound)
}
