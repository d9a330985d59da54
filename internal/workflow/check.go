package workflow

import (
	"context"
	"fmt"

	"github.com/mayfly-run/mayfly/internal/condition"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// CheckConditions reports everything that is wrong with the conditions of a workflow, in one *[shape.Error]. Any other error
// is the evaluator's. Without a condition it doesn't call the evaluator.
func CheckConditions(ctx context.Context, p *Plan, e condition.Evaluator) error {
	var steps []*definition.Step
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
	var problems []shape.Problem
	for i, f := range found {
		if f != nil {
			problems = append(problems, conditionProblem(steps[i], f))
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return shape.NewError(problems)
}

// CheckInputs reports, in one *[shape.Error], the known values that a step's tool will refuse. Known values depend only on
// the workflow's inputs and on items in the file.
func (p *Plan) CheckInputs() error {
	var problems []shape.Problem
	for i, step := range p.Steps {
		for _, in := range step.Inputs {
			if text := p.refused(i, in); text != "" {
				problems = append(problems, shape.Problem{Position: in.Position, Text: fmt.Sprintf("step %s%s", step.Name, text)})
			}
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return shape.NewError(problems)
}

// maxCheckedItems is the number of items for which an input is checked before anything runs. Every item is checked again when it runs.
const maxCheckedItems = 10_000

// refused returns why the tool of step i refuses an input, and for which item, or "".
func (p *Plan) refused(i int, in definition.StepInput) string {
	step := p.Steps[i]
	check := func(item *any) error {
		v, err := definition.Substitute(in.Value, func(r definition.Reference) (any, error) { return p.given(r, item) })
		if err != nil {
			return nil //nolint:nilerr // it isn't known yet, or is refused when the step runs
		}
		return step.Uses.Tool.CheckInput(in.Name, v)
	}
	if err := check(nil); err != nil {
		return ": " + err.Error()
	}
	fe := step.ForEach
	if fe == nil || fe.Reference != nil || perItem(step) { // the condition may leave items out
		return ""
	}
	count, err := p.ItemCount(nil, i)
	if err != nil {
		return ": " + err.Error()
	}
	for k := range min(count, maxCheckedItems) {
		item, err := writtenItem(fe, k, func(r definition.Reference) (any, error) { return p.given(r, nil) })
		if err != nil {
			continue // it isn't known yet
		}
		if err := check(&item); err != nil {
			return fmt.Sprintf(", item %d: %v", k, err)
		}
	}
	return ""
}

// given returns the value of a reference that doesn't depend on a step.
func (p *Plan) given(r definition.Reference, item *any) (any, error) {
	if r.From == definition.FromStep {
		return nil, errUnknown
	}
	return p.value(nil, r, item)
}

// conditionProblem returns a problem of a condition with its position in the file.
func conditionProblem(s *definition.Step, f *condition.Problem) shape.Problem {
	c := s.Condition
	p := shape.Problem{Position: c.Position, Text: fmt.Sprintf("the condition of step %s: %s", s.Name, f.Text)}
	switch {
	case f.Line == 0:
	case c.Offset >= 0 && f.Line == 1:
		p.Column += c.Offset + f.Column - 1
	default:
		p.Text += fmt.Sprintf(" (its line %d, column %d)", f.Line, f.Column)
	}
	return p
}
