package workflow

import (
	"context"
	"fmt"

	"github.com/mayfly-run/mayfly/internal/condition"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// CheckConditions reports everything that is wrong with the conditions of a workflow, in one *[tool.Error]; any other
// error is one of the evaluator. Nothing is asked where there is no condition.
func CheckConditions(ctx context.Context, p *Plan, e condition.Evaluator) error {
	var steps []*tool.Step
	var list []condition.Expression
	for _, s := range p.Steps {
		if s.Condition != nil {
			steps = append(steps, s)
			list = append(list, p.Expression(s))
		}
	}
	if len(list) == 0 {
		return nil
	}
	found, err := e.Check(ctx, list)
	if err != nil {
		return err
	}
	var problems []tool.Problem
	for i, f := range found {
		if f != nil {
			problems = append(problems, conditionProblem(steps[i], f))
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return tool.NewError(problems)
}

// CheckInputs reports, in one *[tool.Error], which values that are known already a step's tool will refuse: those that come
// from the workflow's inputs alone.
func (p *Plan) CheckInputs() error {
	var problems []tool.Problem
	for _, step := range p.Steps {
		for _, in := range step.Inputs {
			v, err := tool.Substitute(in.Value, func(r tool.Reference) (any, error) {
				if r.From != tool.FromInputs {
					return nil, errUnknown
				}
				return p.inputs[r.Name], nil
			})
			if err != nil {
				continue // it isn't known yet
			}
			if err := step.Uses.Tool.CheckInput(in.Name, v); err != nil {
				problems = append(problems, tool.Problem{Position: in.Position, Text: fmt.Sprintf("step %s: %v", step.Name, err)})
			}
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return tool.NewError(problems)
}

// conditionProblem places a problem in the file.
func conditionProblem(s *tool.Step, f *condition.Problem) tool.Problem {
	c := s.Condition
	p := tool.Problem{Position: c.Position, Text: fmt.Sprintf("the condition of step %s: %s", s.Name, f.Text)}
	switch {
	case f.Line == 0:
	case c.Offset >= 0 && f.Line == 1:
		p.Column += c.Offset + f.Column - 1
	default:
		p.Text += fmt.Sprintf(" (its line %d, column %d)", f.Line, f.Column)
	}
	return p
}
