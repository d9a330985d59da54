package storetest

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/store"
)

func policies(t *testing.T, s Store) {
	ctx := t.Context()
	set := func(project, text string, is int) (store.Policy, error) {
		return s.SetPolicy(ctx, store.Policy{Project: project, Text: text, SetBy: "ada"}, is)
	}
	if _, err := s.Policy(ctx, "p"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("no policy: %v", err)
	}
	if _, err := set("p", "", store.AnyVersion); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("remove a policy that isn't there: %v", err)
	}
	for i, c := range []struct {
		text string
		is   int
		want error
	}{
		{"a", 1, store.ErrChanged},
		{"a", 0, nil}, // 1
		{"b", 0, store.ErrChanged},
		{"b", 1, nil},                // 2
		{"c", store.AnyVersion, nil}, // 3
		{"", 2, store.ErrChanged},
		{"", 3, nil}, // 4
		{"d", 4, store.ErrChanged},
		{"d", 3, store.ErrChanged},
		{"d", 0, nil}, // 5
	} {
		if p, err := set("p", c.text, c.is); !errors.Is(err, c.want) || err == nil && (p.Text != c.text || p.Project != "p" || p.SetBy != "ada" || p.Set.IsZero()) {
			t.Errorf("%d: %+v, %v, want %v", i, p, err, c.want)
		}
	}
	if p, err := s.Policy(ctx, "p"); err != nil || p.Version != 5 || p.Text != "d" {
		t.Errorf("the latest: %+v, %v", p, err)
	}
	if _, err := s.Policy(ctx, "q"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another project: %v", err)
	}
	uses := map[string]func(project string) error{
		"version": func(p string) error {
			_, _, err := s.AddVersion(ctx, store.Version{Project: p, Tool: "t", Kind: "tool", Digest: "d", Manifest: []byte("{}")})
			return err
		},
		"run": func(p string) error {
			r := newRun("used")
			r.Project = p
			return s.Accept(ctx, r, nil)
		},
		"secret": func(p string) error {
			_, err := s.SetSecret(ctx, store.Secret{Project: p, Name: "a"}, nil, func(int, time.Time) ([]byte, error) { return []byte("x"), nil })
			return err
		},
		"token": func(p string) error { return s.AddToken(ctx, store.Token{Hash: []byte(p), Name: "a", Project: p}) },
		"draft": func(p string) error {
			_, err := s.SetDraft(ctx, store.Draft{Project: p, Name: "a", Manifest: []byte("{}"), Tag: "x"}, nil)
			return err
		},
		"policy": func(p string) error { _, err := set(p, "a", store.AnyVersion); return err },
	}
	for what, use := range uses {
		project := "used-by-a-" + what
		before, err := s.Used(ctx, project)
		if err = errors.Join(err, use(project)); err != nil {
			t.Fatal(err)
		}
		if after, err := s.Used(ctx, project); err != nil || before || after != (what != "policy") {
			t.Errorf("%s: used before %v, after %v, %v", what, before, after, err)
		}
	}
	// Of several who have seen the same version, one sets the next.
	var work sync.WaitGroup
	var made atomic.Int64
	for range 10 {
		work.Go(func() {
			switch _, err := set("p", "e", 5); {
			case err == nil:
				made.Add(1)
			case !errors.Is(err, store.ErrChanged):
				t.Errorf("set: %v", err)
			}
		})
	}
	work.Wait()
	if made.Load() != 1 {
		t.Errorf("%d have set the next version", made.Load())
	}
}
