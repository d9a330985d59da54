package run

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mayfly-run/mayfly/internal/tool"
)

// Tests has a runner carry out tests of a tool or of a workflow, instead of a tool.
type Tests struct {
	// Tool is what is tested. Its request has no tool beside it: a runner that knows no tests has nothing to run then.
	Tool *tool.Tool `json:"tool,omitempty"`
	// Workflow has the tools of a workflow that is tested, instead of Tool.
	Workflow *TestedWorkflow `json:"workflow,omitempty"`
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

// TestedWorkflow has the tools of a workflow that is tested: several steps may run one.
type TestedWorkflow struct {
	Tools []TestedTool   `json:"tools"`
	Steps map[string]int `json:"steps"` // of each step, the place of its tool
}

// TestedTool is a tool of a workflow that is tested.
type TestedTool struct {
	Tool *tool.Tool `json:"tool"`
	// Known is the name by which policies and secrets know the tool: its own on the server, or that of the workflow whose files have it; empty for
	// a definition that came with the request.
	Known string `json:"known,omitempty"`
}

// Check says what is wrong with tests that came over a network.
func (t *Tests) Check() error {
	if (t.Tool == nil) == (t.Workflow == nil) {
		return errors.New("tests are of a tool or of a workflow")
	}
	if t.Workflow == nil {
		return nil
	}
	if slices.ContainsFunc(t.Workflow.Tools, func(one TestedTool) bool { return one.Tool == nil }) {
		return errors.New("a step has no tool")
	}
	for name, place := range t.Workflow.Steps {
		if place < 0 || place >= len(t.Workflow.Tools) {
			return fmt.Errorf("the step %q has no tool", name)
		}
	}
	return nil
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

// Tools are those that are tested.
func (t *Tests) Tools() []*tool.Tool {
	if t.Tool != nil {
		return []*tool.Tool{t.Tool}
	}
	var all []*tool.Tool
	if t.Workflow != nil {
		for _, one := range t.Workflow.Tools {
			all = append(all, one.Tool)
		}
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
