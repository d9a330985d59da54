package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mayfly-run/mayfly/internal/condition"
	"github.com/mayfly-run/mayfly/internal/content"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/run/local"
	"github.com/mayfly-run/mayfly/internal/secret"
	"github.com/mayfly-run/mayfly/internal/tool"
	"github.com/mayfly-run/mayfly/internal/workflow"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// WorkflowRun is one run of a workflow on this machine: a new one, or an earlier one that is resumed. It is used in this
// order: Check, Select, Begin, Execute; and Close, whatever happened. Nothing has run before Execute.
type WorkflowRun struct {
	// Header is what the run's journal keeps of how the run was asked for.
	Header   workflow.Header
	Workflow *definition.Workflow
	Plan     *workflow.Plan
	States   *workflow.States

	runs       workflow.Runs
	sealer     run.Sealer // seals the secrets in the journal
	conditions *condition.Process
	past       *workflow.Past   // nil for a new run
	journal    workflow.Journal // of a new run from Begin on
	partial    bool             // not all steps were selected
	again      []string         // steps that begin anew although something of them has succeeded

	// From Begin on.
	runner      *local.Runner
	environment []tool.EnvVar
}

// WorkflowRequest is how a new run of a workflow is asked for. The run's journal keeps it, so that the run can be resumed.
type WorkflowRequest struct {
	Workflow *definition.Workflow
	// Text is the definition itself, if it isn't in a file.
	Text   string
	Inputs map[string]any
	// Environment has a NAME=VALUE for each variable of all steps, or the NAME of one that this process has.
	Environment []string
	// Secrets says where secrets are: NAME=env:VARIABLE or NAME=file:PATH.
	Secrets []string
}

// NewWorkflow returns a new run of a workflow that is resolved.
func (h *Host) NewWorkflow(req WorkflowRequest) (*WorkflowRun, error) {
	values, err := req.Workflow.Values(req.Inputs)
	if err != nil {
		return nil, err
	}
	cwd, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	r := h.workflowRun(req.Workflow, values)
	r.States = r.Plan.NewStates()
	r.Header = workflow.Header{
		ID: run.NewID(), Workflow: req.Workflow.Name, Dir: cwd, Text: req.Text,
		Inputs: req.Inputs, Environment: req.Environment, Secrets: absoluteSecrets(cwd, req.Secrets),
	}
	if req.Text == "" {
		if r.Header.File, err = filepath.Abs(req.Workflow.Source.Path); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (h *Host) workflowRun(w *definition.Workflow, values map[string]any) *WorkflowRun {
	return &WorkflowRun{Workflow: w, Plan: workflow.NewPlan(w, values), runs: h.Runs(), sealer: h.Secrets(), conditions: condition.NewProcess("")}
}

// absoluteSecrets are places of secrets that mean the same in any folder.
func absoluteSecrets(cwd string, places []string) []string {
	out := make([]string, len(places))
	for i, place := range places {
		out[i] = place
		if name, path, ok := strings.Cut(place, "=file:"); ok && !filepath.IsAbs(path) {
			out[i] = name + "=file:" + filepath.Join(cwd, path)
		}
	}
	return out
}

// Close ends the run's part of this process. It may be called at any time, also twice.
func (r *WorkflowRun) Close() error {
	err := r.conditions.Close()
	if r.journal != nil {
		err = errors.Join(err, r.journal.Close())
		r.journal = nil
	}
	return err
}

// Check finds what is wrong with the inputs of steps and with conditions.
func (r *WorkflowRun) Check(ctx context.Context) error {
	if err := r.Plan.CheckInputs(); err != nil {
		return err
	}
	return workflow.CheckConditions(ctx, r.Plan, r.conditions)
}

// Select leaves out the steps that aren't selected.
func (r *WorkflowRun) Select(s workflow.Selection) (err error) {
	r.partial = s.From != "" || s.Only != "" || len(s.Skip) > 0
	r.again, err = r.Plan.Select(r.States, s)
	return err
}

// Begin checks that nothing stands in the way of the steps that are still to run, and opens the journal. environment is for
// all steps, above their own. The runner is this run's from here on.
func (r *WorkflowRun) Begin(ctx context.Context, runner *local.Runner, environment []tool.EnvVar, notice func(text string)) (err error) {
	r.runner, r.environment = runner, environment
	if err := r.runs.Prune(); err != nil {
		notice(fmt.Sprintf("old runs can't be removed: %v", err)) // this run doesn't need that
	}
	if err := errors.Join(r.checkArtifacts(), r.precheck(ctx)); err != nil {
		return err
	}
	for _, step := range r.Plan.Steps {
		DropNamedCaches(runner, step.Uses.Tool, notice)
	}
	if r.journal == nil {
		if r.journal, err = r.runs.Create(r.Header); err != nil {
			return err
		}
	}
	if runner.Sealer, err = secret.NewBox(); err != nil {
		return err
	}
	runner.Content = content.Store(r.artifactDir())
	return runner.Content.Sweep(r.artifacts()) // what a killed run was making, and what was made anew since
}

// ExecuteOptions are how the steps run, and who follows them.
type ExecuteOptions struct {
	run.Watch
	// Grace is the time between TERM and KILL when the run is cancelled, and KeepFor how long the sandbox of a step is kept
	// whose tool failed; 0 is not at all.
	Grace, KeepFor time.Duration
}

// Execute runs the steps that are still to run. The result is never nil.
func (r *WorkflowRun) Execute(ctx context.Context, o ExecuteOptions) (*run.Result, error) {
	opts := workflow.Options{
		ID: r.Header.ID, States: r.States, Resumed: r.past != nil, Again: r.again, Partial: r.partial,
		Journal: r.journal, JournalSealer: r.sealer, Environment: r.environment,
		Grace: o.Grace, KeepFor: o.KeepFor, Kill: o.Kill, Emit: o.Emit, Mocks: o.Mocks,
	}
	if r.past != nil {
		opts.Masked = r.past.Masked
	}
	executor := &workflow.Executor{Runner: r.runner, Conditions: r.conditions, Sealer: r.runner.Sealer}
	result, err := executor.Run(ctx, r.Plan, opts)
	if result.Status == run.Succeeded && !r.partial {
		err = errors.Join(err, r.RemoveArtifacts()) // all steps have run that could need one
	}
	return result, err
}

func (r *WorkflowRun) artifactDir() string { return r.runs.ArtifactDir(r.Header.ID) }

// RemoveArtifacts removes what steps have made for later ones.
func (r *WorkflowRun) RemoveArtifacts() error { return os.RemoveAll(r.artifactDir()) }

// artifacts are the digests of what the steps have made so far.
func (r *WorkflowRun) artifacts() map[string]bool {
	digests := map[string]bool{}
	for i := range r.States.Steps {
		for _, digest := range r.States.Steps[i].Artifacts {
			digests[digest] = true
		}
	}
	return digests
}

// checkArtifacts finds an artifact that a step needs and that no longer exists: a run that succeeded as a whole keeps none.
func (r *WorkflowRun) checkArtifacts() error {
	for i, step := range r.Plan.Steps {
		if r.States.Steps[i].Ended() {
			continue
		}
		for _, a := range step.Artifacts {
			if a.From == "" {
				continue // the step makes it
			}
			maker := r.Plan.State(r.States, a.From)
			if maker.Status != run.Succeeded {
				continue // it is still to run
			}
			if err := r.checkArtifact(step.Name, a.Name, a.From, maker.Artifacts[a.Name]); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkArtifact looks for the artifact of a digest that one step needs of another.
func (r *WorkflowRun) checkArtifact(step, name, from, digest string) error {
	if digest == "" {
		return fmt.Errorf("step %s needs the artifact %s, which step %s didn't make in this run: the workflow has changed since, or an earlier version of Mayfly ran it; resume with --from %s", step, name, from, from)
	}
	file, err := content.Store(r.artifactDir()).Path(digest)
	if err != nil {
		return err
	}
	if _, err = os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("step %s needs the artifact %s of step %s, which no longer exists: a run that has succeeded keeps no artifacts; resume with --from %s", step, name, from, from)
	}
	return err
}
