package workflow_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/mayfly-run/mayfly/internal/condition"
	"github.com/mayfly-run/mayfly/internal/condition/cel"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/workflow"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

const release = `
name: release
workflow:
  - name: build
    tool: {image: golang, command: make}
    outputs: [VERSION]
  - name: deploy
    tool: {image: kubectl, command: ./deploy.sh}
    inputs: {version: "${build.VERSION}"}
  - name: tell
    tool: {image: curl, command: ./tell.sh}
    condition: failure()
`

// printer carries out runs without running anything.
type printer struct{}

func (printer) Run(_ context.Context, req *run.Request, _ run.Watch) (*run.Result, error) {
	fmt.Println("run", req.Step, req.Inputs)
	return &run.Result{Status: run.Succeeded, Outputs: map[string]string{"VERSION": "1.2.0"}}, nil
}

// A workflow is executed over whatever carries out runs: this machine, another
// one, or as here, nothing.
func ExampleExecutor() {
	plan, err := planOf(release)
	if err != nil {
		fmt.Println(err)
		return
	}
	executor := workflow.Executor{Runner: printer{}, Conditions: &cel.Evaluator{}}
	result, err := executor.Run(context.Background(), plan, workflow.Options{ID: "run-1", Emit: func(run.Event) {}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range result.Steps {
		fmt.Println(s.Step, s.Status)
	}
	// Output:
	// run build map[]
	// run deploy map[version:1.2.0]
	// build succeeded
	// deploy succeeded
	// tell skipped
}

// A plan is pure: from how its steps stand follows what to do next.
func ExamplePlan_Next() {
	plan, err := planOf(release)
	if err != nil {
		fmt.Println(err)
		return
	}
	evaluate := func(s *definition.Step, v condition.Values) (bool, *condition.Problem) {
		yes, problem, _ := (&cel.Evaluator{}).Evaluate(context.Background(), plan.Expression(s), v)
		return yes, problem
	}
	states := plan.NewStates()
	for actions := plan.Next(states, evaluate); len(actions) > 0; actions = plan.Next(states, evaluate) {
		for _, a := range actions {
			plan.Apply(states, a)
			name := plan.Steps[a.Step].Name
			if a.Kind != workflow.Start {
				fmt.Println(name, a.State.Status, a.State.Reason)
				continue
			}
			fmt.Println(name, "starts, and fails")
			*plan.State(states, name) = workflow.StepState{Status: run.Failed, ExitCode: 1}
		}
	}
	// Output:
	// build starts, and fails
	// deploy skipped step build failed
	// tell starts, and fails
}

func planOf(text string) (*workflow.Plan, error) {
	d, err := definition.Parse("release.yaml", []byte(strings.TrimSpace(text)))
	if err != nil {
		return nil, err
	}
	if err := d.Workflow.Resolve(); err != nil {
		return nil, err
	}
	return workflow.NewPlan(d.Workflow, nil), nil
}
