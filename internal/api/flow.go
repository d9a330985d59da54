package api

import (
	"context"
	"net/http"
)

// Defined is what a version of a tool or workflow defines. Exactly one of its fields is set.
type Defined struct {
	Definition *Definition `json:"definition,omitempty" doc:"a tool, with the limits of the project's policy where it has none"`
	Workflow   *Flow       `json:"workflow,omitempty"`
}

// Flow is a workflow, and the graph of its steps.
type Flow struct {
	Name           string            `json:"name"`
	Description    string            `json:"description,omitempty"`
	Inputs         []Arg             `json:"inputs"`
	Labels         map[string]string `json:"labels,omitempty"`
	TimeoutSeconds float64           `json:"timeout_seconds,omitempty" doc:"of all steps together except those of finally; without it, there is no limit"`
	MaxParallel    int               `json:"max_parallel,omitempty" doc:"how many steps may run at once; without it, the server decides"`
	Steps          []FlowStep        `json:"steps" doc:"in the order of the definition, those of finally last"`
}

// FlowStep is a step of a workflow: a node of its graph.
type FlowStep struct {
	Name              string   `json:"name"`
	Tool              string   `json:"tool,omitempty" doc:"the tool's name, or its path from the workflow's folder; without one, the tool is defined in place"`
	Finally           bool     `json:"finally,omitempty" doc:"it runs after all others, however they ended"`
	After             []Edge   `json:"after" doc:"the steps that must end before it"`
	Condition         string   `json:"condition,omitempty"`
	Repeated          bool     `json:"repeated,omitempty" doc:"it has for_each: a run for each item, as NAME[0], NAME[1] and so on"`
	ContinueOnFailure bool     `json:"continue_on_failure,omitempty"`
	Runner            []string `json:"runner,omitempty" doc:"labels that its runner must have"`
	Artifacts         []string `json:"artifacts,omitempty" doc:"the names of those that it makes"`
	TimeoutSeconds    float64  `json:"timeout_seconds,omitempty" doc:"in place of the tool's"`
}

// Edge is an edge of the graph of a workflow.
type Edge struct {
	Step    string   `json:"step"`
	Carries []string `json:"carries,omitempty" doc:"the names of outputs and artifacts that the later step gets"`
}

// Defined returns what a version of a tool defines; version 0 is the latest.
func (c *Client) Defined(ctx context.Context, in, tool string, v int) (*Defined, error) {
	out := &Defined{}
	return out, c.call(ctx, http.MethodGet, version(in, tool, v)+"/definition", nil, out)
}
