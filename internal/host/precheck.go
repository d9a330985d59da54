package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/mayfly-run/mayfly/internal/secret"
	"github.com/mayfly-run/mayfly/internal/tool"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// This file finds what would make a run fail, before its first step has changed anything.

// precheck returns everything for which a step that is still to run would be refused: the operator's policy, and secrets that
// exist nowhere. A step whose condition is known to be false isn't checked.
func (r *WorkflowRun) precheck(ctx context.Context) error {
	var errs []error
	asked := map[string]bool{}
	err := r.lookAhead(ctx, func(i int, p *PlannedStep) error {
		step := r.Plan.Steps[i]
		if p.Runs == RunsNot {
			return nil
		}
		if err := checkStep(r.runner, step); err != nil {
			errs = append(errs, err)
		}
		errs = append(errs, missingSecrets(ctx, r.runner.Secrets, r.Workflow, step, r.environment, asked)...)
		return nil
	})
	if err != nil {
		return err
	}
	return errors.Join(errs...)
}

// MissingSecrets returns an error for the secrets of a workflow that exist nowhere. It leaves out steps with a condition: whether
// they run may depend on inputs, which needn't be known. env is for all steps, above their own.
func MissingSecrets(ctx context.Context, secrets secret.Source, w *definition.Workflow, env []tool.EnvVar) error {
	var errs []error
	asked := map[string]bool{}
	for _, step := range w.All() {
		if step.Condition == nil {
			errs = append(errs, missingSecrets(ctx, secrets, w, step, env, asked)...)
		}
	}
	return errors.Join(errs...)
}

// missingSecrets are errors for the secrets of a step that exist nowhere. asked are those that were looked for before, and gets
// the step's.
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

// neededSecrets are the secrets of a step's tool, without those whose variable the workflow, the step or env sets.
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
