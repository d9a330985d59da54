package server

import (
	"reflect"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// TestAttempts lists attempts by one runner, and by another one after the first was lost.
func TestAttempts(t *testing.T) {
	r := newRig(t)
	c := r.client(t, RoleViewer)
	state := func(s run.State, attempt int, detail string) run.Event {
		return run.Event{State: &run.StateChange{State: s, Attempt: attempt, Detail: detail}}
	}
	at := func(second int) time.Time { return time.Date(2026, 1, 31, 12, 0, second, 0, time.UTC) }
	r.ran(t, store.NewRun{ID: "again"}, &run.Result{Status: run.Failed, ExitCode: 2, Reason: "exit status 2"},
		state(run.Queued, 0, ""), state(run.Pulling, 0, "an image"), state(run.Creating, 1, ""), state(run.Running, 1, ""),
		state(run.Creating, 2, "in 1s, after: exit status 1"), state(run.Running, 2, ""),
		state(run.Queued, 2, "follows: the runner was silent"), state(run.Queued, 0, ""), state(run.Creating, 1, ""), state(run.Running, 1, ""), state(run.Failed, 0, ""))
	r.ran(t, store.NewRun{ID: "lost"}, &run.Result{Status: run.Cancelled, Reason: "cancelled by own"},
		state(run.Queued, 0, ""), state(run.Creating, 1, ""), state(run.Running, 1, ""), state(run.Queued, 2, "follows: the runner was silent"), state(run.Cancelled, 0, ""))
	r.ran(t, store.NewRun{ID: "going"}, nil, state(run.Queued, 0, ""), state(run.Creating, 0, ""))
	r.ran(t, store.NewRun{ID: "new"}, nil)
	for id, want := range map[string][]api.Attempt{
		"again": {
			{Began: at(1), Started: at(3), Ended: at(4), Reason: "exit status 1"},
			{Began: at(4), Started: at(5), Ended: at(6), Reason: "the runner was silent"},
			{Began: at(8), Started: at(9), Ended: at(10), Status: run.Failed, Reason: "exit status 2"},
		},
		"lost":  {{Began: at(1), Started: at(2), Ended: at(3), Reason: "the runner was silent"}},
		"going": {{Began: at(1)}},
		"new":   {},
	} {
		got, err := c.Attempts(t.Context(), "own", id)
		if err != nil || !reflect.DeepEqual(got.Attempts, want) || got.Omitted != 0 {
			t.Errorf("%s: %+v, %v\nwant %+v", id, got, err, want)
		}
	}
	if _, err := c.Attempts(t.Context(), "own", "none"); err == nil {
		t.Error("a run that isn't there has attempts")
	}
	many := &attempts{}
	for range mostAttempts + 5 {
		creating := state(run.Creating, 2, "after: x")
		many.add(&creating)
	}
	if len(many.Attempts.Attempts) != mostAttempts || many.Omitted != 5 {
		t.Errorf("%d attempts, %d omitted", len(many.Attempts.Attempts), many.Omitted)
	}
}
