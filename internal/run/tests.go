package run

import (
	"time"

	"github.com/mayfly-run/mayfly/internal/tool"
)

// Tests has a runner carry out tests of a tool instead of the tool.
type Tests struct {
	// Tool is what is tested. Its request has no tool beside it: a runner that knows no tests has nothing to run then.
	Tool *tool.Tool `json:"tool"`
	// File is the file of the tests, in the folder whose tar has the digest Files. It and what it names are read there, and nowhere else.
	File  string `json:"file"`
	Files string `json:"files"`
	// Names are those of the tests to carry out, in order.
	Names []string `json:"names"`
	// Record is that of package tooltest.
	Record bool `json:"record,omitempty"`
	// Secrets are those that the tool names and that some of the tests don't give themselves.
	Secrets []string `json:"secrets,omitempty"`
	// Timeout is for all of the tests together.
	Timeout time.Duration `json:"timeout"`
}

// Subject is the tool that runs, or that is tested.
func (r *Request) Subject() *tool.Tool {
	if r.Tests != nil {
		return r.Tests.Tool
	}
	return r.Tool
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
