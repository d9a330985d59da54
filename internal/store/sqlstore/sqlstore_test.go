package sqlstore

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/anishathalye/porcupine"
	"go.uber.org/goleak"

	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/store/storetest"
)

// openFile opens a database in a file, and closes it at the end of the test.
func openFile(t *testing.T, file string) *Store {
	t.Helper()
	s, err := OpenSQLite(t.Context(), file)
	return closing(t, s, err)
}

// closing closes a database at the end of the test.
func closing(t *testing.T, s *Store, err error) *Store {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestSQLite(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	storetest.Run(t, func(t *testing.T) storetest.Store { return openFile(t, filepath.Join(t.TempDir(), "a ?#%41.db")) })
}

// TestSQLiteHasNoOthers checks that nobody waits for other servers of a file.
func TestSQLiteHasNoOthers(t *testing.T) {
	s := openSQLite(t)
	if s.Changed() != nil {
		t.Error("there is a channel")
	}
}

// unfenced is a store that takes a report on an attempt that is another runner's by now, as if nothing compared the two.
type unfenced struct{ *Store }

func (u unfenced) Report(ctx context.Context, r store.Report) (int64, error) {
	last, err := u.Store.Report(ctx, r)
	if !errors.Is(err, store.ErrNotHeld) {
		return last, err
	}
	one, failed := u.Run(ctx, "p", r.Run)
	if failed != nil || one.Over {
		return last, err
	}
	r.Runner, r.Attempt = one.Runner, one.Attempt
	return u.Store.Report(ctx, r)
}

// TestHistoriesCanFail checks that the checker of histories notices a missing fence.
func TestHistoriesCanFail(t *testing.T) {
	for range 50 { // whether a runner comes back late is chance
		s, err := OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "a.db"))
		if err != nil {
			t.Fatal(err)
		}
		history := storetest.History(t, unfenced{s})
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if storetest.CheckHistory(history) == porcupine.Illegal {
			return
		}
	}
	t.Error("a store without a fence passes")
}
