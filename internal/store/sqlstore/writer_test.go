package sqlstore

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/mayfly-run/mayfly/internal/store"
)

// openSQLite opens a database of its own, and closes it at the end of the test.
func openSQLite(t *testing.T) *Store {
	t.Helper()
	return openFile(t, filepath.Join(t.TempDir(), "a.db"))
}

// TestGroup has three writes share a transaction: one that is refused, and so has changed nothing, leaves the others as they
// are; one that fails has each of them carried out again on its own.
func TestGroup(t *testing.T) {
	failed := errors.New("failed")
	for name, c := range map[string]struct {
		err   error
		tries int // of the first
	}{
		"refused": {refused{store.ErrNotHeld}, 1},
		"failed":  {failed, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := openSQLite(t)
			tries := make([]int, 3)
			group := make([]*write, 3)
			for i := range group {
				group[i] = &write{ctx: t.Context(), done: make(chan error, 1), do: func(ctx context.Context, tx *tx) error {
					tries[i]++
					if i == 1 {
						return c.err
					}
					_, err := tx.exec(ctx, `INSERT INTO requests (run, request) VALUES (?, ?)`, string(rune('a'+i)), []byte("x"))
					return err
				}}
			}
			w := &writer{db: s.writing, d: s.d, wake: s.writer.wake}
			if err := w.carryOut(nil, group).close(); err != nil {
				t.Error(err)
			}
			for i, one := range group {
				err := <-one.done
				if i == 1 && !errors.Is(c.err, err) || i != 1 && err != nil {
					t.Errorf("write %d: %v", i, err)
				}
			}
			if tries[0] != c.tries {
				t.Errorf("the first was carried out %d times, want %d", tries[0], c.tries)
			}
		})
	}
}

// TestBusy has another server be faster each time.
func TestBusy(t *testing.T) {
	s := openSQLite(t)
	for _, faster := range []int{mostRetries, mostRetries + 1} {
		tries := 0
		err := s.write(t.Context(), func(context.Context, *tx) error {
			if tries++; tries <= faster {
				return errTaken
			}
			return nil
		})
		if busy := faster > mostRetries; errors.Is(err, store.ErrBusy) != busy || (err != nil) != busy || tries != mostRetries+1 {
			t.Errorf("another one is faster %d times: %v after %d tries", faster, err, tries)
		}
	}
}

// TestRefusedInGroup has what changes nothing share a transaction with another write, which isn't carried out again for it.
func TestRefusedInGroup(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(s *Store) error
		want error
	}{
		"remove a token":  {func(s *Store) error { return s.RemoveToken(t.Context(), "p", "none") }, store.ErrNotFound},
		"remove a secret": {func(s *Store) error { return s.RemoveSecret(t.Context(), "p", "none", nil) }, store.ErrNotFound},
		"limit a secret":  {func(s *Store) error { return s.LimitSecret(t.Context(), "p", "none", nil, nil) }, store.ErrNotFound},
		"add a token": {func(s *Store) error {
			return s.AddToken(t.Context(), store.Token{Hash: []byte("b"), Name: "a", Project: "p"})
		}, store.ErrExists},
		"drain a runner": {func(s *Store) error { _, err := s.DrainRunner(t.Context(), "none"); return err }, store.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			s := openSQLite(t)
			if err := s.AddToken(t.Context(), store.Token{Hash: []byte("a"), Name: "a", Project: "p"}); err != nil {
				t.Fatal(err)
			}
			caught := make(chan *write)
			answer := make(chan error, 1)
			go func() { answer <- c.do(&Store{d: s.d, writer: &writer{waiting: caught, audited: caught}}) }()
			tries := 0
			other := &write{ctx: t.Context(), done: make(chan error, 1), do: func(context.Context, *tx) error { tries++; return nil }}
			w := &writer{db: s.writing, d: s.d, wake: s.writer.wake}
			if err := w.carryOut(nil, []*write{other, <-caught}).close(); err != nil {
				t.Error(err)
			}
			if err := <-answer; !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if err := <-other.done; err != nil || tries != 1 {
				t.Errorf("the other write was carried out %d times, %v, want once", tries, err)
			}
		})
	}
}

// TestCancelledInGroup has a write whose caller has gone share a transaction, or have it to itself: it isn't carried out.
func TestCancelledInGroup(t *testing.T) {
	for _, size := range []int{1, 3} {
		s, err := OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "a.db"))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := errors.New("gone")
		cancel(gone)
		done := make([]int, size)
		group := make([]*write, size)
		for i := range group {
			group[i] = &write{ctx: t.Context(), done: make(chan error, 1), do: func(context.Context, *tx) error { done[i]++; return nil }}
		}
		group[size/2].ctx = ctx
		w := &writer{db: s.writing, d: s.d, wake: s.writer.wake}
		if err := w.carryOut(nil, group).close(); err != nil {
			t.Error(err)
		}
		for i, one := range group {
			err := <-one.done
			if cancelled := i == size/2; cancelled != errors.Is(err, gone) || cancelled == (done[i] == 1) {
				t.Errorf("write %d of %d was carried out %d times: %v", i, size, done[i], err)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
