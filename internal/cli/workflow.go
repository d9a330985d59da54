package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/mayfly-run/mayfly/internal/condition"
	"github.com/mayfly-run/mayfly/internal/content"
	"github.com/mayfly-run/mayfly/internal/host"
	"github.com/mayfly-run/mayfly/internal/ownership"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/secret"
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

// begun is a run of a workflow before its first step.
type begun struct {
	id     string
	def    *definition.Workflow
	plan   *workflow.Plan
	states *workflow.States
	// resumed says that the run goes on; masked are the secrets that its steps have handed on before.
	resumed bool
	masked  [][]byte
}

// runWorkflow runs a workflow from its beginning. text is its definition where that came from standard input.
func (f *runFlags) runWorkflow(ctx context.Context, s streams, w *definition.Workflow, text string) error {
	if err := f.checkWorkflowFlags(); err != nil {
		return err
	}
	given, err := assignments(f.args)
	if err != nil {
		return err
	}
	values, err := w.Values(given)
	if err != nil {
		return f.alsoSecrets(ctx, s, w, err)
	}
	if err := f.checkSecretFlags(toolsOf(w)...); err != nil {
		return err
	}
	b := &begun{id: run.NewID(), def: w, plan: workflow.NewPlan(w, values)}
	b.states = b.plan.NewStates()
	return f.execute(ctx, s, b, func(store workflow.Runs) (workflow.Journal, error) {
		cwd, err := os.Getwd()
		if err != nil {
			return nil, err
		}
		h := workflow.Header{
			ID: b.id, Workflow: w.Name, Dir: cwd, Text: text,
			Inputs: given, Environment: f.env, Secrets: absoluteSecrets(cwd, f.secrets),
		}
		if text == "" {
			if h.File, err = filepath.Abs(w.Source.Path); err != nil {
				return nil, err
			}
		}
		return store.Create(h)
	})
}

// resumeWorkflow goes on with a run of a workflow.
func (f *runFlags) resumeWorkflow(ctx context.Context, s streams) error {
	vetted, err := f.vetResumed(ctx)
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
	store, journal, past, err := f.openPast(ctx)
	if err != nil {
		return err
	}
	w, err := f.pastWorkflow(past)
	if err != nil {
		return errors.Join(err, journal.Close())
	}
	values, err := w.Values(past.Header.Inputs)
	if err != nil {
		return errors.Join(err, journal.Close())
	}
	if err := f.checkSecretFlags(toolsOf(w)...); err != nil {
		return errors.Join(err, journal.Close())
	}
	f.secrets = append(missingFrom(past.Header.Secrets, f.secrets), f.secrets...)
	f.env = append(past.Header.Environment, f.env...)
	b := &begun{id: past.Header.ID, def: w, plan: workflow.NewPlan(w, values), resumed: true, masked: past.Masked}
	b.states = b.plan.Resume(past)
	if past.Status == run.Succeeded && f.from == "" && f.only == "" {
		fmt.Fprintf(s.err, "mayfly: run %s has succeeded already; to run a part of it again, add --from STEP\n", b.id)
		return errors.Join(os.RemoveAll(store.ArtifactDir(b.id)), journal.Close()) // it may have been killed before it did so
	}
	return f.execute(ctx, s, b, func(workflow.Runs) (workflow.Journal, error) { return journal, nil })
}

// pastWorkflow reads the definition of a run as it is now: what made it fail may have been fixed since.
func (f *runFlags) pastWorkflow(past *workflow.Past) (*definition.Workflow, error) {
	h := past.Header
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
		return nil, fmt.Errorf("%s is no longer a workflow, so run %s can't go on", h.File, h.ID)
	}
	if h.Text != "" {
		def.Workflow.Source.Dir = h.Dir
	}
	return def.Workflow, def.Workflow.Resolve()
}

func toolsOf(w *definition.Workflow) []*tool.Tool {
	var tools []*tool.Tool
	for _, step := range w.All() {
		tools = append(tools, step.Uses.Tool)
	}
	return tools
}

// openPast opens the run that goes on.
func (f *runFlags) openPast(ctx context.Context) (workflow.Runs, workflow.Journal, *workflow.Past, error) {
	h, err := host.Open()
	if err != nil {
		return workflow.Runs{}, nil, nil, err
	}
	store := h.Runs()
	id, err := store.Find(f.resume)
	if err != nil {
		return store, nil, nil, err
	}
	journal, err := store.Open(id)
	if err != nil {
		return store, nil, nil, err
	}
	past, err := workflow.Recall(ctx, id, journal, h.Secrets())
	if err != nil {
		return store, nil, nil, errors.Join(err, journal.Close())
	}
	return store, journal, past, nil
}

// vetResumed is [vet] for the workflow of a run that goes on.
func (f *runFlags) vetResumed(ctx context.Context) (ownership.Vetted, error) {
	if os.Geteuid() == 0 {
		return "", nil
	}
	_, journal, past, err := f.openPast(ctx)
	if err != nil {
		return "", err
	}
	_, err = f.pastWorkflow(past)
	return ownership.VettedAll, errors.Join(err, journal.Close())
}

// absoluteSecrets are secret flags that mean the same in any folder.
func absoluteSecrets(cwd string, flags []string) []string {
	out := make([]string, len(flags))
	for i, flag := range flags {
		out[i] = flag
		if name, path, ok := strings.Cut(flag, "=file:"); ok && !filepath.IsAbs(path) {
			out[i] = name + "=file:" + filepath.Join(cwd, path)
		}
	}
	return out
}

// missingFrom returns the secret flags of a past run that the command line doesn't give anew.
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

// checkWorkflowFlags refuses flags that are about one tool.
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

// execute runs what is left of a workflow. open opens its journal once everything else is known to be right.
func (f *runFlags) execute(ctx context.Context, s streams, b *begun, open func(workflow.Runs) (workflow.Journal, error)) (err error) {
	conditions := condition.NewProcess("")
	defer func() { err = errors.Join(err, conditions.Close()) }()
	opts, err := f.settle(ctx, b, conditions)
	if err != nil {
		return err
	}
	if f.dryRun {
		return f.printPlan(ctx, s, b, opts.Environment, conditions)
	}
	h, err := host.Open()
	if err != nil {
		return err
	}
	runner, err := openRunner(h, "mayfly run", f.secrets, s.in, host.RunnerOptions{Pull: f.pull})
	if err != nil {
		return err
	}
	store := h.Runs()
	if err := store.Prune(); err != nil {
		f.notice(s)(fmt.Sprintf("old runs can't be removed: %v", err)) // the run goes on without it
	}
	if err := errors.Join(b.checkArtifacts(store), b.precheck(ctx, runner, opts.Environment, conditions)); err != nil {
		return err
	}
	for _, step := range b.plan.Steps {
		host.DropNamedCaches(runner, step.Uses.Tool, f.notice(s))
	}
	journal, err := open(store)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, journal.Close()) }()
	if runner.Sealer, err = secret.NewBox(); err != nil {
		return err
	}
	gone := make(chan struct{})
	s, forget := watchReaders(s, func() { close(gone) })
	defer forget()
	view := f.workflowView(s, b)
	opts.Journal, opts.JournalSealer, opts.Emit = journal, h.Secrets(), view.Event
	runner.Content = content.Store(store.ArtifactDir(b.id))
	if err := runner.Content.Sweep(b.artifacts()); err != nil { // what a killed run was making, and what was made anew since
		return err
	}
	ctx, kill, stop := cancelOnSignals(ctx, gone, view.Interrupted, func() {})
	defer stop()
	opts.Kill, opts.Masked = kill, b.masked
	executor := &workflow.Executor{Runner: runner, Conditions: conditions, Sealer: runner.Sealer}
	result, err := executor.Run(ctx, b.plan, opts)
	if result.Status == run.Succeeded && !opts.Partial {
		err = errors.Join(err, os.RemoveAll(store.ArtifactDir(b.id))) // all have run that could want one
	}
	if err := view.Finish(result, err); err != nil {
		return err
	}
	if result.ExitCode == 0 {
		return nil
	}
	return &exitError{status: result.ExitCode}
}

// workflowView shows a workflow's run.
func (f *runFlags) workflowView(s streams, b *begun) show.View {
	onGitHub := os.Getenv("GITHUB_ACTIONS")
	w := show.Workflow{Name: b.def.Name, Run: b.id}
	for i, step := range b.plan.Steps {
		w.Steps = append(w.Steps, show.Step{Name: step.Name, Status: b.states.Steps[i].Status, Reason: b.states.Steps[i].Reason})
	}
	return show.NewWorkflow(s.output(), show.WorkflowOptions{
		JSON: f.json, Quiet: f.quiet, Groups: onGitHub == "true" || onGitHub == "1", Grace: f.grace,
	}, w)
}

// settle checks what can be checked before anything runs, and says how the workflow is run.
func (f *runFlags) settle(ctx context.Context, b *begun, conditions condition.Evaluator) (workflow.Options, error) {
	opts := workflow.Options{
		ID: b.id, States: b.states, Resumed: b.resumed, Grace: f.grace,
		Partial: f.from != "" || f.only != "" || len(f.skip) > 0,
	}
	if f.keepOnFailure {
		opts.KeepFor = f.keepFor
	}
	if f.timeout != "" {
		if err := b.def.SetTimeout(f.timeout); err != nil {
			return opts, runUsage("--timeout: %w", err)
		}
	}
	var err error
	if opts.Environment, err = variables(f.env); err != nil {
		return opts, err
	}
	if err := b.plan.CheckInputs(); err != nil {
		return opts, err
	}
	if err := workflow.CheckConditions(ctx, b.plan, conditions); err != nil {
		return opts, err
	}
	if opts.Again, err = b.plan.Select(b.states, workflow.Selection{From: f.from, Only: f.only, Skip: f.skip}); err != nil {
		return opts, &usageError{command: "mayfly run", err: err}
	}
	return opts, nil
}

// artifacts are the digests of what the steps have made so far.
func (b *begun) artifacts() map[string]bool {
	digests := map[string]bool{}
	for i := range b.states.Steps {
		for _, digest := range b.states.Steps[i].Artifacts {
			digests[digest] = true
		}
	}
	return digests
}

// checkArtifacts finds artifacts that are gone, before anything runs: a run that succeeded as a whole keeps none.
func (b *begun) checkArtifacts(store workflow.Runs) error {
	artifacts := content.Store(store.ArtifactDir(b.id))
	for i, step := range b.plan.Steps {
		if b.states.Steps[i].Ended() {
			continue
		}
		for _, a := range step.Artifacts {
			if a.From == "" || b.plan.State(b.states, a.From).Status != run.Succeeded {
				continue
			}
			digest := b.plan.State(b.states, a.From).Artifacts[a.Name]
			if digest == "" {
				return fmt.Errorf("step %s needs the artifact %s, which step %s didn't make in this run: the workflow has changed since, or an earlier version of Mayfly ran it; go on with --from %s", step.Name, a.Name, a.From, a.From)
			}
			file, err := artifacts.Path(digest)
			if err != nil {
				return err
			}
			if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("step %s needs the artifact %s of step %s, which is gone: a run that has succeeded keeps none; go on with --from %s", step.Name, a.Name, a.From, a.From)
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}
