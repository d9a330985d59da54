package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/mayfly-run/mayfly/internal/host"
	"github.com/mayfly-run/mayfly/internal/ownership"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/run/local"
	"github.com/mayfly-run/mayfly/internal/show"
	"github.com/mayfly-run/mayfly/internal/tool"
	"github.com/mayfly-run/mayfly/internal/workflow"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// checkArgs checks what the command line names.
func (f *runFlags) checkArgs(args []string, dash int) error {
	switch {
	case f.image != "" && f.resume != "":
		return errors.New("--resume knows what it runs: leave --image out")
	case f.image != "" && len(args) > 0 && dash != 0:
		return fmt.Errorf("with --image a command stands after --, and there is no file: mayfly run --image %s -- %s", f.image, strings.Join(args, " "))
	case f.image != "":
		return nil
	case f.resume == "" && len(args) != 1:
		return explainArguments(args)
	case f.resume != "" && len(args) > 0:
		return errors.New("--resume knows which workflow it is: leave the file out")
	}
	return nil
}

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
		return f.alsoSecrets(ctx, s, h, w, err)
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

// resumeWorkflow resumes a run of a workflow.
func (f *runFlags) resumeWorkflow(ctx context.Context, s streams) (err error) {
	h, err := host.Open()
	if err != nil {
		return err
	}
	vetted, err := f.vetResumed(ctx, h)
	if err != nil {
		return err
	}
	if err := enterNamespace(vetted); err != nil {
		return err
	}
	if err := f.readEnvFile(); err != nil {
		return err
	}
	if err := f.checkWorkflowFlags(); err != nil {
		return err
	}
	if len(f.args) > 0 {
		return runUsage("--arg: a run that goes on keeps its inputs; run the workflow anew to give others")
	}
	r, err := h.Resume(ctx, f.resume)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if err := f.checkSecretFlags(toolsOf(r.Workflow)...); err != nil {
		return err
	}
	f.secrets = append(missingFrom(r.Header.Secrets, f.secrets), f.secrets...)
	f.env = append(r.Header.Environment, f.env...)
	if r.Succeeded() && f.from == "" && f.only == "" {
		fmt.Fprintf(s.err, "mayfly: run %s has succeeded already; to run a part of it again, add --from STEP\n", r.Header.ID)
		return r.RemoveArtifacts() // it may have been killed before it did so
	}
	return f.execute(ctx, s, h, r)
}

// vetResumed is [vet] for the workflow of a run that is resumed.
func (f *runFlags) vetResumed(ctx context.Context, h *host.Host) (ownership.Vetted, error) {
	if os.Geteuid() == 0 {
		return "", nil
	}
	r, err := h.Resume(ctx, f.resume)
	if err != nil {
		return "", err
	}
	return ownership.VettedAll, r.Close()
}

func toolsOf(w *definition.Workflow) []*tool.Tool {
	var tools []*tool.Tool
	for _, step := range w.All() {
		tools = append(tools, step.Uses.Tool)
	}
	return tools
}

// missingFrom returns the secret flags of a past run that the command line doesn't give again.
func missingFrom(past, now []string) []string {
	given := map[string]bool{}
	for _, flag := range now {
		name, _, _ := strings.Cut(flag, "=")
		given[name] = true
	}
	var out []string
	for _, flag := range past {
		if name, _, _ := strings.Cut(flag, "="); !given[name] {
			out = append(out, flag)
		}
	}
	return out
}

// checkWorkflowFlags refuses flags that are for one tool.
func (f *runFlags) checkWorkflowFlags() error {
	for name, value := range f.resources {
		if *value != "" {
			return runUsage("--%s is for a tool; set resources in the tools of the workflow", name)
		}
	}
	switch {
	case f.user != "", f.network != "":
		return runUsage("--user and --network are for a tool; the tools of the workflow say them: security: {user: …}, network")
	case f.interactive, f.tty:
		return runUsage("--interactive and --tty are for a tool: the steps of a workflow have no terminal")
	case f.suggestEgress:
		return runUsage("--suggest-egress is for a tool; --json has the rule of each connection of a step")
	}
	environment, err := variables(f.env)
	if err != nil {
		return err
	}
	for _, v := range environment {
		if !utf8.ValidString(v.Value) {
			return runUsage("--env %s: its value is not UTF-8, and the journal of a workflow's run keeps text; encode it, with base64 say", v.Name)
		}
	}
	for _, arg := range f.args {
		if name, value, _ := strings.Cut(arg, "="); !utf8.ValidString(value) {
			return runUsage("--arg %s: its value is not UTF-8, and the journal of a workflow's run keeps text; encode it, with base64 say", name)
		}
	}
	return f.checkValues()
}

// execute runs what is left of a workflow, or says with --dry-run what that would be.
func (f *runFlags) execute(ctx context.Context, s streams, h *host.Host, r *host.WorkflowRun) error {
	environment, err := f.settle(ctx, r)
	if err != nil {
		return err
	}
	runner, err := openRunner(h, "mayfly run", f.secrets, s.in, host.RunnerOptions{Pull: f.pull})
	if err != nil {
		return err
	}
	if f.dryRun {
		return f.printPlan(ctx, s, r, runner, environment)
	}
	if err := r.Begin(ctx, runner, environment, f.notice(s)); err != nil {
		return err
	}
	return f.follow(ctx, s, r)
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

// follow runs the steps and shows them.
func (f *runFlags) follow(ctx context.Context, s streams, r *host.WorkflowRun) error {
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
	onGitHub := os.Getenv("GITHUB_ACTIONS")
	w := show.Workflow{Name: r.Workflow.Name, Run: r.Header.ID}
	for i, step := range r.Plan.Steps {
		st := &r.States.Steps[i]
		w.Steps = append(w.Steps, show.Step{Name: step.Name, Status: st.Status, Reason: st.Reason})
	}
	return show.NewWorkflow(s.output(), show.WorkflowOptions{
		JSON: f.json, Quiet: f.quiet, Groups: onGitHub == "true" || onGitHub == "1", Grace: f.grace,
	}, w)
}
