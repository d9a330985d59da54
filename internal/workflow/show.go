package workflow

import (
	"context"
	"errors"
	"strings"

	"github.com/mayfly-run/mayfly/internal/condition"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// After returns the names of the steps that have to end before a step starts.
func (p *Plan) After(i int) []string {
	names := make([]string, 0, len(p.edges[i]))
	for _, j := range p.edges[i] {
		names = append(names, p.Steps[j].Name)
	}
	return names
}

// Shown returns a step's inputs and variables for people who plan: with the values of the workflow's inputs in their
// places, and other references as they are written.
func (p *Plan) Shown(i int) (inputs map[string]any, environment map[string]string) {
	lookup := func(r tool.Reference) (any, error) {
		if r.From == tool.FromInputs {
			return p.inputs[r.Name], nil
		}
		return r.String(), nil
	}
	inputs, environment = map[string]any{}, map[string]string{}
	for _, in := range p.Steps[i].Inputs {
		v, err := tool.Substitute(in.Value, lookup)
		if err != nil {
			v = err.Error()
		}
		inputs[in.Name] = v
	}
	for _, list := range [][]tool.StepVariable{p.Workflow.Environment, p.Steps[i].Environment} {
		for _, v := range list {
			text, err := v.Value.Text(lookup)
			if err != nil {
				text = err.Error()
			}
			environment[v.Name] = strings.ReplaceAll(text, "\n", `\n`)
		}
	}
	return inputs, environment
}

var errUnknown = errors.New("the value isn't known yet")

// Known evaluates a condition before the workflow has begun, if nothing in it depends on how steps end.
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
		v.Variables[tool.Variable(k)] = value
	}
	value, problem, err = e.Evaluate(ctx, p.Expression(step), v)
	return value, problem, err == nil, err
}

func (p *Plan) knownValue(s *States, r tool.Reference) (any, error) {
	if r.From == tool.FromStep && !p.State(s, r.Step).Ended() {
		return nil, errUnknown
	}
	return p.value(s, r, nil)
}

// Before returns the steps that have to end before a step starts.
func (p *Plan) Before(i int) []int { return p.edges[i] }

// Carries returns the outputs and artifacts that a step hands to a later one.
func (p *Plan) Carries(from, to int) []string {
	var out []string
	seen := map[string]bool{}
	add := func(name string) {
		if !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	p.Steps[to].References(func(r tool.Reference, _ tool.Position) {
		if r.From == tool.FromStep && r.Step == p.Steps[from].Name {
			add(r.Name)
		}
	})
	for _, a := range p.Steps[to].Artifacts {
		if a.From == p.Steps[from].Name {
			add(a.Name)
		}
	}
	return out
}

const maxReduced = 1000

// Implied reports whether a step ends before another starts also without the edge between the two. It looks at direct
// neighbours and the steps between them in the order of the plan. In a graph of more than maxReduced steps it says no, as
// that would take minutes.
func (p *Plan) Implied(from, to int) bool {
	if len(p.Steps) > maxReduced {
		return false
	}
	seen := map[int]bool{}
	var reaches func(i int) bool
	reaches = func(i int) bool {
		for _, j := range p.edges[i] {
			if j == from {
				return true
			}
			if !seen[j] {
				seen[j] = true
				if reaches(j) {
					return true
				}
			}
		}
		return false
	}
	for _, j := range p.edges[to] {
		if j != from && !seen[j] {
			seen[j] = true
			if reaches(j) {
				return true
			}
		}
	}
	return false
}

// Stages groups the steps by how many others have to end before them, one after the other; the steps of finally are
// stages of their own.
func (p *Plan) Stages() [][]int {
	depth := make([]int, p.main())
	var out [][]int
	for _, i := range p.order {
		for _, j := range p.edges[i] {
			depth[i] = max(depth[i], depth[j]+1)
		}
		for len(out) <= depth[i] {
			out = append(out, nil)
		}
		out[depth[i]] = append(out[depth[i]], i)
	}
	for i := p.main(); i < len(p.Steps); i++ {
		out = append(out, []int{i})
	}
	return out
}
