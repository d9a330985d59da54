package definition

import (
	"maps"
	"slices"
	"time"

	"github.com/mayfly-run/mayfly/internal/ownership"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// Workflow is a definition that chains tools.
type Workflow struct {
	Name        string
	Description string
	// Inputs are the typed inputs; Env of each is unused.
	Inputs []tool.Arg
	// Environment applies to all steps.
	Environment []StepVariable
	// Timeout applies to all steps together except those of Finally; zero means none.
	Timeout time.Duration
	// MaxParallel is how many steps may run at once; zero lets the executor decide.
	MaxParallel int
	// Steps are those of workflow or parallel_tools. Finally are the steps that run after them, however they ended.
	Steps, Finally []Step
	// Chain says that each step needs the one before it: the steps are under workflow, and none has needs.
	Chain  bool
	Labels map[string]string
	Source tool.Source

	search ownership.Search // how far the search for the workflow went
}

// Step is one step of a workflow.
type Step struct {
	Name string
	// Uses is the tool that runs.
	Uses StepTool

	Needs       []string
	Inputs      []StepInput
	Environment []StepVariable
	// Outputs are outputs that the step promises in addition to those of its tool.
	Outputs   []string
	Condition *Condition
	// Timeout and Retry, if not zero, replace the tool's.
	Timeout           time.Duration
	Retry             *tool.Retry
	ContinueOnFailure bool
	ForEach           *ForEach
	// MaxParallel is how many items may run at once; with zero, only the workflow's limit applies.
	MaxParallel int
	Artifacts   []Artifact
	// Runner are the labels that a runner of the step must have.
	Runner   []string
	Position shape.Position
}

// StepTool is the tool of a step: named, or defined in place.
type StepTool struct {
	// Name is a tool's name, or a path from the workflow's folder ([IsPath]); empty for a definition in place.
	Name string
	// Tool is the definition; nil for a name until [Workflow.Resolve].
	Tool     *tool.Tool
	Position shape.Position
}

// StepInput is an input that a step gives. Value is a decoded JSON value, with a [Template] for each text.
type StepInput struct {
	Name     string
	Value    any
	Position shape.Position
}

// StepVariable is a variable that a workflow or a step gives.
type StepVariable struct {
	Name     string
	Value    Template
	Position shape.Position
}

// ForEach has the items that a step is repeated for. Exactly one of Items, Reference and Matrix is set.
type ForEach struct {
	// Items are decoded JSON values, with a [Template] for each text.
	Items []any
	// Reference refers to a JSON array.
	Reference *Reference
	// Matrix is a list of named lists. The items are their combinations; the last list changes fastest.
	Matrix   []MatrixList
	Position shape.Position
}

// MatrixList is one dimension of a matrix.
type MatrixList struct {
	Name  string
	Items []any
}

// Artifact is a folder that one step passes to later steps.
type Artifact struct {
	Name string
	// From is the step that makes it; empty if this step does.
	From string
	// Path is the path of the folder in the sandbox.
	Path     string
	Position shape.Position
}

// All returns the steps and those of finally.
func (w *Workflow) All() []*Step {
	out := make([]*Step, 0, len(w.Steps)+len(w.Finally))
	for i := range w.Steps {
		out = append(out, &w.Steps[i])
	}
	for i := range w.Finally {
		out = append(out, &w.Finally[i])
	}
	return out
}

// References calls f with each reference of the step and its position.
func (s *Step) References(f func(Reference, shape.Position)) {
	for _, in := range s.Inputs {
		eachReference(in.Value, func(r Reference) { f(r, in.Position) })
	}
	for _, v := range s.Environment {
		eachReference(v.Value, func(r Reference) { f(r, v.Position) })
	}
	if s.Condition != nil {
		for _, r := range s.Condition.References {
			f(r, s.Condition.Position)
		}
	}
	if fe := s.ForEach; fe != nil {
		if fe.Reference != nil {
			f(*fe.Reference, fe.Position)
		}
		eachReference(fe.Items, func(r Reference) { f(r, fe.Position) })
		for _, l := range fe.Matrix {
			eachReference(l.Items, func(r Reference) { f(r, fe.Position) })
		}
	}
}

func eachReference(v any, f func(Reference)) {
	switch v := v.(type) {
	case Template:
		for _, p := range v.Parts {
			if p.Reference != nil {
				f(*p.Reference)
			}
		}
	case []any:
		for _, e := range v {
			eachReference(e, f)
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			eachReference(v[key], f)
		}
	}
}

// Promises returns the names of the outputs that the step has when it succeeds. Its tool must be resolved.
func (s *Step) Promises() []string {
	if s.Uses.Tool == nil {
		return s.Outputs
	}
	return union(s.Uses.Tool.Outputs, s.Outputs)
}

func union(a, b []string) []string {
	out := make([]string, 0, len(a)+len(b))
	seen := make(map[string]bool, len(a)+len(b))
	for _, list := range [][]string{a, b} {
		for _, s := range list {
			if !seen[s] {
				seen[s] = true
				out = append(out, s)
			}
		}
	}
	return out
}
