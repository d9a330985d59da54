package definition

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/tool"
	"go.yaml.in/yaml/v3"
)

// This file has the checks of workflows that concern several keys or steps.

func checkStep(d *shape.Decoder, n *yaml.Node, s *Step) {
	shape.Unique(d, n, "outputs", "output", s.Outputs, func(s string) string { return s }, "")
	shape.Unique(d, n, "artifacts", "artifact path", s.Artifacts, func(a Artifact) string { return a.Path }, "path")
	shape.Unique(d, n, "needs", "needed step", s.Needs, func(s string) string { return s }, "")
	if shape.Has(n, "max_parallel") && !shape.Has(n, "for_each") {
		d.Report(shape.Child(n, "max_parallel"), "max_parallel of a step needs a for_each", "write it at the top of the file to bound the steps that run at once")
	}
	if s.Uses.Tool != nil && s.Uses.Tool.Name == "" {
		s.Uses.Tool.Name = s.Name
	}
	for _, v := range s.Environment {
		if slices.ContainsFunc(s.Inputs, func(in StepInput) bool { return in.Name == v.Name }) {
			d.ReportAt(v.Position, fmt.Sprintf("%s is given twice, as an input and in the step's environment", shape.Quote(v.Name)), "keep one of them")
		}
	}
	made := map[string]bool{}
	for i, a := range s.Artifacts {
		if a.From != "" {
			continue
		}
		if made[a.Name] {
			d.Report(shape.Item(n, "artifacts", i), fmt.Sprintf("the step makes the artifact %s twice", shape.Quote(a.Name)), "")
		}
		made[a.Name] = true
		if s.ForEach != nil {
			d.Report(shape.Item(n, "artifacts", i), "a step with for_each can't make an artifact: each item would make it again", "have a later step collect the outputs of the items")
		}
	}
}

// checkWorkflow reports contradictions between the steps of a workflow.
func checkWorkflow(d *shape.Decoder, n *yaml.Node, w *Workflow) {
	if shape.Has(n, "workflow") && shape.Has(n, "parallel_tools") {
		d.Report(shape.Child(n, "parallel_tools"), "a workflow has both workflow and parallel_tools", "keep one of them: with needs, steps of workflow run in parallel too")
		return
	}
	if len(w.Steps) == 0 {
		for _, key := range []string{"workflow", "parallel_tools"} {
			if list := shape.Resolve(shape.Child(n, key)); shape.Has(n, key) && list.Kind == yaml.SequenceNode && len(list.Content) == 0 {
				d.Report(list, key+" has no steps", "")
			}
		}
	}
	shape.Unique(d, n, "inputs", "input name", w.Inputs, func(a tool.Arg) string { return a.Name }, "name")
	w.Chain = shape.Has(n, "workflow") && !slices.ContainsFunc(w.Steps, func(s Step) bool { return s.Needs != nil })
	c := &workflowChecker{Decoder: d, w: w, steps: make(map[string]int, len(w.Steps)+len(w.Finally))}
	all := w.All()
	for i, s := range all {
		if first, ok := c.steps[s.Name]; ok && s.Name != "" {
			c.at(s.Position, fmt.Sprintf("step %s is defined twice", shape.Quote(s.Name)), fmt.Sprintf("it is first defined at line %d, column %d", all[first].Position.Line, all[first].Position.Column))
			continue
		}
		c.steps[s.Name] = i
		c.names = append(c.names, s.Name)
	}
	for i, s := range all {
		if d.Count() >= shape.MaxProblems {
			return
		}
		c.step(i, s)
	}
	c.environment()
	if !w.Chain {
		c.cycles()
	}
}

// workflowChecker has the state that the checks of one workflow share.
type workflowChecker struct {
	*shape.Decoder
	w     *Workflow
	steps map[string]int // by name, in w.All()
	names []string
}

func (c *workflowChecker) at(p shape.Position, text, hint string) {
	c.ReportAt(p, text, hint)
}

func (c *workflowChecker) step(i int, s *Step) {
	for _, need := range s.Needs {
		c.precedes(i, s, need, s.Position, "needs")
	}
	for _, a := range s.Artifacts {
		if a.From != "" && c.precedes(i, s, a.From, a.Position, "takes an artifact from") {
			from := c.w.All()[c.steps[a.From]]
			made := func(b Artifact) bool { return b.From == "" && b.Name == a.Name }
			if !slices.ContainsFunc(from.Artifacts, made) {
				c.at(a.Position, fmt.Sprintf("step %s doesn't make the artifact %s", shape.Quote(a.From), shape.Quote(a.Name)), fmt.Sprintf("add it to that step: artifacts: [{name: %s}]", a.Name))
			}
		}
	}
	s.References(func(r Reference, p shape.Position) { c.reference(i, s, r, p) })
	if fe := s.ForEach; fe != nil {
		if r := fe.Reference; r != nil && r.From == FromInputs {
			for _, a := range c.w.Inputs {
				if a.Name == r.Name && a.Type != shape.TypeArray && a.Type != "" { // an unknown type has been reported
					c.at(fe.Position, fmt.Sprintf("for_each needs a list, and input %s is %s", shape.Quote(a.Name), shape.Article(a.Type)), "give the input the type array")
				}
			}
		}
		own := &Step{ForEach: fe}
		own.References(func(r Reference, p shape.Position) {
			if r.From == FromItem {
				c.at(p, "for_each refers to its own item", "")
			}
		})
	}
}

// precedes checks that the step with the given name can end before step i starts. does is the verb of the message.
func (c *workflowChecker) precedes(i int, s *Step, name string, p shape.Position, does string) bool {
	j, ok := c.steps[name]
	main := len(c.w.Steps)
	switch {
	case !ok:
		c.at(p, fmt.Sprintf("step %s %s step %s, which doesn't exist", shape.Quote(s.Name), does, shape.Quote(name)), shape.DidYouMean(name, c.names, "the steps are "))
	case i == j:
		c.at(p, fmt.Sprintf("step %s %s itself", shape.Quote(s.Name), does), "")
	case j >= main && i < main:
		c.at(p, fmt.Sprintf("step %s %s step %s, which is one of finally and runs last", shape.Quote(s.Name), does, shape.Quote(name)), "")
	case j > i && (c.w.Chain || i >= main):
		c.at(p, fmt.Sprintf("step %s %s step %s, which comes later", shape.Quote(s.Name), does, shape.Quote(name)), "move it further up")
	default:
		return true
	}
	return false
}

func (c *workflowChecker) reference(i int, s *Step, r Reference, p shape.Position) {
	switch r.From {
	case FromStep:
		c.precedes(i, s, r.Step, p, "refers to "+r.String()+" of")
	case FromInputs:
		c.input(r, p)
	case FromItem:
		c.item(s, r, p)
	}
}

func (c *workflowChecker) input(r Reference, p shape.Position) {
	var names []string
	for _, a := range c.w.Inputs {
		if a.Name == r.Name {
			return
		}
		names = append(names, a.Name)
	}
	hint := "declare it: inputs: [{name: " + r.Name + "}]"
	if near := shape.Nearest(r.Name, names); near != "" {
		hint = fmt.Sprintf("did you mean ${inputs.%s}?", near)
	}
	c.at(p, fmt.Sprintf("the workflow has no input %s", shape.Quote(r.Name)), hint)
}

func (c *workflowChecker) item(s *Step, r Reference, p shape.Position) {
	if s.ForEach == nil {
		c.at(p, fmt.Sprintf("step %s refers to %s but has no for_each", shape.Quote(s.Name), r), "")
		return
	}
	if s.ForEach.Matrix == nil {
		return
	}
	var names []string
	for _, l := range s.ForEach.Matrix {
		if l.Name == r.Name || r.Name == "" {
			return
		}
		names = append(names, l.Name)
	}
	c.at(p, fmt.Sprintf("the matrix of step %s has no list %s", shape.Quote(s.Name), shape.Quote(r.Name)), shape.DidYouMean(r.Name, names, "its lists are "))
}

// environment checks the variables for all steps. They can refer only to inputs, since no single step or item gives them.
func (c *workflowChecker) environment() {
	for _, v := range c.w.Environment {
		eachReference(v.Value, func(r Reference) {
			if r.From != FromInputs {
				c.at(v.Position, fmt.Sprintf("variable %s is for all steps, but refers to %s", v.Name, r), "set it in the steps that need it")
				return
			}
			c.input(r, v.Position)
		})
	}
}

// cycles reports a cycle of steps that need each other, if there is one.
func (c *workflowChecker) cycles() {
	edges := c.w.Edges()
	const open, done = 1, 2
	state := make([]byte, len(c.w.Steps))
	next := make([]int, len(c.w.Steps)) // the next edge to follow
	for start := range c.w.Steps {
		if state[start] != 0 {
			continue
		}
		path := []int{start}
		state[start] = open
		for len(path) > 0 {
			i := path[len(path)-1]
			if next[i] == len(edges[i]) {
				state[i] = done
				path = path[:len(path)-1]
				continue
			}
			j := edges[i][next[i]]
			next[i]++
			switch {
			case j == i || j >= len(state): // precedes has reported it
			case state[j] == 0:
				state[j] = open
				path = append(path, j)
			case state[j] == open:
				c.cycle(path[slices.Index(path, j):])
				return
			}
		}
	}
}

func (c *workflowChecker) cycle(path []int) {
	const most = 10
	var names []string
	for _, i := range path[:min(len(path), most)] {
		names = append(names, c.w.Steps[i].Name)
	}
	if len(path) > most {
		names = append(names, "…")
	}
	names = append(names, c.w.Steps[path[0]].Name)
	c.at(c.w.Steps[path[0]].Position, "these steps need each other: "+strings.Join(names, " needs "), "")
}

// Edges returns, for each step of w.All(), the indexes of the steps that must end before it starts, without repeats: those
// that it needs, takes artifacts from or refers to, and in a chain the one before it. Steps of finally have none: everything
// else has ended before them.
func (w *Workflow) Edges() [][]int {
	byName := make(map[string]int, len(w.Steps))
	for i := range w.Steps {
		byName[w.Steps[i].Name] = i
	}
	edges := make([][]int, len(w.Steps)+len(w.Finally))
	last := make([]int, len(w.Steps)) // the last step that has an edge to this one, plus one
	for i := range w.Steps {
		s := &w.Steps[i]
		add := func(j int, ok bool) {
			if ok && last[j] != i+1 {
				last[j] = i + 1
				edges[i] = append(edges[i], j)
			}
		}
		if w.Chain && i > 0 {
			add(i-1, true)
		}
		for _, need := range s.Needs {
			j, ok := byName[need]
			add(j, ok)
		}
		for _, a := range s.Artifacts {
			j, ok := byName[a.From]
			add(j, ok && a.From != "")
		}
		s.References(func(r Reference, _ shape.Position) {
			if r.From == FromStep {
				j, ok := byName[r.Step]
				add(j, ok)
			}
		})
	}
	return edges
}
