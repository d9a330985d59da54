package server

import (
	"errors"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"testing"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
)

// TestRerunChanges repeats a run with changes. What they don't name stays as it was, and the old run is as it was.
func TestRerunChanges(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	c := r.client(t, RoleAdmin)
	if _, err := c.CreateVersion(ctx, "own", "t", &api.NewVersion{Bundle: *r.sent(t, "name: t\nimage: busybox\ncommand: [echo]\nargs: [{name: a}, {name: n, type: integer}]\n")}); err != nil {
		t.Fatal(err)
	}
	first, err := c.CreateRun(ctx, "own", &api.NewRun{
		Tool: "t", Inputs: map[string]any{"a": "1", "n": 1}, Environment: map[string]string{"X": "1", "Y": "1"}, Set: map[string]string{"memory": "64Mi", "cpu": "1"}, Priority: 3,
	})
	if err != nil {
		t.Fatal(err)
	}
	before, err := c.Request(ctx, "own", first.ID)
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.Rerun(ctx, "own", first.ID, &api.Changes{Inputs: map[string]any{"n": 2}, Environment: map[string]string{"Y": "2", "Z": "2"}, Set: map[string]string{"memory": "128Mi"}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Request(ctx, "own", again.ID)
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(got.Inputs, map[string]any{"a": "1", "n": 2.0}) || !maps.Equal(got.Environment, map[string]string{"X": "1", "Y": "2", "Z": "2"}) ||
		!maps.Equal(got.Set, map[string]string{"memory": "128Mi", "cpu": "1"}) || got.Definition.Limits.MemoryBytes != 128<<20 || got.Priority != 3 || got.Version != 1 {
		t.Errorf("%+v, %+v", got, got.Definition.Limits)
	}
	if one, err := r.store.Run(ctx, "own", again.ID); err != nil || one.Size.Memory != 128<<20 {
		t.Errorf("it asks for %+v, %v", one.Size, err)
	}
	if after, err := c.Request(ctx, "own", first.ID); err != nil || !reflect.DeepEqual(after, before) {
		t.Errorf("the first run is now %+v, %v", after, err)
	}
	for _, same := range []*api.Changes{nil, {}} {
		last, err := c.Rerun(ctx, "own", again.ID, same)
		if err != nil {
			t.Fatal(err)
		}
		if now, err := c.Request(ctx, "own", last.ID); err != nil || !reflect.DeepEqual(now, got) {
			t.Errorf("with %+v: %+v, %v, want %+v", same, now, err, got)
		}
	}
	for _, keep := range []bool{true, false} {
		last, err := c.Rerun(ctx, "own", again.ID, &api.Changes{KeepOnFailure: &keep})
		if err != nil {
			t.Fatal(err)
		}
		again = last
		now, err := c.Request(ctx, "own", last.ID)
		row, rowErr := r.store.Run(ctx, "own", last.ID)
		if err != nil || rowErr != nil || now.KeepOnFailure != keep || slices.Contains(row.Needs, needsKeeping) != keep {
			t.Errorf("with %v: %v, needs %v, %v, %v", keep, now.KeepOnFailure, row.Needs, err, rowErr)
		}
	}
	for _, wrong := range []struct {
		changes api.Changes
		status  int
		code    run.Code
	}{
		{api.Changes{Inputs: map[string]any{"n": "x"}}, http.StatusUnprocessableEntity, run.CodeInvalidInput},
		{api.Changes{Inputs: map[string]any{"none": "x"}}, http.StatusUnprocessableEntity, run.CodeInvalidInput},
		{api.Changes{Set: map[string]string{"memory": "x"}}, http.StatusUnprocessableEntity, run.CodeInvalidInput},
		{api.Changes{Set: map[string]string{"image": "x"}}, http.StatusUnprocessableEntity, run.CodeInvalidInput},
	} {
		var p *api.Problem
		if _, err := c.Rerun(ctx, "own", first.ID, &wrong.changes); !errors.As(err, &p) || p.Status != wrong.status || p.Reason != wrong.code {
			t.Errorf("%+v: %v", wrong.changes, err)
		}
	}
}

// TestRerunChangesWorkflow repeats a run of a workflow with changes, and with the versions of its tools that it had.
func TestRerunChangesWorkflow(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	c := r.client(t, RoleAdmin)
	push := func(name, text string) {
		t.Helper()
		if _, err := c.CreateVersion(ctx, "own", name, &api.NewVersion{Bundle: *r.sent(t, text)}); err != nil {
			t.Fatal(err)
		}
	}
	push("t", oneTool)
	push("f", "name: f\ninputs: [{name: who}, {name: n, type: integer}]\nworkflow: [{name: a, tool: t}]\n")
	first, err := c.CreateRun(ctx, "own", &api.NewRun{Tool: "f", Inputs: map[string]any{"who": "ada", "n": 1}, Environment: map[string]string{"X": "1"}, Set: map[string]string{"timeout": "1m"}})
	if err != nil {
		t.Fatal(err)
	}
	push("t", nextTool)
	again, err := c.Rerun(ctx, "own", first.ID, &api.Changes{Inputs: map[string]any{"n": 2}, Environment: map[string]string{"Y": "2"}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Request(ctx, "own", again.ID)
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(got.Inputs, map[string]any{"who": "ada", "n": 2.0}) || !maps.Equal(got.Environment, map[string]string{"X": "1", "Y": "2"}) ||
		got.Set["timeout"] != "1m" || got.Tools["t"] != 1 {
		t.Errorf("%+v", got)
	}
	for _, wrong := range []api.Changes{{KeepOnFailure: new(bool)}, {Inputs: map[string]any{"n": "x"}}, {Set: map[string]string{"memory": "1Gi"}}, {Set: map[string]string{"timeout": "x"}}} {
		var p *api.Problem
		if _, err := c.Rerun(ctx, "own", first.ID, &wrong); !errors.As(err, &p) || p.Reason != run.CodeInvalidInput && wrong.KeepOnFailure == nil {
			t.Errorf("%+v: %v", wrong, err)
		}
	}
}
