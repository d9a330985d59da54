package server

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// unread is a store that is to read no run.
type unread struct {
	Store
	t *testing.T
}

func (u unread) Run(ctx context.Context, project, id string) (store.Run, error) {
	u.t.Error("a run is read although all places are taken")
	return u.Store.Run(ctx, project, id)
}

// TestWholeAtOnce has more requests for all of a log than are worked on at once: they wait until a place is free, or until they end.
func TestWholeAtOnce(t *testing.T) {
	r := newRig(t)
	r.ran(t, store.NewRun{ID: "a"}, nil, run.Event{State: &run.StateChange{State: run.Running}})
	in := struct {
		InProject
		RunID
	}{InProject{"own"}, RunID{"a"}}
	for name, ask := range map[string]func(context.Context) error{
		"metrics": func(ctx context.Context) error {
			_, err := r.runMetrics(ctx, &in)
			return err
		},
		"attempts": func(ctx context.Context) error {
			_, err := r.listAttempts(ctx, &in)
			return err
		},
		"connections": func(ctx context.Context) error {
			_, err := r.runConnections(ctx, &in)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range wholeAtOnce {
				r.whole <- struct{}{}
			}
			ended, end := context.WithCancel(t.Context())
			end()
			real := r.store
			r.store = unread{real, t}
			err := ask(ended)
			r.store = real
			var p *api.Problem
			if !errors.As(err, &p) || p.Reason != run.CodeCancelled {
				t.Errorf("without a place: %v", err)
			}
			done := make(chan error, 1)
			go func() { done <- ask(t.Context()) }()
			for range wholeAtOnce {
				<-r.whole
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
			if len(r.whole) != 0 {
				t.Errorf("%d places are taken afterwards", len(r.whole))
			}
		})
	}
}

// TestCurve checks that the samples that are left of a long run are evenly spread, in each step.
func TestCurve(t *testing.T) {
	c := &curve{seen: map[string]int{}, every: 1}
	begin := time.Unix(0, 0)
	const n = 7777
	for i := range n {
		c.add(api.Sample{Time: begin.Add(time.Duration(i) * time.Second), Step: []string{"a", "b"}[i%2]})
	}
	if len(c.samples) > mostSamples || len(c.samples) < mostSamples/3 {
		t.Errorf("%d samples", len(c.samples))
	}
	last, gap := map[string]time.Time{}, time.Duration(2*c.every)*time.Second
	for _, one := range c.samples {
		if before, ok := last[one.Step]; ok && one.Time.Sub(before) != gap {
			t.Fatalf("%s after another one of %s, want %s", one.Time.Sub(before), one.Step, gap)
		}
		last[one.Step] = one.Time
	}
	if len(last) != 2 {
		t.Errorf("%d steps", len(last))
	}
}
