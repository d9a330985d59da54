package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mayfly-run/mayfly/internal/store"
)

func drafts(t *testing.T, s Store) {
	ctx := t.Context()
	if _, err := s.Draft(ctx, "p", "a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("no draft: %v", err)
	}
	for i, c := range []struct {
		tag  string // "" removes it
		is   *string
		want error
	}{
		{"", nil, store.ErrNotFound},
		{"", new("1"), store.ErrNotFound},
		{"1", new("0"), store.ErrChanged},
		{"1", new(""), nil},
		{"2", new(""), store.ErrChanged},
		{"2", new("1"), nil},
		{"3", new("1"), store.ErrChanged},
		{"3", nil, nil},
		{"", new("2"), store.ErrChanged},
		{"", new("3"), nil},
		{"3", new("3"), store.ErrChanged},
		{"4", nil, nil},
		{"", nil, nil},
		{"5", new(""), nil},
	} {
		if c.tag == "" {
			if err := s.RemoveDraft(ctx, "p", "a", c.is); !errors.Is(err, c.want) {
				t.Errorf("%d: %v, want %v", i, err, c.want)
			}
			continue
		}
		in := store.Draft{Project: "p", Name: "a", Kind: "tool", Definition: "tool.yaml", Manifest: []byte("files " + c.tag), Tag: c.tag, Base: i, ChangedBy: "ada"}
		out, err := s.SetDraft(ctx, in, c.is)
		if !errors.Is(err, c.want) {
			t.Errorf("%d: %v, want %v", i, err, c.want)
		}
		if err != nil {
			continue
		}
		got, err := s.Draft(ctx, "p", "a")
		if in.Changed = out.Changed; err != nil || out.Changed.IsZero() || fmt.Sprint(out) != fmt.Sprint(in) || fmt.Sprint(got) != fmt.Sprint(in) {
			t.Errorf("%d: %+v, then %+v, %v, want %+v", i, out, got, err, in)
		}
	}
	for _, one := range [][2]string{{"p", "b/tool.yaml"}, {"p", "B"}, {"q", "a"}} {
		if _, err := s.SetDraft(ctx, store.Draft{Project: one[0], Name: one[1], Manifest: []byte("{}"), Tag: "x"}, nil); err != nil {
			t.Fatal(err)
		}
	}
	names := ""
	all, omitted, err := s.Drafts(ctx, "p")
	for _, d := range all {
		names += " " + d.Name
		if d.Manifest != nil {
			t.Errorf("the list has the files of %s", d.Name)
		}
	}
	if err != nil || omitted != nil || names != " B a b/tool.yaml" {
		t.Errorf("the list is%s, %v, %v", names, omitted, err)
	}
}

// draftFiles gets one file of a draft after another, while drafts change.
func draftFiles(t *testing.T, s Store) {
	ctx := t.Context()
	set := func(project, name, tag string, files ...string) {
		t.Helper()
		text := `{"files":[`
		for i, f := range files {
			text += strings.Repeat(",", min(i, 1)) + fmt.Sprintf(`{"path":%q,"digest":%q}`, f, tag+f)
		}
		if _, err := s.SetDraft(ctx, store.Draft{Project: project, Name: name, Manifest: []byte(text + "]}"), Tag: tag}, nil); err != nil {
			t.Fatal(err)
		}
	}
	check := func(project, name, path, want string, wrong error) {
		t.Helper()
		for range 2 {
			if got, err := s.DraftFile(ctx, project, name, path); got != want || !errors.Is(err, wrong) {
				t.Errorf("%s of %s in %s: %q, %v; want %q, %v", path, name, project, got, err, want, wrong)
			}
		}
	}
	check("p", "a", "x", "", store.ErrNotFound)
	set("p", "a", "1", "x", "y/z")
	set("p", "b", "1", "only")
	set("q", "a", "1", "only")
	check("p", "a", "x", "1x", nil)
	check("p", "a", "y/z", "1y/z", nil)
	check("p", "a", "only", "", nil)
	check("p", "b", "x", "", nil)
	check("q", "a", "x", "", nil)
	check("p", "a", "x", "1x", nil)
	set("p", "a", "2", "x")
	check("p", "a", "x", "2x", nil)
	check("p", "a", "y/z", "", nil)
	if err := s.RemoveDraft(ctx, "p", "a", nil); err != nil {
		t.Fatal(err)
	}
	check("p", "a", "x", "", store.ErrNotFound)
}

// DraftsAtOnce has several change a draft that all have seen: one does.
func DraftsAtOnce(t *testing.T, stores ...Store) {
	for name, c := range map[string]struct {
		is     string
		change func(s Store, d store.Draft, is *string) error
	}{
		"make":    {"", func(s Store, d store.Draft, is *string) error { _, err := s.SetDraft(t.Context(), d, is); return err }},
		"replace": {"0", func(s Store, d store.Draft, is *string) error { _, err := s.SetDraft(t.Context(), d, is); return err }},
		"remove": {"0", func(s Store, d store.Draft, is *string) error {
			return s.RemoveDraft(t.Context(), d.Project, d.Name, is)
		}},
	} {
		for round := range 10 {
			d := store.Draft{Project: "p", Name: fmt.Sprint(name, round), Manifest: []byte("{}"), Tag: "0"}
			if c.is != "" {
				if _, err := stores[0].SetDraft(t.Context(), d, nil); err != nil {
					t.Fatal(err)
				}
			}
			var work sync.WaitGroup
			var made atomic.Int64
			for i := range 4 {
				for k, s := range stores {
					work.Go(func() {
						d := d
						d.Tag = fmt.Sprint(i+1, k)
						switch err := c.change(s, d, &c.is); {
						case err == nil:
							made.Add(1)
						case !errors.Is(err, store.ErrChanged) && !errors.Is(err, store.ErrNotFound):
							t.Errorf("%s: %v", name, err)
						}
					})
				}
			}
			work.Wait()
			if made.Load() != 1 {
				t.Errorf("%s: %d have changed the draft", name, made.Load())
			}
		}
	}
}

// MostDrafts has several make the last draft that a project may have: one does.
func MostDrafts(t *testing.T, stores ...Store) {
	ctx := t.Context()
	set := func(s Store, project, name string, is *string) error {
		_, err := s.SetDraft(ctx, store.Draft{Project: project, Name: name, Manifest: []byte("{}"), Tag: "x"}, is)
		return err
	}
	var work sync.WaitGroup
	for i := range store.MostDrafts - 1 {
		work.Go(func() {
			if err := set(stores[0], "p", fmt.Sprint(i), nil); err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	var made atomic.Int64
	for i := range 4 {
		for k, s := range stores {
			work.Go(func() {
				switch err := set(s, "p", fmt.Sprint("last", i, k), new("")); {
				case err == nil:
					made.Add(1)
				case !errors.Is(err, store.ErrTooManyDrafts):
					t.Error(err)
				}
			})
		}
	}
	work.Wait()
	if all, _, err := stores[0].Drafts(ctx, "p"); made.Load() != 1 || len(all) != store.MostDrafts || err != nil {
		t.Errorf("%d were made, and there are %d, %v", made.Load(), len(all), err)
	}
	for _, one := range [][2]string{{"p", "0"}, {"q", "new"}} { // one that is there, and another project
		if err := set(stores[0], one[0], one[1], nil); err != nil {
			t.Errorf("%v: %v", one, err)
		}
	}
	if err := stores[0].RemoveDraft(ctx, "p", "0", nil); err != nil {
		t.Fatal(err)
	}
	if err := set(stores[0], "p", "new", nil); err != nil {
		t.Errorf("after one was removed: %v", err)
	}
}
