package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/run/local"
	"github.com/mayfly-run/mayfly/internal/tool"
	"github.com/mayfly-run/mayfly/internal/workflow"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// PlannedStep is what is known of a step before the run.
type PlannedStep struct {
	Step    string   `json:"step"`
	Tool    string   `json:"tool"`
	Image   string   `json:"image"`
	After   []string `json:"after,omitempty"`
	Finally bool     `json:"finally,omitempty"`
	// Inputs and Environment have the values of the workflow's inputs, and the references that get a value later.
	Inputs      map[string]any    `json:"inputs,omitempty"`
	Environment map[string]string `json:"environment,omitempty"`
	Secrets     []string          `json:"secrets,omitempty"` // their names
	Outputs     []string          `json:"outputs,omitempty"`
	Condition   string            `json:"condition,omitempty"`
	Runs        Outlook           `json:"runs"`
	Why         string            `json:"why,omitempty"`
	// Items is the number of items of a for_each; -1 if a step says it.
	Items  int      `json:"items,omitempty"`
	Runner []string `json:"runner,omitempty"`
}

// Outlook is whether a step will run.
type Outlook string

// The outlooks of a step. RunsIf is one that its condition or the steps before it decide.
const (
	RunsSurely Outlook = "yes"
	RunsNot    Outlook = "no"
	RunsIf     Outlook = "if"
)

// Forecast returns what the run would do, and fails if a step would be refused. environment is for all steps, above their own.
func (r *WorkflowRun) Forecast(ctx context.Context, runner *local.Runner, environment []tool.EnvVar) ([]PlannedStep, error) {
	var steps []PlannedStep
	err := r.lookAhead(ctx, func(i int, p *PlannedStep) error {
		step := r.Plan.Steps[i]
		p.Inputs, p.Environment = r.Plan.Shown(i, environment)
		p.Secrets = neededSecrets(r.Workflow, step, environment)
		steps = append(steps, *p)
		if p.Runs == RunsNot {
			return nil
		}
		return checkStep(runner, step)
	})
	return steps, err
}

// lookAhead calls visit with each step in the order of the plan, and stops at its first error. A step that won't run counts as
// skipped for those after it. The run's own states stay as they are.
func (r *WorkflowRun) lookAhead(ctx context.Context, visit func(i int, p *PlannedStep) error) error {
	ahead := *r.States
	ahead.Steps = slices.Clone(r.States.Steps)
	for i := range r.Plan.Steps {
		p, err := r.planStep(ctx, &ahead, i)
		if err != nil {
			return err
		}
		if err := visit(i, &p); err != nil {
			return err
		}
		if st := &ahead.Steps[i]; p.Runs == RunsNot && !st.Ended() {
			*st = workflow.StepState{Status: run.Skipped}
		}
	}
	return nil
}

// checkStep finds what a step's run would be refused for: by the policy, or since this host can't do what its tool asks for.
func checkStep(runner *local.Runner, step *definition.Step) error {
	req := &run.Request{Tool: step.Uses.Tool}
	var inputs *tool.InputError
	_, err := runner.Prepare(run.NewID(), req, func(ref string) (*image.Image, error) {
		return &image.Image{Reference: ref, Config: image.RunConfig{Cmd: []string{"the image's own"}}}, nil
	})
	if err == nil || errors.As(err, &inputs) { // inputs come from the workflow, and were checked with it
		return nil
	}
	return fmt.Errorf("step %s: %w", step.Name, err)
}

// planStep returns what is known of step i, given the states of all steps.
func (r *WorkflowRun) planStep(ctx context.Context, states *workflow.States, i int) (PlannedStep, error) {
	step, st := r.Plan.Steps[i], &states.Steps[i]
	p := PlannedStep{
		Step: step.Name, Tool: step.Uses.Tool.Name, Image: step.Uses.Tool.Image, After: r.before(i),
		Finally: i >= len(r.Workflow.Steps), Outputs: step.Promises(), Runs: RunsSurely, Runner: step.Runner,
	}
	if step.ForEach != nil {
		p.Items = -1
		if step.ForEach.Reference == nil || step.ForEach.Reference.From == definition.FromInputs {
			n, err := r.Plan.ItemCount(states, i)
			if err != nil {
				return p, fmt.Errorf("step %s: %w", step.Name, err)
			}
			p.Items = n
		}
	}
	if st.Ended() {
		p.Runs, p.Why = RunsNot, st.Reason
		if st.Status == run.Succeeded {
			p.Why = "it has succeeded"
		}
		return p, nil
	}
	if reason, undelivered := r.Plan.Missing(states, i); reason != "" {
		p.Runs, p.Why = RunsNot, reason
		if undelivered {
			p.Why = "an error: " + reason
		}
		return p, nil
	}
	if step.Condition == nil {
		return p, nil
	}
	p.Condition = strings.Join(strings.Fields(step.Condition.Text), " ")
	p.Runs = RunsIf
	value, problem, known, err := r.Plan.Known(ctx, states, i, r.conditions)
	switch {
	case err != nil:
		return p, err
	case !known:
		p.Why = "known when " + whenKnown(step) + " ended"
	case problem != nil:
		p.Why = problem.Text
	case value:
		p.Runs, p.Why = RunsSurely, "its condition is true"
	default:
		p.Runs, p.Why = RunsNot, "its condition is false"
	}
	return p, nil
}

// before are the names of the steps that must end before step i starts.
func (r *WorkflowRun) before(i int) []string {
	var names []string
	for _, j := range r.Plan.Before(i) {
		names = append(names, r.Plan.Steps[j].Name)
	}
	return names
}

// whenKnown says what a condition waits for.
func whenKnown(s *definition.Step) string {
	var names []string
	seen := map[string]bool{}
	for _, r := range s.Condition.References {
		switch {
		case r.From == definition.FromItem:
			return "its items are known and the steps before it have"
		case r.From == definition.FromStep && !seen[r.Step]:
			seen[r.Step] = true
			names = append(names, r.Step)
		}
	}
	switch len(names) {
	case 0:
		return "the steps before it have"
	case 1:
		return names[0] + " has"
	}
	return strings.Join(names, " and ") + " have"
}
