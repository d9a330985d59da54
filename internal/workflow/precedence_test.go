package workflow

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine/fake"
	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/run/local"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// present is an image store that has every image.
type present struct{}

func (present) Lookup(ref string) (*image.Image, error) {
	return &image.Image{Reference: ref, Digest: "example/" + ref + "@sha256:0"}, nil
}

func (present) Pull(context.Context, string, image.PullOptions) (*image.Image, error) {
	return nil, errors.New("no image should be pulled")
}

func (present) Hold(context.Context, *image.Image, string) (func() error, error) {
	return func() error { return nil }, nil
}

// TestPrecedenceOfVariables: a run's variables come from the tool, the workflow, the inputs, the step and the command line;
// each takes precedence over the ones before it.
func TestPrecedenceOfVariables(t *testing.T) {
	p := NewPlan(parse(t, `
environment: {WORKFLOW: workflow, INPUT: workflow, STEP: workflow, CLI: workflow, DEFAULT: workflow, EMPTY: ""}
workflow:
- name: a
  tool:
    image: i
    command: [go]
    args: [{name: input, default: default}, {name: default, default: default}]
    environment: {TOOL: tool, WORKFLOW: tool, INPUT: tool, STEP: tool, CLI: tool, DEFAULT: tool, EMPTY: tool}
  inputs: {input: input}
  environment: {STEP: step, CLI: step}
- {name: items, tool: {image: i, command: [go]}, for_each: [one], inputs: {INPUT: "${item}"}, environment: {STEP: "step ${item}", CLI: step}}
`), nil)
	var got []string
	program := func(p *fake.Process) int {
		text := ""
		for _, name := range []string{"TOOL", "DEFAULT", "WORKFLOW", "INPUT", "STEP", "CLI", "ONLY", "EMPTY"} {
			text += name + "=" + p.Getenv(name) + " "
		}
		got = append(got, text)
		return 0
	}
	runner := &local.Runner{Engine: &fake.Engine{Programs: map[string]fake.Program{"go": program}}, Images: present{}}
	result, err := executor(runner).Run(t.Context(), p, Options{Environment: []tool.EnvVar{{Name: "CLI", Value: "cli"}, {Name: "ONLY", Value: "cli"}}})
	if err != nil || result.Status != run.Succeeded {
		t.Fatalf("%s %s, %v", summary(result), result.Reason, err)
	}
	want := "TOOL=tool DEFAULT=workflow WORKFLOW=workflow INPUT=input STEP=step CLI=cli ONLY=cli EMPTY= \n" +
		"TOOL= DEFAULT=workflow WORKFLOW=workflow INPUT=one STEP=step one CLI=cli ONLY=cli EMPTY= "
	if got := strings.Join(got, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
