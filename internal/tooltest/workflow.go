package tooltest

import (
	"context"
	"io"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// Workflows executes workflows for tests of them.
type Workflows interface {
	// Execute runs a workflow to its end. A step of w.Steps isn't run but ends as is said there; every other is a run of
	// w.Runner whose request has w.Mocks. The error is that the workflow couldn't be run, as for one that is wrong.
	Execute(ctx context.Context, w *WorkflowRun) (*WorkflowResult, error)
}

// WorkflowRun is what a test of a workflow asks for.
type WorkflowRun struct {
	File        string
	Inputs      map[string]any
	Environment []tool.EnvVar
	Timeout     time.Duration // of each step's run; zero leaves the tool's own
	Steps       map[string]tool.StepMock

	Runner *run.Runner
	Mocks  *engine.Mocks
	Grace  time.Duration
	Kill   <-chan struct{}
	// Stdout and Stderr get what all steps print, secrets masked; Emit gets every event.
	Stdout, Stderr io.Writer
	Emit           func(run.Event)
}

// WorkflowResult is how a workflow ended.
type WorkflowResult struct {
	Result run.Result
	Steps  map[string]StepResult
}
