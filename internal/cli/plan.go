package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/condition"
	"github.com/mayfly-run/mayfly/internal/host"
	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/run/local"
	"github.com/mayfly-run/mayfly/internal/tool"
	"github.com/mayfly-run/mayfly/internal/workflow"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// plannedStep is a step as a dry run shows it.
type plannedStep struct {
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
	// Runs is yes, no, or if: when its condition or steps before it decide.
	Runs string `json:"runs"`
	Why  string `json:"why,omitempty"`
	// Items is the number of items of a for_each; -1 when a step says it.
	Items  int      `json:"items,omitempty"`
	Runner []string `json:"runner,omitempty"`
}

// printPlan prints what a run of the workflow would do.
func (f *runFlags) printPlan(ctx context.Context, s streams, b *begun, env []tool.EnvVar, conditions condition.Evaluator) error {
	h, err := host.Open()
	if err != nil {
		return err
	}
	runner, err := openRunner(h, "mayfly run", f.secrets, s.in, host.RunnerOptions{Pull: f.pull})
	if err != nil {
		return err
	}
	steps := make([]plannedStep, len(b.plan.Steps))
	for i, step := range b.plan.Steps {
		if steps[i], err = planStep(ctx, b, i, conditions); err != nil {
			return err
		}
		steps[i].Inputs, steps[i].Environment = b.plan.Shown(i, env)
		steps[i].Secrets = neededSecrets(b.def, step, env)
		if st := &b.states.Steps[i]; steps[i].Runs == "no" {
			if !st.Ended() {
				*st = workflow.StepState{Status: run.Skipped} // which others may need
			}
			continue
		}
		if err := checkStep(runner, step); err != nil {
			return fmt.Errorf("step %s: %w", step.Name, err)
		}
	}
	if f.json {
		return printJSON(s.out, map[string]any{"workflow": b.def.Name, "max_parallel": b.plan.MaxParallel, "steps": steps})
	}
	return printSteps(s.out, b, steps)
}

// checkStep finds what a step's run would be refused for: a policy, or a definition that this host can't take.
func checkStep(r *local.Runner, step *definition.Step) error {
	req := &run.Request{Tool: step.Uses.Tool}
	var inputs *tool.InputError
	_, err := r.Prepare(run.NewID(), req, func(ref string) (*image.Image, error) {
		return &image.Image{Reference: ref, Config: image.RunConfig{Cmd: []string{"the image's own"}}}, nil
	})
	if errors.As(err, &inputs) {
		return nil // its inputs come from the workflow, and were checked with it
	}
	return err
}

func planStep(ctx context.Context, b *begun, i int, conditions condition.Evaluator) (plannedStep, error) {
	step, st := b.plan.Steps[i], &b.states.Steps[i]
	p := plannedStep{
		Step: step.Name, Tool: step.Uses.Tool.Name, Image: step.Uses.Tool.Image, After: b.before(i),
		Finally: i >= len(b.def.Steps), Outputs: step.Promises(), Runs: "yes", Runner: step.Runner,
	}
	if step.ForEach != nil {
		p.Items = -1
		if step.ForEach.Reference == nil || step.ForEach.Reference.From == definition.FromInputs {
			n, err := b.plan.ItemCount(b.states, i)
			if err != nil {
				return p, fmt.Errorf("step %s: %w", step.Name, err)
			}
			p.Items = n
		}
	}
	if st.Ended() {
		p.Runs, p.Why = "no", st.Reason
		if st.Status == run.Succeeded {
			p.Why = "it has succeeded"
		}
		return p, nil
	}
	if reason, undelivered := b.plan.Missing(b.states, i); reason != "" {
		p.Runs, p.Why = "no", reason
		if undelivered {
			p.Why = "an error: " + reason
		}
		return p, nil
	}
	if step.Condition == nil {
		return p, nil
	}
	p.Condition = strings.Join(strings.Fields(step.Condition.Text), " ")
	p.Runs = "if"
	value, problem, known, err := b.plan.Known(ctx, b.states, i, conditions)
	switch {
	case err != nil:
		return p, err
	case !known:
		p.Why = "known when " + whenKnown(step) + " ended"
	case problem != nil:
		p.Why = problem.Text
	case value:
		p.Runs, p.Why = "yes", "its condition is true"
	default:
		p.Runs, p.Why = "no", "its condition is false"
	}
	return p, nil
}

// before are the names of the steps that have to end before a step starts.
func (b *begun) before(i int) []string {
	var names []string
	for _, j := range b.plan.Before(i) {
		names = append(names, b.plan.Steps[j].Name)
	}
	return names
}

// whenKnown names what a condition waits for.
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

func printSteps(w io.Writer, b *begun, steps []plannedStep) error {
	var out strings.Builder
	fmt.Fprintf(&out, "%s: %d steps, at most %d at once\n", b.def.Name, len(steps), b.plan.MaxParallel)
	for n, p := range steps {
		fmt.Fprintf(&out, "\n%d. %s  (tool %s, image %s)\n", n+1, p.Step, p.Tool, p.Image)
		say := func(what, format string, args ...any) {
			fmt.Fprintf(&out, "   %-8s "+format+"\n", append([]any{what}, args...)...)
		}
		switch {
		case p.Finally:
			say("after", "all steps of the workflow, however they ended")
		case len(p.After) > 0:
			say("after", "%s", strings.Join(p.After, ", "))
		}
		if p.Condition != "" {
			say("if", "%s", p.Condition)
		}
		switch {
		case p.Runs != "yes" && p.Why != "":
			say("runs", "%s: %s", p.Runs, p.Why)
		case p.Why != "":
			say("runs", "yes: %s", p.Why)
		}
		switch {
		case p.Items > 0:
			say("items", "%d", p.Items)
		case p.Items < 0:
			say("items", "those of %s", b.plan.Steps[n].ForEach.Reference)
		}
		for _, in := range b.plan.Steps[n].Inputs {
			text, err := json.Marshal(p.Inputs[in.Name])
			if err != nil {
				return err
			}
			say("input", "%s = %s", in.Name, text)
		}
		for _, name := range slices.Sorted(maps.Keys(p.Environment)) {
			say("env", "%s = %s", name, p.Environment[name])
		}
		if len(p.Secrets) > 0 {
			say("secrets", "%s", strings.Join(p.Secrets, ", "))
		}
		if len(p.Outputs) > 0 {
			say("outputs", "%s", strings.Join(p.Outputs, ", "))
		}
		if len(p.Runner) > 0 {
			say("runner", "one with the labels %s, when a server runs it", strings.Join(p.Runner, ", "))
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}
