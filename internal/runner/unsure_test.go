//go:build linux

package runner_test

import (
	"context"
	"errors"
	"testing"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/engine/fake"
	"github.com/mayfly-run/mayfly/internal/server"
	"github.com/mayfly-run/mayfly/internal/store"
)

// unsure is a database that has done what it was asked, and doesn't say so, once in each of accepts and claims.
type unsure struct {
	server.Store
	accepts, claims chan error
}

func (u *unsure) Accept(ctx context.Context, n store.NewRun, to *store.Lessee) error {
	return without(u.accepts, u.Store.Accept(ctx, n, to))
}

func (u *unsure) Claim(ctx context.Context, c store.Claim) ([]store.Claimed, error) {
	all, err := u.Store.Claim(ctx, c)
	if len(all) == 0 {
		return all, err
	}
	if err = without(u.claims, err); err != nil {
		return nil, err
	}
	return all, nil
}

func without(answers <-chan error, err error) error {
	select {
	case other := <-answers:
		return errors.Join(err, other)
	default:
		return err
	}
}

// TestUnsureCommit has the answers to commits be missing that have given a run to a runner: it is run, once.
func TestUnsureCommit(t *testing.T) {
	s := newSite(t, map[string]fake.Program{"x": func(*fake.Process) int { return 7 }})
	db := &unsure{accepts: make(chan error, 1), claims: make(chan error, 1)}
	s.down()
	s.around = func(real server.Store) server.Store {
		db.Store = real
		return db
	}
	s.up()
	ask := func() *api.Run { return s.begin(&api.NewRun{Bundle: s.bundle("x.yaml", "image: i\ncommand: [x]\n")}) }
	ends := func(what, id string) {
		t.Helper()
		_, result := s.follow(id)
		want(t, result, " -> failed 7")
		all, err := s.client.Runs(t.Context(), "p", api.RunFilter{Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		if got := all.Runs[0]; got.ID != id || got.Attempt != 2 {
			t.Errorf("%s: the latest run is %s, attempt %d, want %s, 2", what, got.ID, got.Attempt, id)
		}
	}
	waits := ask()
	db.claims <- store.ErrUnsure
	s.viaClient("r")
	ends("claimed", waits.ID)
	db.accepts <- store.ErrUnsure
	ends("accepted", ask().ID)
	if len(db.accepts)+len(db.claims) > 0 {
		t.Error("an answer was not missing")
	}
}
