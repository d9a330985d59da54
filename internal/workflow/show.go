package workflow

import (
	"context"
	"errors"
	"strings"

	"github.com/mayfly-run/mayfly/internal/condition"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/tool"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// Shown returns a step's inputs and variables for a plan that people read: with the values of the workflow's inputs, and with
// all other references as they are written. env are the variables of the command line, which take precedence.
func (p *Plan) Shown(i int, env []tool.EnvVar) (inputs map[string]any, environment map[string]string) {
	lookup := func(r definition.Reference) (any, error) {
		if r.From == definition.FromInputs {
			return p.inputs[r.Name], nil
		}
		return r.String(), nil
	}
	inputs, environment = map[string]any{}, map[string]string{}
	for _, in := range p.Steps[i].Inputs {
		v, err := definition.Substitute(in.Value, lookup)
		if err == nil {
			v, err = p.Steps[i].Uses.Tool.Shown(in.Name, v)
		}
		if err != nil {
			v = err.Error()
		}
		inputs[in.Name] = v
	}
	for _, list := range [][]definition.StepVariable{p.Workflow.Environment, p.Steps[i].Environment} {
		for _, v := range list {
			text, err := v.Value.Text(lookup)
			if err != nil {
				text = err.Error()
			}
			environment[v.Name] = oneLine(text)
		}
	}
	for _, v := range env {
		environment[v.Name] = oneLine(v.Value)
	}
	return inputs, environment
}

func oneLine(s string) string { return strings.ReplaceAll(s, "\n", `\n`) }

var errUnknown = errors.New("the value isn't known yet")

// Known evaluates a condition before the workflow starts, if the condition doesn't depend on how steps end. known reports
// whether it could.
func (p *Plan) Known(ctx context.Context, s *States, i int, e condition.Evaluator) (value bool, problem *condition.Problem, known bool, err error) {
	step := p.Steps[i]
	v := condition.Values{Variables: map[string]any{}, Success: true}
	if step.Condition.Functions["success"] || step.Condition.Functions["failure"] {
		return false, nil, false, nil
	}
	for k, r := range step.Condition.References {
		value, err := p.knownValue(s, r)
		if err != nil {
			return false, nil, false, nil //nolint:nilerr // that it isn't known is the answer
		}
		if v.Variables[definition.Variable(k)], err = shape.Decoded(value); err != nil {
			return false, &condition.Problem{Text: err.Error()}, true, nil
		}
	}
	value, problem, err = e.Evaluate(ctx, p.Expression(step), v)
	return value, problem, err == nil, err
}

func (p *Plan) knownValue(s *States, r definition.Reference) (any, error) {
	if r.From == definition.FromStep && !p.State(s, r.Step).Ended() {
		return nil, errUnknown
	}
	return p.value(s, r, nil)
}
