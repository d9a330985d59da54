package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/store"
)

func tokens(t *testing.T, s Store) {
	ctx := t.Context()
	for _, tok := range []store.Token{
		{Hash: []byte("1"), Name: "ada", Project: "p", Role: "author"},
		{Hash: []byte("2"), Name: "old", Role: "admin", Expires: time.Now().Add(-time.Hour)},
		{Hash: []byte("3"), Name: "new", Role: "admin", Pool: "gpu", Expires: time.Now().Add(time.Hour)},
	} {
		if err := s.AddToken(ctx, tok); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.AddToken(ctx, store.Token{Hash: []byte("4"), Name: "ada", Project: "p"}); !errors.Is(err, store.ErrExists) {
		t.Errorf("a second token of one name: %v", err)
	}
	if tok, err := s.Token(ctx, []byte("1")); err != nil || tok.Name != "ada" || tok.Project != "p" || tok.Role != "author" || tok.Created.IsZero() || !tok.Expires.IsZero() {
		t.Errorf("token %+v, %v", tok, err)
	}
	if all, err := s.Tokens(ctx, "", store.Page{}); err != nil || len(all) != 2 || all[0].Name != "new" || all[1].Name != "old" {
		t.Errorf("tokens for all projects: %+v, %v", all, err)
	}
	defer removed(t, s, "p", "ada", []byte("1"))
	if tok, err := s.Token(ctx, []byte("3")); err != nil || tok.Pool != "gpu" {
		t.Errorf("token %+v, %v", tok, err)
	}
	for name, hash := range map[string]string{"expired": "2", "unknown": "5"} {
		if _, err := s.Token(ctx, []byte(hash)); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// removed checks that a token ends for good.
func removed(t *testing.T, s Store, project, name string, hash []byte) {
	t.Helper()
	if err := s.RemoveToken(t.Context(), project, name); err != nil {
		t.Error(err)
	}
	if _, err := s.Token(t.Context(), hash); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a token that was removed: %v", err)
	}
	if err := s.RemoveToken(t.Context(), project, name); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("remove it again: %v", err)
	}
}
