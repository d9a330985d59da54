// Package testrun carries out runs of tests for a server: each test as package tooltest does, and what it says as events.
//
//	run.Tests ──▶ files, suite ──▶ each test: tooltest.Tester ──▶ log, test ──▶ recorded ──▶ result
package testrun

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mayfly-run/mayfly/internal/condition"
	"github.com/mayfly-run/mayfly/internal/policy"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/run/failure"
	"github.com/mayfly-run/mayfly/internal/run/local"
	"github.com/mayfly-run/mayfly/internal/show"
	"github.com/mayfly-run/mayfly/internal/suite"
	"github.com/mayfly-run/mayfly/internal/tempdir"
	"github.com/mayfly-run/mayfly/internal/tooltest"
	"github.com/mayfly-run/mayfly/internal/tooltest/report"
)

// Runner carries out runs of tools, and of tests.
type Runner struct {
	*local.Runner
	// Conditions evaluates the conditions of workflows that are tested.
	Conditions condition.Evaluator
	// PolicyFor returns the policy for a tool of such a workflow by the name that the server knows; the others have that of Runner.
	PolicyFor func(known string) *policy.Policy
}

// errTimeout is the cause of the end of tests that took too long together.
var errTimeout = errors.New("the tests took too long")

// Run implements run.Runner.
func (r *Runner) Run(ctx context.Context, req *run.Request, watch run.Watch) (*run.Result, error) {
	if req.Tests == nil {
		return r.Runner.Run(ctx, req, watch)
	}
	now := time.Now().UTC()
	t := &tests{Tests: req.Tests, req: req, watch: watch, events: run.NewSequence(req.ID, watch.Emit)}
	t.result.Outputs, t.result.Timeline = map[string]string{}, run.Timeline{Queued: now, Started: now}
	t.events.Emit(run.Event{State: &run.StateChange{State: run.Queued}})
	t.events.Emit(run.Event{State: &run.StateChange{State: run.Running}})
	err := t.run(ctx, r)
	res := &t.result
	if err != nil {
		f := failure.Of(err)
		res.Status, res.ExitCode, res.Code, res.Reason = f.State, f.ExitCode, f.Code, err.Error()
	}
	res.Timeline.Finished = time.Now().UTC()
	res.DurationMS = res.Timeline.Finished.Sub(now).Milliseconds()
	shown := *res
	t.events.Emit(run.Event{State: &run.StateChange{State: res.Status}})
	t.events.Emit(run.Event{Result: &shown})
	return res, err
}

// tests are those of one run.
type tests struct {
	*run.Tests
	req    *run.Request
	watch  run.Watch
	events *run.Sequence
	dir    string // of the files
	result run.Result

	stdout, stderr *lines
	view           *show.Tests
	summary        report.Summary
	wrong          *report.Result // the first one that didn't pass; one that couldn't be run before others
}

func (t *tests) run(ctx context.Context, runner *Runner) (err error) {
	dir, err := tempdir.New()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	t.dir = filepath.Join(dir.Path, "tool")
	if err := os.Mkdir(t.dir, 0o700); err != nil {
		return err
	}
	if err := runner.Content.Unpack(ctx, t.Files, t.dir); err != nil {
		return err
	}
	jobs, err := t.jobs()
	if err != nil {
		return t.relativeError(err)
	}
	before := map[string][sha256.Size]byte{}
	if t.Record {
		if before, err = t.sums(); err != nil {
			return err
		}
	}
	emit := func(l *run.Log) { t.events.Emit(run.Event{Log: l}) }
	t.stdout, t.stderr = &lines{LogWriter: local.LogWriter{Stream: "stdout", Emit: emit}}, &lines{LogWriter: local.LogWriter{Stream: "stderr", Emit: emit}}
	stream := func(w *lines) show.Stream { return show.Stream{Writer: w} }
	t.view = show.NewTests(show.Output{Out: stream(t.stdout), Err: stream(t.stderr)}, false, len(jobs))
	if err := t.all(ctx, runner, jobs); err != nil {
		return err
	}
	if t.Record {
		return t.recorded(before)
	}
	return nil
}

// jobs reads the tests. The names of their places are relative to the folder of the files.
func (t *tests) jobs() ([]tooltest.Job, error) {
	file := filepath.Join(t.dir, filepath.FromSlash(t.File))
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	s, err := suite.Parse(t.File, data)
	if err != nil {
		return nil, err
	}
	s.SetDir(filepath.Dir(file))
	var jobs []tooltest.Job
	for _, name := range t.Names {
		i := slices.IndexFunc(s.Tests, func(one suite.Test) bool { return one.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("%s has no test %q", t.File, name)
		}
		jobs = append(jobs, tooltest.Job{Suite: s, Test: &s.Tests[i]})
	}
	return jobs, nil
}

// all carries the tests out, one after the other: a run has one sandbox at a time.
func (t *tests) all(ctx context.Context, runner *Runner, jobs []tooltest.Job) error {
	ctx, cancel := context.WithTimeoutCause(ctx, t.Timeout, errTimeout)
	defer cancel()
	begin := time.Now()
	t.summary.Type = "summary"
	tester := &tooltest.Tester{
		Runner: runner.Runner, Conditions: runner.Conditions, Record: t.Record, Grace: t.req.Grace, Kill: t.watch.Kill,
		Tool: t.Tool, Steps: t.steps(runner.PolicyFor), Project: t.req.Project, Stdout: t.stdout, Stderr: t.stderr,
		Pulling: func(image string) { fmt.Fprintf(t.stderr, "mayfly: pulling %s\n", image) },
	}
	for i := range jobs {
		var res *report.Result
		if ctx.Err() != nil {
			res = tooltest.NotRun(&jobs[i])
		} else {
			fmt.Fprintf(t.stdout, "::group::%s\n", jobs[i].Test.Name)
			t.stdout.Flush()
			res = tester.Run(ctx, jobs[i].Suite, jobs[i].Test)
			t.endOutput()
		}
		t.relative(res)
		event, err := report.NewEvent(res)
		if err != nil {
			return err
		}
		t.events.Emit(run.Event{Other: event})
		t.say(res)
		t.summary.Add(res)
		if t.wrong == nil && res.Status == report.Failed || res.Status == report.Errored && (t.wrong == nil || t.wrong.Status == report.Failed) {
			t.wrong = res
		}
	}
	t.summary.DurationMS = time.Since(begin).Milliseconds()
	err := t.view.Finish(t.summary)
	t.stdout.Flush()
	t.end(ctx)
	return err
}

// steps are what the steps of a workflow run.
func (t *tests) steps(policyFor func(known string) *policy.Policy) map[string]tooltest.Step {
	if t.Workflow == nil {
		return nil
	}
	all := make(map[string]tooltest.Step, len(t.Workflow.Steps))
	for name, place := range t.Workflow.Steps {
		one := t.Workflow.Tools[place]
		all[name] = tooltest.Step{Tool: one.Tool, Policy: policyFor(one.Known)}
	}
	return all
}

// endOutput ends the part of the log that has a tool's output.
func (t *tests) endOutput() {
	t.stderr.end()
	t.stdout.end()
	fmt.Fprintln(t.stdout, "::endgroup::")
	t.stdout.Flush()
}

// lines is a stream of the log of which one may end the line that a tool hasn't ended.
type lines struct {
	local.LogWriter
	open bool
}

// Write implements io.Writer. It never fails.
func (l *lines) Write(p []byte) (int, error) {
	if len(p) > 0 {
		l.open = p[len(p)-1] != '\n'
	}
	return l.LogWriter.Write(p)
}

func (l *lines) end() {
	if l.open {
		fmt.Fprintln(l)
	}
	l.Flush()
}

// say prints a result without what the tool has printed, which is before it.
func (t *tests) say(res *report.Result) {
	said := *res
	said.Stdout, said.StdoutBase64, said.Stderr, said.StderrBase64 = "", nil, "", nil
	t.view.Result(&said)
	t.stdout.Flush()
}

// end sets how the run has ended: as `mayfly test` does.
func (t *tests) end(ctx context.Context) {
	res := &t.result
	switch {
	case t.summary.Errors > 0 && errors.Is(context.Cause(ctx), errTimeout):
		res.Status, res.ExitCode, res.Code = run.TimedOut, run.ExitTimedOut, run.CodeTimedOut
		res.Reason = fmt.Sprintf("the tests took longer than %s together", t.Timeout)
		res.Hint = "run fewer of them at once"
	case t.summary.Errors > 0 && ctx.Err() != nil:
		res.Status, res.ExitCode, res.Code, res.Reason = run.Cancelled, run.ExitCancelled, run.CodeCancelled, "cancelled"
	case t.summary.Errors > 0:
		res.Status, res.ExitCode, res.Code = run.Error, run.ExitError, t.wrong.Code
		res.Reason = fmt.Sprintf("%d of %d tests couldn't be run; the first is %s: %s", t.summary.Errors, t.summary.Tests, t.wrong.Name, t.wrong.Error)
	case t.summary.Failed > 0:
		res.Status, res.ExitCode, res.Code = run.Failed, run.ExitFailed, run.CodeTestFailed
		res.Reason = fmt.Sprintf("%d of %d tests failed; the first is %s", t.summary.Failed, t.summary.Tests, t.wrong.Name)
	default:
		res.Status = run.Succeeded
	}
}

// sums has the hashes of the files, by their paths.
func (t *tests) sums() (map[string][sha256.Size]byte, error) {
	all := map[string][sha256.Size]byte{}
	err := t.files(func(path string, content []byte) error {
		all[path] = sha256.Sum256(content)
		return nil
	})
	return all, err
}

// files calls take with the files, in the order of their paths.
func (t *tests) files(take func(path string, content []byte) error) error {
	return filepath.WalkDir(t.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		path, err = filepath.Rel(t.dir, path)
		if err != nil {
			return err
		}
		return take(filepath.ToSlash(path), content)
	})
}

// recorded emits the files that aren't as they were before.
func (t *tests) recorded(before map[string][sha256.Size]byte) error {
	return t.files(func(path string, content []byte) error {
		if sum, ok := before[path]; ok && sum == sha256.Sum256(content) {
			return nil
		}
		event, err := report.NewRecorded(path, content)
		if err != nil {
			return err
		}
		t.events.Emit(run.Event{Other: event})
		return nil
	})
}

// relative makes the paths in a result relative to the folder of the files, which nobody else knows.
func (t *tests) relative(res *report.Result) {
	res.Error, res.Recorded = t.relativeText(res.Error), t.relativeText(res.Recorded)
	for i := range res.Problems {
		p := &res.Problems[i]
		p.File, p.Text, p.Hint = t.relativeText(p.File), t.relativeText(p.Text), t.relativeText(p.Hint)
	}
	for i := range res.Failures {
		f := &res.Failures[i]
		f.Message, f.Diff = t.relativeText(f.Message), t.relativeText(f.Diff)
	}
	for i, n := range res.Notes {
		res.Notes[i] = t.relativeText(n)
	}
}

func (t *tests) relativeText(text string) string { return strings.ReplaceAll(text, t.dir+"/", "") }

// relativeError is err with such paths. It keeps the code of err.
func (t *tests) relativeError(err error) error {
	if text := t.relativeText(err.Error()); text != err.Error() {
		return run.NewError(failure.CodeOf(err), text)
	}
	return err
}
