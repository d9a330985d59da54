package drafts

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
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
