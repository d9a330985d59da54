package run

import (
	"maps"
	"slices"
	"time"

	"github.com/mayfly-run/mayfly/internal/tool"
)

// Tests has a runner carry out tests of a tool or of a workflow, instead of a tool.
type Tests struct {
	// Tool is what is tested. Its request has no tool beside it: a runner that knows no tests has nothing to run then.
	Tool *tool.Tool `json:"tool,omitempty"`
	// Steps are the tools of the steps of a workflow that is tested, by the steps' names. Then Tool is nil.
	Steps map[string]*tool.Tool `json:"steps,omitempty"`
	// File is the file of the tests, in the folder whose tar has the digest Files. It and what it names are read there, and nowhere else.
	File  string `json:"file"`
	Files string `json:"files"`
	// Names are those of the tests to carry out, in order.
	Names []string `json:"names"`
	// Record is that of package tooltest.
	Record bool `json:"record,omitempty"`
	// Secrets are those that the tools name and that some of the tests don't give themselves.
	Secrets []string `json:"secrets,omitempty"`
	// Timeout is for all of the tests together.
	Timeout time.Duration `json:"timeout"`
}

// Subject is the tool that runs, or that is tested; nil for tests of a workflow.
func (r *Request) Subject() *tool.Tool {
	if r.Tests != nil {
		return r.Tests.Tool
	}
	return r.Tool
}

// Tools are the tools that may run: one, unless a workflow is tested.
func (r *Request) Tools() []*tool.Tool {
	if r.Tests != nil {
		return r.Tests.Tools()
	}
	if r.Tool == nil {
		return nil
	}
	return []*tool.Tool{r.Tool}
}

// Tools are those that are tested, in the order of the names of their steps.
func (t *Tests) Tools() []*tool.Tool {
	if t.Tool != nil {
		return []*tool.Tool{t.Tool}
	}
	var all []*tool.Tool
	for _, step := range slices.Sorted(maps.Keys(t.Steps)) {
		all = append(all, t.Steps[step])
	}
	return all
}

// SecretNames returns the names of the secrets that the run gets.
func (r *Request) SecretNames() []string {
	switch {
	case r.Tests != nil:
		return r.Tests.Secrets
	case r.Tool != nil:
		return r.Tool.SecretNames()
	}
	return nil
}
