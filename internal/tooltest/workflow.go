package tooltest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/content"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/run/local"
	"github.com/mayfly-run/mayfly/internal/secret"
	"github.com/mayfly-run/mayfly/internal/tempdir"
	"github.com/mayfly-run/mayfly/internal/tool"
	"github.com/mayfly-run/mayfly/internal/tooltest/report"
	"github.com/mayfly-run/mayfly/internal/workflow"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// runWorkflow runs the suite's workflow. The steps that the test mocks end as it says; all others run their tools with the
// test's mocks and environment. There is no journal, since a test isn't resumed.
func (s *testRun) runWorkflow(ctx context.Context) (err error) {
	plan, err := s.plan(ctx)
	if err != nil {
		return err
	}
	runner := s.runner()
	if runner.Sealer, err = secret.NewBox(); err != nil {
		return err
	}
	artifacts, err := tempdir.New()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, artifacts.Close()) }()
	if runner.Content, err = s.artifacts(artifacts.Path); err != nil {
		return err
	}
	s.repeated = make(map[string]bool, len(plan.Steps))
	for _, step := range plan.Steps {
		s.repeated[step.Name] = step.ForEach != nil
	}
	states := plan.NewStates()
	executor := &workflow.Executor{Runner: s.ofSteps(runner), Conditions: s.Conditions, Sealer: runner.Sealer}
	result, err := executor.Run(ctx, plan, workflow.Options{
		ID: run.NewID(), States: states, Environment: s.fixture.Environment, Mocked: s.mockedSteps(),
		Prepare: func(_ string, req *run.Request) {
			req.Mocks, req.Project = &s.mocks.spec, s.project
			if s.fixture.Timeout != 0 {
				req.Tool.Timeout = s.fixture.Timeout
			}
		},
		Grace: s.Grace, Kill: s.Kill, Emit: s.stepEvent, Mocks: s.mocks,
	})
	s.result.Result = result
	s.result.Steps = make(map[string]report.StepResult, len(plan.Steps))
	for i, step := range plan.Steps {
		st := &states.Steps[i]
		s.result.Steps[step.Name] = report.StepResult{Status: st.Status, ExitCode: st.ExitCode, Outputs: st.Outputs, Code: st.Code, Reason: st.Reason}
	}
	return err
}

// ofSteps returns what runs the tools of steps. Those that were sent are run one after the other, each under its own policy: whoever sent them has
// a place for one.
func (s *testRun) ofSteps(r *local.Runner) run.Runner {
	if s.Steps == nil {
		return r
	}
	return &stepRunner{r, s.Steps, make(chan struct{}, 1)}
}

type stepRunner struct {
	*local.Runner
	steps map[string]Step
	turn  chan struct{}
}

// Run implements run.Runner.
func (r *stepRunner) Run(ctx context.Context, req *run.Request, watch run.Watch) (*run.Result, error) {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done(): // the runner says so in its result
	}
	one := *r.Runner
	one.Policy = r.steps[req.Step].Policy
	return one.Run(ctx, req, watch)
}

// artifacts makes a store in a folder for what the steps make, with the files that their tools were sent with.
func (s *testRun) artifacts(dir string) (content.Store, error) {
	store := content.Store(dir)
	linked := map[string]bool{}
	for _, step := range s.Steps {
		digest := step.Tool.Source.Files
		if digest == "" || linked[digest] {
			continue
		}
		linked[digest] = true
		from, err := s.Runner.Content.Path(digest)
		if err != nil {
			return "", err
		}
		to, err := store.Path(digest)
		if err != nil {
			return "", err
		}
		if err := os.Symlink(from, to); err != nil {
			return "", err
		}
	}
	return store, nil
}

// plan reads and checks the workflow.
func (s *testRun) plan(ctx context.Context) (*workflow.Plan, error) {
	load := s.suite.LoadWorkflow
	if s.Steps != nil {
		load = func() (*definition.Workflow, error) {
			tools := make(map[string]*tool.Tool, len(s.Steps))
			for name, step := range s.Steps {
				tools[name] = step.Tool
			}
			return s.suite.LoadWorkflowWith(tools)
		}
	}
	w, err := load()
	if err != nil {
		return nil, err
	}
	values, err := w.Values(s.fixture.Inputs)
	if err != nil {
		return nil, err
	}
	plan := workflow.NewPlan(w, values)
	if err := plan.CheckInputs(); err != nil {
		return nil, err
	}
	return plan, workflow.CheckConditions(ctx, plan, s.Conditions)
}

// mockedSteps returns the end states of the steps that the test mocks, by their names. These steps don't run.
func (s *testRun) mockedSteps() map[string]workflow.StepState {
	out := map[string]workflow.StepState{}
	for _, name := range slices.Sorted(maps.Keys(s.test.Steps)) {
		mock := s.test.Steps[name]
		st := workflow.StepState{Status: run.Succeeded, Outputs: mock.Outputs}
		if mock.ExitCode != nil && *mock.ExitCode != 0 {
			st.Status, st.ExitCode, st.Code = run.Failed, *mock.ExitCode, run.CodeToolFailed
		}
		if mock.Status != "" {
			st.Status = run.State(mock.Status)
			st.Code = codes[st.Status]
			if st.ExitCode == 0 && st.Failed() {
				st.ExitCode = run.ExitFailed
			}
		}
		if st.Failed() {
			st.Reason = fmt.Sprintf("exit status %d", st.ExitCode)
		}
		out[name] = st
	}
	return out
}

// codes has the code for each state in which a mocked step can end.
var codes = map[run.State]run.Code{
	run.Failed: run.CodeToolFailed, run.TimedOut: run.CodeTimedOut, run.Cancelled: run.CodeCancelled, run.OutOfMemory: run.CodeOutOfMemory,
	run.Denied: run.CodePolicyDenied, run.Error: run.CodeError, run.Lost: run.CodeSandboxLost, run.Skipped: run.CodeSkipped,
}

// stepEvent keeps what the steps print, and their connections. It is never called concurrently.
func (s *testRun) stepEvent(e run.Event) {
	stdout := tee(&s.stdout, s.Stdout)
	switch {
	case e.Log != nil && e.Log.Stream == "stderr":
		_, _ = tee(&s.stderr, s.Stderr).Write(e.Log.Bytes()) // never fails
	case e.Log != nil:
		_, _ = stdout.Write(e.Log.Bytes())
	case e.Result != nil && e.Step != "":
		s.ended(e.Result)
		name, _, item := strings.Cut(e.Step, "[")
		// A skipped step prints nothing, and of a step with for_each only its items print.
		mock, ok := s.test.Steps[name]
		if ok && mock.Stdout != "" && e.Result.Status != run.Skipped && item == s.repeated[name] {
			_, _ = stdout.Write([]byte(strings.TrimSuffix(mock.Stdout, "\n") + "\n"))
		}
	default:
		s.emit(e)
	}
}
