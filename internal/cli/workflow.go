package cli

import (
	"context"
	"errors"
	"os"

	"github.com/mayfly-run/mayfly/internal/host"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/run/local"
	"github.com/mayfly-run/mayfly/internal/show"
	"github.com/mayfly-run/mayfly/internal/tool"
	"github.com/mayfly-run/mayfly/internal/workflow"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// runWorkflow runs a workflow from its beginning. text is its definition if it came from standard input.
func (f *runFlags) runWorkflow(ctx context.Context, s streams, w *definition.Workflow, text string) (err error) {
	if err := f.checkWorkflowFlags(); err != nil {
		return err
	}
	inputs, err := assignments(f.args)
	if err != nil {
		return err
	}
	h, err := host.Open()
	if err != nil {
		return err
	}
	r, err := h.NewWorkflow(host.WorkflowRequest{Workflow: w, Text: text, Inputs: inputs, Environment: f.env, Secrets: f.secrets})
	if err != nil {
		return f.alsoSecrets(ctx, s, h, w, explainInputs(w.Inputs, nil, err))
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if err := f.checkSecretFlags(toolsOf(w)...); err != nil {
		return err
	}
	return f.execute(ctx, s, h, r)
}

// alsoSecrets adds to what is wrong with a workflow's inputs the secrets that exist nowhere, so that everything that is missing is
// named at once.
func (f *runFlags) alsoSecrets(ctx context.Context, s streams, h *host.Host, w *definition.Workflow, wrong error) error {
	if f.dryRun || f.only != "" || f.from != "" || len(f.skip) > 0 {
		return wrong // not every secret is needed
	}
	env, err := variables(f.env)
	if err != nil {
		return errors.Join(wrong, err)
	}
	runner, err := openRunner(h, "mayfly run", f.secrets, s.in, host.RunnerOptions{Pull: f.pull})
	if err != nil {
		return errors.Join(wrong, err)
	}
	return errors.Join(wrong, host.MissingSecrets(ctx, runner.Secrets, w, env))
}

func toolsOf(w *definition.Workflow) []*tool.Tool {
	var tools []*tool.Tool
	for _, step := range w.All() {
		tools = append(tools, step.Uses.Tool)
	}
	return tools
}

// execute runs what is left of a workflow, or says with --dry-run what that would be.
func (f *runFlags) execute(ctx context.Context, s streams, h *host.Host, r *host.WorkflowRun) error {
	environment, err := f.settle(ctx, r)
	if err != nil {
		return err
	}
	runner, err := openRunner(h, "mayfly run", f.secrets, s.in, host.RunnerOptions{Pull: f.pull, Unmasked: f.unmasked(s)})
	if err != nil {
		return err
	}
	if f.dryRun {
		return f.printPlan(ctx, s, r, runner, environment)
	}
	if err := r.Begin(ctx, runner, environment, f.notice(s)); err != nil {
		return err
	}
	return f.followWorkflow(ctx, s, r)
}

// settle applies the flags to a run, and checks what can be checked of it without this machine.
func (f *runFlags) settle(ctx context.Context, r *host.WorkflowRun) (environment []tool.EnvVar, err error) {
	if f.timeout != "" {
		if err := r.Workflow.SetTimeout(f.timeout); err != nil {
			return nil, runUsage("--timeout: %w", err)
		}
	}
	if environment, err = variables(f.env); err != nil {
		return nil, err
	}
	if err := r.Check(ctx); err != nil {
		return nil, err
	}
	if err := r.Select(workflow.Selection{From: f.from, Only: f.only, Skip: f.skip}); err != nil {
		return nil, &usageError{command: "mayfly run", err: err}
	}
	return environment, nil
}

// printPlan prints what a run of the workflow would do.
func (f *runFlags) printPlan(ctx context.Context, s streams, r *host.WorkflowRun, runner *local.Runner, environment []tool.EnvVar) error {
	steps, err := r.Forecast(ctx, runner, environment)
	if err != nil {
		return err
	}
	if f.json {
		return printJSON(s.out, map[string]any{"workflow": r.Workflow.Name, "max_parallel": r.Plan.MaxParallel, "steps": steps})
	}
	return printSteps(s.out, r, steps)
}

// followWorkflow runs the steps and shows them.
func (f *runFlags) followWorkflow(ctx context.Context, s streams, r *host.WorkflowRun) error {
	gone := make(chan struct{})
	s, forget := watchReaders(s, func() { close(gone) })
	defer forget()
	view := f.workflowView(s, r)
	ctx, kill, stop := cancelOnSignals(ctx, gone, view.Interrupted, func() {})
	defer stop()
	result, err := r.Execute(ctx, host.ExecuteOptions{
		Watch: run.Watch{Emit: view.Event, Kill: kill}, Grace: f.grace, KeepFor: f.keep(),
	})
	if err := view.Finish(result, err); err != nil {
		return err
	}
	return statusOf(result)
}

// workflowView shows a workflow's run.
func (f *runFlags) workflowView(s streams, r *host.WorkflowRun) show.View {
	if f.json {
		return show.NewJSON(s.out)
	}
	w := show.Workflow{Name: r.Workflow.Name, Run: r.Header.ID}
	for i, step := range r.Plan.Steps {
		st := &r.States.Steps[i]
		w.Steps = append(w.Steps, show.Step{Name: step.Name, Status: st.Status, Reason: st.Reason})
	}
	return f.newWorkflowView(s, w)
}

func (f *runFlags) newWorkflowView(s streams, w show.Workflow) show.View {
	onGitHub := os.Getenv("GITHUB_ACTIONS")
	return show.NewWorkflow(s.output(), show.WorkflowOptions{
		Quiet: f.quiet, Groups: onGitHub == "true" || onGitHub == "1", Grace: f.grace,
	}, w)
}
