package workflow

import (
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// This file has what drawings of a plan need.

// Before returns the steps that must end before a step starts.
func (p *Plan) Before(i int) []int { return p.edges[i] }

// Carries returns the outputs and artifacts that a step passes to a later one.
func (p *Plan) Carries(from, to int) []string {
	var out []string
	seen := map[string]bool{}
	add := func(name string) {
		if !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	p.Steps[to].References(func(r definition.Reference, _ shape.Position) {
		if r.From == definition.FromStep && r.Step == p.Steps[from].Name {
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

// Implied reports whether a step ends before another starts even without the edge between the two. It looks at direct
// neighbours and the steps between them in the order of the plan. In a graph of more than maxReduced steps it returns false,
// since the search would take minutes.
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

// Stages groups the steps by the length of the longest chain of steps that must end before them. Each step of finally is its own stage.
func (p *Plan) Stages() [][]int {
	depth := make([]int, p.mainSteps())
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
	for i := p.mainSteps(); i < len(p.Steps); i++ {
		out = append(out, []int{i})
	}
	return out
}
