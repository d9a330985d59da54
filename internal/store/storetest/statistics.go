package storetest

import (
	"sync"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

func statistics(t *testing.T, s Store) {
	var mu sync.Mutex
	var writes int
	var ends []store.Over
	s.Observe(func(w store.Written) {
		mu.Lock()
		defer mu.Unlock()
		if w.Writes < 1 || w.Took <= 0 || w.Failed {
			t.Errorf("a transaction: %+v", w)
		}
		writes += w.Writes
		ends = append(ends, w.Ended...)
	}, true)
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
	cancelled := ended(run.Cancelled)
	if _, err := s.Cancel(t.Context(), "p", "2", *cancelled); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if writes != 8 || len(ends) != 2 {
		t.Fatalf("%d writes and the ends %+v, want 8 and 2", writes, ends)
	}
	for i, want := range []store.Over{
		{Run: got[0].Run, Attempt: 1, Status: run.Failed, ExitCode: end.Ended.ExitCode, Code: end.Ended.Code},
		{Run: "2", Status: run.Cancelled, ExitCode: cancelled.ExitCode, Code: cancelled.Code},
	} {
		one, err := s.Run(t.Context(), "p", want.Run)
		if err != nil {
			t.Fatal(err)
		}
		want.Project, want.Tool, want.Kind, want.Accepted, want.Started, want.Finished = one.Project, one.Tool, one.Kind, one.Accepted, one.Started, one.Finished
		if ends[i] != want || want.Tool == "" || want.Kind == "" || want.Started.IsZero() != (i == 1) {
			t.Errorf("the end %+v, want %+v", ends[i], want)
		}
	}
}
