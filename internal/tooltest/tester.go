package tooltest

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/mayfly-run/mayfly/internal/commandmock"
	"github.com/mayfly-run/mayfly/internal/condition"
	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/httpmock"
	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/policy"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/run/failure"
	"github.com/mayfly-run/mayfly/internal/run/local"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/suite"
	"github.com/mayfly-run/mayfly/internal/tool"
	"github.com/mayfly-run/mayfly/internal/tooltest/report"
)

// Tester runs tests. Its fields must not change after the first test has started.
type Tester struct {
	// Runner runs the tools. A test's own secrets take precedence over the runner's.
	Runner *local.Runner
	// Conditions evaluates the conditions of workflows.
	Conditions condition.Evaluator
	// Record passes requests that no mock answers on to the real network, and writes the answers to a file of mocks.
	Record bool
	// Roots are the certificates that a recording trusts in TLS, or nil for those of this machine.
	Roots *x509.CertPool
	// Grace is the Grace of each run (run.Request), and Kill the Kill of all runs (run.Watch).
	Grace time.Duration
	Kill  <-chan struct{}
	// Progress is called while images are pulled.
	Progress func(image.ProgressEvent)
	// Tool, unless nil, is tested instead of the tool that the suite names. It must be ready to run.
	Tool *tool.Tool
	// Steps, unless nil, are what the steps of a workflow run, by their names, instead of the tools that the workflow names.
	Steps map[string]Step
	// Project, unless empty, is whose caches the tests use instead of those of the suite's folder.
	Project string
	// Stdout and Stderr, unless nil, get what a tool prints at once too. Then only one test may run at a time.
	Stdout, Stderr io.Writer
	// Pulling, unless nil, is called with an image that isn't on this machine.
	Pulling func(image string)
}

// Step is what a step of a workflow runs.
type Step struct {
	Tool   *tool.Tool     // ready to run
	Policy *policy.Policy // for this tool, instead of the runner's
}

// Run runs one test of a suite. The result is never nil.
func (r *Tester) Run(ctx context.Context, s *suite.Suite, t *suite.Test) *report.Result {
	begin := time.Now()
	res := newResult(t)
	err := r.run(ctx, s, t, res)
	res.DurationMS = time.Since(begin).Milliseconds()
	switch {
	case err != nil:
		res.Status, res.Error, res.Code = report.Errored, err.Error(), failure.CodeOf(err)
		res.Problems = shape.Problems(err)
	case len(res.Failures) > 0:
		res.Status = report.Failed
	default:
		res.Status = report.Passed
	}
	return res
}

func newResult(t *suite.Test) *report.Result {
	return &report.Result{
		Type: "test", Name: t.Name, File: t.Position.File, Line: t.Position.Line,
		Failures: []report.Failure{}, Requests: []httpmock.Request{}, Calls: []commandmock.Call{}, Connections: []engine.Connection{}, UnusedMocks: []string{},
	}
}

// NotRun returns the result of a test that wasn't started.
func NotRun(j *Job) *report.Result {
	res := newResult(j.Test)
	res.Status, res.Error, res.Code = report.Errored, "not run: the tests were interrupted", run.CodeCancelled
	return res
}

func (r *Tester) run(ctx context.Context, s *suite.Suite, t *suite.Test, res *report.Result) (err error) {
	w, err := s.Complete(t, !r.Record)
	if err != nil {
		return err
	}
	one := &testRun{Tester: r, suite: s, test: t, fixture: w, result: res}
	if one.project = r.Project; one.project == "" {
		if one.project, err = local.ProjectOf(s.Source.Dir); err != nil {
			return err
		}
	}
	one.secrets = &secrets{given: w.Secrets, next: r.Runner.Secrets}
	switch {
	case r.Tool != nil:
		one.tool = r.Tool.Clone()
		res.Tool = one.tool.Name
	case s.Tool != nil:
		if one.tool, err = s.LoadTool(); err != nil {
			return err
		}
		res.Tool = one.tool.Name
	default:
		res.Workflow = s.Workflow.Name
	}
	var forward *httpmock.Forward
	if r.Record {
		if forward, err = one.forward(); err != nil {
			return err
		}
	}
	if one.mocks, err = startResponders(&w, s.Source.Dir, forward); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, one.mocks.close()) }()
	var failed error
	if one.tool != nil {
		failed = one.runTool(ctx)
	} else {
		failed = one.runWorkflow(ctx)
	}
	// Every request that the tool has begun is answered or ended before the records are read.
	if err := one.mocks.close(); err != nil {
		return err
	}
	one.collect()
	if failed != nil && res.Result == nil {
		return one.masked(failed)
	}
	defer one.mask()
	one.unmatched()
	if status := res.Result.Status; notTheTools(status) && t.Expect.Status != string(status) {
		return run.NewError(res.Result.Code, res.Result.Reason)
	}
	one.judge()
	if r.Record {
		return one.record()
	}
	return nil
}

// masked returns err, or if its text has a secret, an error with the secret masked. That error keeps the code of err, but
// doesn't wrap it.
func (s *testRun) masked(err error) error {
	if text := s.secrets.redactor(false).String(err.Error()); text != err.Error() {
		return run.NewError(failure.CodeOf(err), text)
	}
	return err
}

// notTheTools reports whether a run ended by a failure of Mayfly or an interruption, and not by the tool.
func notTheTools(s run.State) bool { return s == run.Error || s == run.Lost || s == run.Cancelled }

// testRun is one test while it runs.
type testRun struct {
	*Tester
	suite   *suite.Suite
	test    *suite.Test
	tool    *tool.Tool // nil for a workflow
	fixture suite.Fixture
	secrets *secrets
	mocks   *responders
	project string // the suite's: its tests use the caches of this project
	result  *report.Result

	stdout, stderr output
	repeated       map[string]bool // whether a workflow's step has for_each, by its name
	dropped        int             // connections that weren't kept, because there were too many
	trusting       []string
	mayRunItself   []string
	hints          []string // of runs that failed
}

// maxConnections is how many of a run's connections are kept.
const maxConnections = 10_000

// emit keeps the connections of a run.
func (s *testRun) emit(e run.Event) {
	if e.State != nil && e.State.State == run.Pulling && s.Pulling != nil {
		s.Pulling(e.State.Detail)
	}
	if e.Connection == nil {
		return
	}
	if len(s.result.Connections) >= maxConnections {
		s.dropped++
		return
	}
	s.result.Connections = append(s.result.Connections, *e.Connection)
}

// runner returns the runner of tools, with the test's secrets.
func (s *testRun) runner() *local.Runner {
	r := *s.Runner
	r.Secrets = s.secrets
	return &r
}

func (s *testRun) runTool(ctx context.Context) error {
	if s.fixture.Timeout != 0 {
		s.tool.Timeout = s.fixture.Timeout
	}
	req := &run.Request{Tool: s.tool, Project: s.project, Inputs: s.inputs(), Environment: s.environment(), Mocks: &s.mocks.spec, Grace: s.Grace}
	result, err := s.runner().RunWith(ctx, req, local.Options{
		Watch: run.Watch{Kill: s.Kill, Emit: s.emit, Mocks: s.mocks}, Stdout: tee(&s.stdout, s.Stdout), Stderr: tee(&s.stderr, s.Stderr), Progress: s.Progress,
	})
	s.result.Result = result
	s.ended(result)
	return err
}

// tee is a writer to what is kept of a stream, and to whoever sees it at once; that may be nil.
func tee(kept *output, seen io.Writer) io.Writer {
	if seen == nil {
		return kept
	}
	return io.MultiWriter(kept, seen)
}

// ended keeps what the result of a tool's run says about its mocks, and its hint.
func (s *testRun) ended(r *run.Result) {
	if r == nil {
		return
	}
	s.trusting = union(s.trusting, r.Trusting)
	s.mayRunItself = union(s.mayRunItself, r.MayRunItself)
	if r.Hint != "" {
		s.hints = union(s.hints, []string{r.Hint})
	}
}

// union returns the names of both lists, sorted, each once.
func union(a, b []string) []string {
	all := slices.Sorted(slices.Values(slices.Concat(a, b)))
	return slices.Compact(all)
}

// environment returns the variables of the test, without those of the file that would override the test's own inputs. What
// a test says itself takes precedence over what its file says for all tests.
func (s *testRun) environment() []tool.EnvVar {
	own := func(name string) bool {
		return slices.ContainsFunc(s.test.Environment, func(v tool.EnvVar) bool { return v.Name == name })
	}
	return slices.DeleteFunc(slices.Clone(s.fixture.Environment), func(v tool.EnvVar) bool {
		input := v.Name
		for _, a := range s.tool.Args {
			if a.Env == v.Name {
				input = a.Name
			}
		}
		_, given := s.test.Inputs[input]
		return given && !own(v.Name)
	})
}

// inputs returns the inputs of the test, and those that its environment gives: the variable of an argument sets that
// argument's value too, so that a test needs to give a required argument only once.
func (s *testRun) inputs() map[string]any {
	inputs := s.fixture.Inputs
	for _, a := range s.tool.Args {
		if _, given := inputs[a.Name]; given {
			continue
		}
		// The last variable with a name takes effect, as for the tool.
		for _, v := range slices.Backward(s.fixture.Environment) {
			if v.Name == a.Env {
				inputs[a.Name] = v.Value
				break
			}
		}
	}
	return inputs
}

// collect copies what the run printed and what the mocks recorded into the result.
func (s *testRun) collect() {
	res := s.result
	res.Stdout, res.StdoutBase64 = s.stdout.text()
	res.Stderr, res.StderrBase64 = s.stderr.text()
	res.StdoutTruncated, res.StderrTruncated = s.stdout.more, s.stderr.more
	res.Requests, res.Refused, res.Calls = s.mocks.http.Requests(), s.mocks.http.Refusals(), s.mocks.commands.Calls()
	for i, n := range s.mocks.http.Used() {
		if n == 0 {
			res.UnusedMocks = append(res.UnusedMocks, s.fixture.HTTP[i].Label)
		}
	}
	for i, n := range s.mocks.commands.Used() {
		if n == 0 {
			res.UnusedMocks = append(res.UnusedMocks, s.fixture.Commands[i].Label)
		}
	}
	for what, n := range map[string]int{"requests": s.mocks.http.Dropped(), "calls of commands": s.mocks.commands.Dropped(), "connections": s.dropped} {
		if n > 0 {
			res.Notes = append(res.Notes, fmt.Sprintf("%d %s were not recorded, because there were too many", n, what))
		}
	}
	slices.Sort(res.Notes)
	if len(s.trusting) > 0 {
		res.Notes = append(res.Notes, fmt.Sprintf("the tool brings its own certificates; so that it trusts the mocks, the test's authority was added to %s", strings.Join(s.trusting, ", ")))
	}
}
