package server

import (
	"net/http"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// ran has a runner carry a run out: it reports the events, and the result unless it is nil.
func (r *rig) ran(t *testing.T, n store.NewRun, result *run.Result, events ...run.Event) {
	t.Helper()
	link := r.Link(defaultPool, "r", "instance0123456789012")
	if n.Request == nil {
		n.Request = []byte("{}")
	}
	if n.Kind == "" {
		n.Kind = "tool"
	}
	n.Project, n.Tool, n.Pool = "own", "t", defaultPool
	if err := r.store.Accept(t.Context(), n, &store.Lessee{Runner: link.holder(), Lease: r.lease}); err != nil {
		t.Fatal(err)
	}
	if result != nil {
		events = append(events, run.Event{Result: result})
	}
	for i := range events {
		events[i].Time = time.Date(2026, 1, 31, 12, 0, i, 0, time.UTC)
	}
	if _, err := link.Report(t.Context(), &api.Report{Holding: api.Holding{Run: n.ID, Attempt: 1}, First: 1, Events: events, Result: result}); err != nil {
		t.Fatal(err)
	}
}

// TestResult gets how a run ended, and how much a run has so far.
func TestResult(t *testing.T) {
	r := newRig(t)
	c := r.client(t, RoleViewer)
	text := out("one\ntwo\nthree")
	running := run.Event{State: &run.StateChange{State: run.Running}}
	r.ran(t, store.NewRun{ID: "going"}, nil, running, run.Event{Log: &text})
	one, err := c.Run(t.Context(), "own", "going")
	if err != nil || one.Events != 2 || one.Lines != 2 || one.Bytes < 100 {
		t.Errorf("%+v, %v; want 2 events and lines", one, err)
	}
	status, p := r.call(t, http.MethodGet, "/api/v1/projects/own/runs/going/result", r.tokens[RoleViewer], "")
	if status != http.StatusNotFound || p.Reason != run.CodeNotOver || p.Detail != "run going has no result yet: it is running" || p.Remedy != "follow its events, and ask again after its end" {
		t.Errorf("before the end: %d, %+v", status, p)
	}
	r.ran(t, store.NewRun{ID: "gone"}, &run.Result{
		Status: run.Failed, ExitCode: 3, Code: run.CodeToolFailed, Hint: "look at it", Outputs: map[string]string{"a": "b"}, Image: "x@sha256:1", Handed: []byte("sealed"),
		Usage: engine.Usage{MemoryPeakBytes: 7}, DeniedConnections: []engine.Connection{{Host: "example.com", Port: 443}},
	}, running)
	// Its log is removed.
	if dropped, err := r.store.DropLogs(t.Context(), store.Drop{Most: 10}); err != nil || dropped.Runs != 1 {
		t.Fatalf("removed %+v, %v", dropped, err)
	}
	result, err := c.Result(t.Context(), "own", "gone")
	if err != nil || result.ExitCode != 3 || result.Hint != "look at it" || result.Outputs["a"] != "b" || result.Image != "x@sha256:1" || result.Usage.MemoryPeakBytes != 7 ||
		len(result.DeniedConnections) != 1 || result.Handed != nil {
		t.Errorf("%+v, %v", result, err)
	}
	if one, err := c.Run(t.Context(), "own", "gone"); err != nil || one.Events != 2 || one.LogRemoved.IsZero() {
		t.Errorf("%+v, %v", one, err)
	}
}
