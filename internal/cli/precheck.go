package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/condition"
	"github.com/mayfly-run/mayfly/internal/host"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/run/local"
	"github.com/mayfly-run/mayfly/internal/secret"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/tool"
	"github.com/mayfly-run/mayfly/internal/workflow"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// This file finds what a run would fail of before its first step has changed anything.

// precheck returns everything for which a step that is still to run would be refused: the operator's policy, and secrets that nobody
// has. A step whose condition is known to be false isn't one of them.
func (b *begun) precheck(ctx context.Context, r *local.Runner, env []tool.EnvVar, conditions condition.Evaluator) error {
	ahead := *b
	ahead.states = &workflow.States{}
	*ahead.states = *b.states
	ahead.states.Steps = slices.Clone(b.states.Steps)
	var errs []error
	asked := map[string]bool{}
	for i, step := range b.plan.Steps {
		planned, err := planStep(ctx, &ahead, i, conditions)
		if err != nil {
			return err
		}
		if planned.Runs == "no" {
			if st := &ahead.states.Steps[i]; !st.Ended() {
				*st = workflow.StepState{Status: run.Skipped} // which others may need
			}
			continue
		}
		if err := checkStep(r, step); err != nil {
			errs = append(errs, fmt.Errorf("step %s: %w", step.Name, err))
		}
		errs = append(errs, missingSecrets(ctx, r.Secrets, b.def, step, env, asked)...)
	}
	return errors.Join(errs...)
}

// alsoSecrets adds to what is wrong with a workflow's inputs the secrets that nobody has, so that all that is missing is named
// at once. A step with a condition isn't looked at, since whether it runs can't be known without the inputs.
func (f *runFlags) alsoSecrets(ctx context.Context, s streams, w *definition.Workflow, wrong error) error {
	if f.dryRun || f.only != "" || f.from != "" || len(f.skip) > 0 {
		return wrong // not all that is named is needed
	}
	env, err := variables(f.env)
	if err != nil {
		return errors.Join(wrong, err)
	}
	h, err := host.Open()
	if err != nil {
		return errors.Join(wrong, err)
	}
	runner, err := openRunner(h, "mayfly run", f.secrets, s.in, host.RunnerOptions{Pull: f.pull})
	if err != nil {
		return errors.Join(wrong, err)
	}
	errs := []error{wrong}
	asked := map[string]bool{}
	for _, step := range w.All() {
		if step.Condition != nil {
			continue
		}
		errs = append(errs, missingSecrets(ctx, runner.Secrets, w, step, env, asked)...)
	}
	return errors.Join(errs...)
}

// missingSecrets are the secrets of a step that nobody has. Each is asked for once.
func missingSecrets(ctx context.Context, secrets secret.Source, w *definition.Workflow, step *definition.Step, env []tool.EnvVar, asked map[string]bool) (errs []error) {
	for _, name := range neededSecrets(w, step, env) {
		if asked[name] {
			continue
		}
		asked[name] = true
		// The value is dropped; the step reads it again.
		if _, err := secrets.Get(ctx, name); errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("step %s: %w", step.Name, err))
		}
	}
	return errs
}

// neededSecrets are the secrets of a step's tool, less those whose variable the workflow, the step or the command line sets.
func neededSecrets(w *definition.Workflow, step *definition.Step, env []tool.EnvVar) []string {
	t := step.Uses.Tool
	var shared []tool.EnvVar
	for _, v := range w.Environment {
		shared = append(shared, tool.EnvVar{Name: v.Name})
	}
	var inputs []tool.Input
	for _, in := range step.Inputs {
		variable := in.Name
		if i := slices.IndexFunc(t.Args, func(a tool.Arg) bool { return a.Name == in.Name }); i >= 0 {
			variable = t.Args[i].Env
		}
		inputs = append(inputs, tool.Input{Name: in.Name, Env: variable})
	}
	var own []tool.EnvVar
	for _, v := range step.Environment {
		own = append(own, tool.EnvVar{Name: v.Name})
	}
	var names []string
	for _, ref := range t.ResolveEnvironment(shared, inputs, append(own, env...)) {
		if ref.Secret != "" {
			names = append(names, ref.Secret)
		}
	}
	for _, v := range t.Volumes {
		if v.Secret != "" {
			names = append(names, v.Secret)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// checkSecretFlags refuses a --secret that nothing asks for, which is most likely another's name misspelt. A definition that
// asks for none is given any, as one without arguments is.
func (f *runFlags) checkSecretFlags(tools ...*tool.Tool) error {
	named := secretNames(tools)
	if f.image != "" && len(f.secrets) > 0 {
		name, _, _ := strings.Cut(f.secrets[0], "=")
		if !tool.ValidSecretName(name) {
			name = "NAME"
		}
		return runUsage("--secret: a command that is given with --image can't have secrets; write a tool with environment: [NAME=/secrets/%s] (mayfly init NAME writes one to begin with)", name)
	}
	if why := unasked(f.secrets, named); why != "" && len(named) > 0 {
		return runUsage("%s", why)
	}
	return nil
}

func secretNames(tools []*tool.Tool) []string {
	var named []string
	for _, t := range tools {
		named = append(named, t.SecretNames()...)
	}
	slices.Sort(named)
	return slices.Compact(named)
}

// unasked says which of the --secret flags gives a secret that isn't among those named.
func unasked(flags, named []string) string {
	for _, flag := range flags {
		name, _, found := strings.Cut(flag, "=")
		if !found || !tool.ValidSecretName(name) || slices.Contains(named, name) {
			continue // what isn't NAME=… is refused by whoever reads it, who repeats no value
		}
		hint := "the secrets asked for are " + strings.Join(named, ", ")
		if near := shape.Nearest(name, named); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		return fmt.Sprintf("--secret %s: nothing asks for a secret of that name; %s", name, hint)
	}
	return ""
}
