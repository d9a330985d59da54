package host

import (
	"context"
	"errors"
	"fmt"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/workflow"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// Resume returns an earlier run of a workflow, given by the beginning of its id, to be resumed. No other process can have it
// until it is closed.
func (h *Host) Resume(ctx context.Context, id string) (_ *WorkflowRun, err error) {
	runs := h.Runs()
	if id, err = runs.Find(id); err != nil {
		return nil, err
	}
	journal, err := runs.Open(id)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, journal.Close())
		}
	}()
	past, err := workflow.Recall(ctx, id, journal, h.Secrets())
	if err != nil {
		return nil, err
	}
	w, err := currentWorkflow(past.Header)
	if err != nil {
		return nil, err
	}
	values, err := w.Values(past.Header.Inputs)
	if err != nil {
		return nil, err
	}
	r := h.workflowRun(w, values)
	r.Header, r.past, r.journal = past.Header, past, journal
	r.States = r.Plan.Resume(past)
	return r, nil
}

// currentWorkflow reads the definition of a run as it is now: what made the run fail may have been fixed since.
func currentWorkflow(h workflow.Header) (*definition.Workflow, error) {
	def, err := func() (*definition.Definition, error) {
		if h.Text != "" {
			return definition.Parse("-", []byte(h.Text))
		}
		return definition.Load(h.File)
	}()
	switch {
	case err != nil:
		return nil, err
	case def.Workflow == nil:
		return nil, fmt.Errorf("%s is no longer a workflow, so run %s can't be resumed", h.File, h.ID)
	}
	if h.Text != "" {
		def.Workflow.Source.Dir = h.Dir
	}
	return def.Workflow, def.Workflow.Resolve()
}

// Succeeded reports whether the run had succeeded before it was resumed.
func (r *WorkflowRun) Succeeded() bool { return r.past != nil && r.past.Status == run.Succeeded }
