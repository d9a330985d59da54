package storetest

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

func statistics(t *testing.T, s Store) {
	var mu sync.Mutex
	var writes int
	var ends []run.State
	s.Observe(func(w store.Written) {
		mu.Lock()
		defer mu.Unlock()
		if w.Writes < 1 || w.Took <= 0 || w.Failed {
			t.Errorf("a transaction: %+v", w)
		}
		writes += w.Writes
		ends = append(ends, w.Ended...)
	})
	if all, err := s.Queued(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("an empty queue: %+v, %v", all, err)
	}
	for _, id := range []string{"1", "2", "3"} {
		accept(t, s, newRun(id))
	}
	other := newRun("4")
	other.Pool = "big"
	accept(t, s, other)
	got := claim(t, s, store.Claim{Most: 1}) // what a runner has doesn't wait
	time.Sleep(20 * time.Millisecond)
	all, err := s.Queued(t.Context())
	if err != nil || len(all) != 2 || all[0].Pool != "big" || all[0].Runs != 1 || all[1].Pool != "default" || all[1].Runs != 2 || all[1].Oldest < 10*time.Millisecond {
		t.Errorf("the queue: %+v, %v", all, err)
	}
	end := report(got[0], 1, 1, "x")
	end.Ended = ended(run.Failed)
	for range 2 { // the second one changes nothing
		if _, err := s.Report(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Cancel(t.Context(), "p", "2", *ended(run.Cancelled)); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if want := []run.State{run.Failed, run.Cancelled}; writes != 8 || !slices.Equal(ends, want) {
		t.Errorf("%d writes and the ends %v, want 8 and %v", writes, ends, want)
	}
}
