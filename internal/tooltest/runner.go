package tooltest

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mayfly-run/mayfly/internal/shape"

	"github.com/mayfly-run/mayfly/internal/commandmock"
	"github.com/mayfly-run/mayfly/internal/condition"
	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/httpmock"
	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/run/failure"
	"github.com/mayfly-run/mayfly/internal/run/local"
	"github.com/mayfly-run/mayfly/internal/suite"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// Runner runs tests. Its fields are set before the first and not changed.
type Runner struct {
	// Runner runs the tools; its secrets come after a test's own.
	Runner *local.Runner
	// Conditions evaluates those of workflows.
	Conditions condition.Evaluator
	// Record passes requests that no mock answers on to the real network, and hands what came back to be written.
	Record bool
	// Roots are what a recording trusts in TLS; nil for this machine's own.
	Roots *x509.CertPool
	// Grace is each run's (run.Request), and Kill all runs' (run.Watch).
	Grace time.Duration
	Kill  <-chan struct{}
	// Progress is called while images are pulled.
	Progress func(image.ProgressEvent)
}

// Run runs one test of a suite. The result is never nil.
func (r *Runner) Run(ctx context.Context, s *suite.Suite, t *suite.Test) *Result {
	begin := time.Now()
	res := newResult(t)
	err := r.run(ctx, s, t, res)
	res.DurationMS = time.Since(begin).Milliseconds()
	switch {
	case err != nil:
		res.Status, res.Error, res.Code = Errored, err.Error(), failure.CodeOf(err)
		res.Problems = shape.Problems(err)
	case len(res.Failures) > 0:
		res.Status = Failed
	default:
		res.Status = Passed
	}
	return res
}

func newResult(t *suite.Test) *Result {
	return &Result{
		Type: "test", Name: t.Name, File: t.Position.File, Line: t.Position.Line,
		Failures: []Failure{}, Requests: []httpmock.Request{}, Calls: []commandmock.Call{}, Connections: []engine.Connection{}, UnusedMocks: []string{},
	}
}

// notRun is the result of a test that wasn't begun.
func notRun(j *Job) *Result {
	res := newResult(j.Test)
	res.Status, res.Error, res.Code = Errored, "not run: the tests were interrupted", run.CodeCancelled
	return res
}

func (r *Runner) run(ctx context.Context, s *suite.Suite, t *suite.Test, res *Result) (err error) {
	w, err := s.Complete(t, !r.Record)
	if err != nil {
		return err
	}
	one := &session{Runner: r, suite: s, test: t, world: w, result: res}
	if one.project, err = local.ProjectOf(s.Source.Dir); err != nil {
		return err
	}
	one.secrets = &secrets{given: w.Secrets, next: r.Runner.Secrets}
	if s.Tool != nil {
		if one.tool, err = s.LoadTool(); err != nil {
			return err
		}
		res.Tool = one.tool.Name
	} else {
		res.Workflow = s.Workflow.Name
	}
	var forward *httpmock.Forward
	if r.Record {
		if forward, err = one.forward(); err != nil {
			return err
		}
	}
	if one.mocks, err = openWorld(&w, s.Source.Dir, forward); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, one.mocks.close()) }()
	var failed error
	if one.tool != nil {
		failed = one.runTool(ctx)
	} else {
		failed = one.runWorkflow(ctx)
	}
	// Whatever the tool has begun is answered or ended before what was recorded is looked at.
	if err := one.mocks.close(); err != nil {
		return err
	}
	one.collect()
	if failed != nil && res.Result == nil {
		return one.masked(failed)
	}
	defer one.mask()
	one.unmatched()
	if status := res.Result.Status; own(status) && t.Expect.Status != string(status) {
		return run.NewError(res.Result.Code, res.Result.Reason)
	}
	one.judge()
	if r.Record {
		return one.record()
	}
	return nil
}

// masked is an error with every secret in its text masked; one that needs it loses what it wraps, except for its code.
func (s *session) masked(err error) error {
	if text := s.secrets.redactor(false).String(err.Error()); text != err.Error() {
		return run.NewError(failure.CodeOf(err), text)
	}
	return err
}

// own reports whether a run ended by Mayfly's failure and not by the tool.
func own(s run.State) bool { return s == run.Error || s == run.Lost || s == run.Cancelled }

// session is one test under way.
type session struct {
	*Runner
	suite   *suite.Suite
	test    *suite.Test
	tool    *tool.Tool // nil for a workflow
	world   suite.World
	secrets *secrets
	mocks   *mockWorld
	project string // the suite's, whose caches its tests have
	result  *Result

	stdout, stderr output
	dropped        int // connections that were too many to be kept
	trusting       []string
	mayRunItself   []string
	hints          []string // of runs that failed
}

// maxConnections is how many of a run's connections are kept.
const maxConnections = 10_000

// emit keeps a run's connections.
func (s *session) emit(e run.Event) {
	if e.Connection == nil {
		return
	}
	if len(s.result.Connections) >= maxConnections {
		s.dropped++
		return
	}
	s.result.Connections = append(s.result.Connections, *e.Connection)
}

// runner is the runner of tools with the test's secrets.
func (s *session) runner() *local.Runner {
	r := *s.Runner.Runner
	r.Secrets = s.secrets
	return &r
}

func (s *session) runTool(ctx context.Context) error {
	if s.world.Timeout != 0 {
		s.tool.Timeout = s.world.Timeout
	}
	req := &run.Request{Tool: s.tool, Project: s.project, Inputs: s.inputs(), Environment: s.environment(), Mocks: &s.mocks.spec, Grace: s.Grace}
	result, err := s.runner().RunWith(ctx, req, local.Options{
		Watch: run.Watch{Kill: s.Kill, Emit: s.emit, Mocks: s.mocks}, Stdout: &s.stdout, Stderr: &s.stderr, Progress: s.Progress,
	})
	s.result.Result = result
	s.ended(result)
	return err
}

// ended keeps what a tool's run says of its mocks.
func (s *session) ended(r *run.Result) {
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

// environment is the test's, except for what the file says of a variable that one of the test's own inputs arrives in: what a
// test says itself wins over what is said for all.
func (s *session) environment() []tool.EnvVar {
	own := func(name string) bool {
		return slices.ContainsFunc(s.test.Environment, func(v tool.EnvVar) bool { return v.Name == name })
	}
	return slices.DeleteFunc(slices.Clone(s.world.Environment), func(v tool.EnvVar) bool {
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

// inputs are those of the test, and those that its environment gives: a variable that an argument arrives in is that
// argument's value too, so that a required one needs not be said twice.
func (s *session) inputs() map[string]any {
	inputs := s.world.Inputs
	for _, a := range s.tool.Args {
		if _, given := inputs[a.Name]; given {
			continue
		}
		// The last one of a name counts, as for the tool.
		for _, v := range slices.Backward(s.world.Environment) {
			if v.Name == a.Env {
				inputs[a.Name] = v.Value
				break
			}
		}
	}
	return inputs
}

// collect takes over what the run printed and what the mocks recorded.
func (s *session) collect() {
	res := s.result
	res.Stdout, res.StdoutBase64 = s.stdout.text()
	res.Stderr, res.StderrBase64 = s.stderr.text()
	res.StdoutTruncated, res.StderrTruncated = s.stdout.more, s.stderr.more
	res.Requests, res.Refused, res.Calls = s.mocks.http.Requests(), s.mocks.http.Refusals(), s.mocks.commands.Calls()
	for i, n := range s.mocks.http.Used() {
		if n == 0 {
			res.UnusedMocks = append(res.UnusedMocks, s.world.HTTP[i].Label)
		}
	}
	for i, n := range s.mocks.commands.Used() {
		if n == 0 {
			res.UnusedMocks = append(res.UnusedMocks, s.world.Commands[i].Label)
		}
	}
	for what, n := range map[string]int{"requests": s.mocks.http.Dropped(), "calls of commands": s.mocks.commands.Dropped(), "connections": s.dropped} {
		if n > 0 {
			res.Notes = append(res.Notes, fmt.Sprintf("%d %s were too many to be recorded", n, what))
		}
	}
	slices.Sort(res.Notes)
	if len(s.trusting) > 0 {
		res.Notes = append(res.Notes, fmt.Sprintf("the tool brings certificates of its own; so that it trusts the mocks, the test's authority was added to %s", strings.Join(s.trusting, ", ")))
	}
}
