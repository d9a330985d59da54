package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/store"
)

// projects has a project by each use, and what runners have of one.
func projects(t *testing.T, s Store) {
	ctx := t.Context()
	n := newRun("1")
	n.Size = store.Size{CPU: 1, Memory: 2, Disk: 3}
	accept(t, s, n)
	accept(t, s, newRun("2"))
	for _, one := range []store.Version{{Project: "tools", Tool: "a"}, {Project: "tools", Tool: "b"}, {Project: "tools", Tool: "a", Digest: "2"}} {
		one.Manifest = []byte("{}")
		if _, _, err := s.AddVersion(ctx, one); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.AddToken(ctx, store.Token{Hash: []byte("1"), Name: "n", Project: "tokens", Role: "viewer"}); err != nil {
		t.Fatal(err)
	}
	if err := s.AddToken(ctx, store.Token{Hash: []byte("2"), Name: "n", Role: "viewer"}); err != nil { // of no project
		t.Fatal(err)
	}
	if _, err := s.SetSecret(ctx, store.Secret{Project: "secrets", Name: "s"}, nil, func(int, time.Time) ([]byte, error) { return []byte("x"), nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SetDraft(ctx, store.Draft{Project: "drafts", Name: "d", Manifest: []byte("{}"), Tag: "x"}, nil); err != nil {
		t.Fatal(err)
	}
	for project, texts := range map[string][]string{"policy": {"x"}, "tools": {"x", "", "y"}, "removed": {"x", ""}} {
		for _, text := range texts {
			if _, err := s.SetPolicy(ctx, store.Policy{Project: project, Text: text}, store.AnyVersion); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		only, after string
		most        int
		want        string
	}{
		"all":      {"", "", 100, "[{drafts 0 false} {p 0 false} {policy 0 true} {secrets 0 false} {tokens 0 false} {tools 2 true}]"},
		"a page":   {"", "p", 2, "[{policy 0 true} {secrets 0 false}]"},
		"only one": {"tools", "", 100, "[{tools 2 true}]"},
		"none":     {"none", "", 100, "[]"},
	} {
		if all, err := s.Projects(ctx, c.only, c.after, c.most); err != nil || fmt.Sprint(all) != c.want {
			t.Errorf("%s: %v, want %s, %v", name, all, c.want, err)
		}
	}
	claim(t, s, store.Claim{Most: 1, Free: store.Unbounded()})
	if all, err := s.Taken(ctx); err != nil || len(all) != 1 || all[0] != (store.Taken{Run: "1", Project: "p", Runner: "r", Size: n.Size}) {
		t.Errorf("taken: %+v, %v", all, err)
	}
}
