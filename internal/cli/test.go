package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/condition"
	"github.com/mayfly-run/mayfly/internal/host"
	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/ownership"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/show"
	"github.com/mayfly-run/mayfly/internal/suite"
	"github.com/mayfly-run/mayfly/internal/textsafe"
	"github.com/mayfly-run/mayfly/internal/tool"
	"github.com/mayfly-run/mayfly/internal/tooltest"
	"github.com/mayfly-run/mayfly/internal/tooltest/report"
)

// testFlags are the flags of `mayfly test`.
type testFlags struct {
	run, junit, pull    string
	secrets             []string
	parallel            int
	json, watch, record bool
}

func newTestCommand(s streams) *cobra.Command {
	f := &testFlags{}
	c := &cobra.Command{
		Use:   "test [PATH…|-]",
		Short: "Run tests of tools, with mocks instead of the real world",
		Long: `Run tests of tools. Each test is a real run in a sandbox: mocks answer its requests and commands, and
the results are compared with what the test expects. Nothing leaves this machine unless a test allows it.

It reads the tests in the given files, and in *_test.yaml, *.test.yaml and tests.yaml below the given
folders (by default this one); - reads one file from standard input. The format is in docs/TESTING.md;
mayfly schema test prints its schema.

Exit status: 0 all passed; 1 a test failed; 125 Mayfly's own failure, such as a bad file.`,
		Example: `  # all tests below this folder
  mayfly test

  # some of them, again whenever a file changes
  mayfly test tools/checker --run 'healthy' --watch

  # record what the real network answers in the file of mocks
  mayfly test checker_test.yaml --record

  # one JSON object per line, the last is the summary
  mayfly test --json`,
		RunE: func(cmd *cobra.Command, args []string) error { return f.command(cmd.Context(), s, args) },
	}
	fl := c.Flags()
	fl.StringVar(&f.run, "run", "", "run only tests whose name matches `REGEX`")
	jsonFlag(fl, &f.json, "print results as JSON, one per line, and a summary")
	fl.StringVar(&f.junit, "junit", "", "write a JUnit report to `FILE` too")
	fl.BoolVar(&f.watch, "watch", false, "run again whenever a file changes, until interrupted")
	fl.BoolVar(&f.record, "record", false, "send requests that no mock answers to the real network, and record the answers as mocks")
	fl.IntVar(&f.parallel, "parallel", runtime.NumCPU(), "run `N` tests at once")
	fl.StringArrayVarP(&f.secrets, "secret", "s", nil, "secret `NAME=env:VAR`, NAME=file:PATH or NAME=- (standard input), for tests that don't set it; may be repeated")
	fl.StringVar(&f.pull, "pull", "missing", "when to pull images: `missing`, always or never")
	exclusive(c, "watch", "record")
	exclusive(c, "watch", "junit")
	return c
}

// goStyle accepts -run for --run, as go test does; a single dash would be read as three short flags.
func goStyle(args []string) []string {
	if len(args) == 0 || args[0] != "test" {
		return args
	}
	out := slices.Clone(args)
	for i, a := range out {
		if a == "--" {
			break
		}
		if a == "-run" || strings.HasPrefix(a, "-run=") {
			out[i] = "-" + a
		}
	}
	return out
}

func testUsage(format string, args ...any) error {
	return &usageError{command: "mayfly test", err: fmt.Errorf(format, args...)}
}

func (f *testFlags) command(ctx context.Context, s streams, paths []string) (err error) {
	pattern, err := regexp.Compile(f.run)
	switch {
	case err != nil:
		return testUsage("--run: %w", err)
	case f.parallel < 1:
		return testUsage("--parallel %d must be at least 1", f.parallel)
	case !slices.Contains([]string{"missing", "always", "never"}, f.pull):
		return testUsage("--pull %q is not missing, always or never", f.pull)
	case slices.Contains(paths, "-") && (len(paths) > 1 || f.watch || f.record):
		return testUsage("- is standard input, which can be read only once: give it alone, without --watch and --record")
	}
	vetted, err := vetTests(paths)
	if err != nil {
		return err
	}
	if f.watch { // reads them again and again
		vetted = ownership.Vet(".")
	}
	if err := enterNamespace(vetted); err != nil { // before anything of stdin is read
		return err
	}
	stdin := s.in
	if slices.Contains(paths, "-") {
		stdin = nil // the tests are there
	}
	h, err := host.Open()
	if err != nil {
		return err
	}
	runner, err := openRunner(h, "mayfly test", f.secrets, stdin, host.RunnerOptions{Pull: f.pull})
	if err != nil {
		return err
	}
	gone := make(chan struct{})
	s, forget := watchReaders(s, func() { close(gone) }) // SIGPIPE would leave the mocks' folder
	defer forget()
	ctx, kill, stop := cancelOnSignals(ctx, gone, func() {}, func() {})
	defer stop()
	conditions := condition.NewProcess("")
	defer func() { err = errors.Join(err, conditions.Close()) }()
	r := &tooltest.Tester{Runner: runner, Conditions: conditions, Record: f.record, Grace: run.DefaultGrace, Kill: kill}
	if f.watch {
		return f.watching(ctx, s, paths, pattern, r)
	}
	summary, err := f.once(ctx, s, paths, pattern, r)
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return &exitError{status: statusInterrupted}
	case summary.Errors > 0:
		return &exitError{status: statusFailure}
	case summary.Failed > 0:
		return &exitError{status: run.ExitFailed}
	}
	return nil
}

// once reads the files and runs their tests.
func (f *testFlags) once(ctx context.Context, s streams, paths []string, pattern *regexp.Regexp, r *tooltest.Tester) (report.Summary, error) {
	suites, err := loadSuites(s.in, paths)
	if err != nil {
		return report.Summary{}, err
	}
	for _, file := range unnamedTests(paths) {
		if f.watch || slices.ContainsFunc(paths, func(p string) bool { return filepath.Clean(p) == file }) {
			continue
		}
		fmt.Fprintf(s.err, "mayfly: %s has tests but isn't run: give it a name that ends in _test.yaml, or name it on the command line\n", textsafe.Line([]byte(file)))
	}
	var jobs []tooltest.Job
	for _, suite := range suites {
		for i := range suite.Tests {
			if t := &suite.Tests[i]; pattern.MatchString(t.Name) {
				jobs = append(jobs, tooltest.Job{Suite: suite, Test: t})
			}
		}
	}
	if len(jobs) == 0 {
		return report.Summary{}, fmt.Errorf("--run %q matches no test", f.run)
	}
	if err := f.checkSecretFlags(jobs); err != nil {
		return report.Summary{}, err
	}
	view := show.NewTests(s.output(), f.json, len(jobs))
	one := *r
	one.Progress = func(e image.ProgressEvent) { view.Progress(progressText(e)) }
	var results []*report.Result
	summary := one.All(ctx, jobs, f.parallel, view.Ended, func(res *report.Result) {
		view.Result(res)
		if f.junit != "" {
			results = append(results, res)
		}
	})
	err = view.Finish(summary)
	if f.junit != "" {
		if e := writeFile(f.junit, func(w io.Writer) error { return tooltest.WriteJUnit(w, results, summary) }); e != nil {
			err = errors.Join(err, fmt.Errorf("write the JUnit report: %w", e))
		}
	}
	return summary, err
}

// checkSecretFlags refuses a --secret that none of the tests' tools asks for. A test whose tools can't be read says so itself.
func (f *testFlags) checkSecretFlags(jobs []tooltest.Job) error {
	if len(f.secrets) == 0 {
		return nil
	}
	var tools []*tool.Tool
	tested := map[*suite.Suite][]*tool.Tool{}
	for _, job := range jobs {
		if tested[job.Suite] == nil {
			var err error
			if tested[job.Suite], err = toolsUnderTest(job.Suite); err != nil {
				return nil //nolint:nilerr // see above
			}
		}
		for _, t := range tested[job.Suite] {
			given := *t
			given.Environment = slices.Concat(t.Environment, job.Suite.Environment, job.Test.Environment)
			tools = append(tools, &given)
		}
	}
	named := secretNames(tools)
	if why := unasked(f.secrets, named); why != "" && len(named) > 0 {
		return testUsage("%s", why)
	}
	return nil
}
