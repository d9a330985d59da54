package tooltest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/commandmock"
	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/secret"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/suite"
	"github.com/mayfly-run/mayfly/internal/tooltest/report"
)

// judge compares what happened with what the test expects.
func (s *testRun) judge() {
	res, e := s.result, &s.test.Expect
	s.judgeEnd(res.Result, e)
	s.judgeStream(report.KindStdout, e.Stdout, s.stdout.data)
	s.judgeStream(report.KindStderr, e.Stderr, s.stderr.data)
	for _, name := range slices.Sorted(maps.Keys(e.Outputs)) {
		m := e.Outputs[name]
		value, ok := res.Result.Outputs[name]
		if !ok {
			s.fail(report.KindOutput, fmt.Sprintf("there is no output %s%s", name, available(res.Result.Outputs)), "")
			continue
		}
		if why := m.Mismatch(value); why != "" {
			want, _ := m.Exact()
			s.fail(report.KindOutput, fmt.Sprintf("output %s, %s, %s", name, quote(value), why), diffOf(want, value))
		}
	}
	s.judgeRequests(e)
	s.judgeCalls(e)
	for _, name := range slices.Sorted(maps.Keys(e.Steps)) {
		step, ok := res.Steps[name]
		switch want := e.Steps[name]; {
		case !ok:
			s.fail(report.KindStep, "there is no step "+name+available(res.Steps), "")
		case string(step.Status) != want:
			s.fail(report.KindStep, fmt.Sprintf("step %s ended as %s, want %s%s", name, step.Status, want, because(step.Reason)), "")
		}
	}
	s.judgeUse(e)
	s.judgeUncalled()
	if len(res.Failures) > 0 {
		s.notes()
	}
}

func (s *testRun) fail(kind, message, diff string) {
	s.result.Failures = append(s.result.Failures, report.Failure{Kind: kind, Message: message, Diff: diff})
}

// judgeEnd compares how the run ended. A test that expects neither a status nor an exit code expects a success.
func (s *testRun) judgeEnd(r *run.Result, e *suite.Expect) {
	if e.Status != "" && string(r.Status) != e.Status {
		s.fail(report.KindStatus, fmt.Sprintf("status %s, want %s%s", r.Status, e.Status, because(r.Reason)), "")
	}
	want := 0
	switch {
	case e.AnyExit, e.ExitCode == nil && e.Status != "":
		return
	case e.ExitCode != nil:
		want = *e.ExitCode
	}
	if r.ExitCode != want {
		text := fmt.Sprintf("exit status %d, want %d", r.ExitCode, want)
		if reason := fmt.Sprintf("exit status %d", r.ExitCode); r.Reason != reason {
			text += because(r.Reason)
		}
		s.fail(report.KindExitCode, text, "")
	}
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

func (s *testRun) judgeStream(kind string, m *suite.Matcher, got []byte) {
	why := m.Mismatch(string(got))
	if why == "" {
		return
	}
	told := ""
	if strings.Contains(string(got), secret.Mask) && s.expectsSecret(m) {
		told = fmt.Sprintf("; secrets are printed as %s: expect that instead", secret.Mask)
	}
	want, exact := m.Exact()
	if diff := diffOf(want, string(got)); exact && diff != "" {
		s.fail(kind, kind+" differs from what the test expects"+told, diff)
		return
	}
	s.fail(kind, kind+" "+why+told, "")
}

// expectsSecret reports whether m matches only a stream that has one of the secrets in it.
func (s *testRun) expectsSecret(m *suite.Matcher) bool {
	mask := s.secrets.redactor(true)
	return slices.ContainsFunc(m.Wanted(), func(text string) bool { return mask.String(text) != text })
}

// unmatched reports the requests, calls and connections that no mock answered, each text once.
func (s *testRun) unmatched() {
	var problems [][2]string
	times := map[[2]string]int{}
	add := func(kind, text string, n int) {
		if n > 0 {
			problems = append(problems, [2]string{kind, text})
			times[[2]string{kind, text}] += n
		}
	}
	for i := range s.result.Requests {
		if p := s.result.Requests[i].Problem; p != "" {
			add(report.KindUnmatchedRequest, p, 1)
		}
	}
	for _, r := range s.result.Refused {
		add(report.KindUnmatchedRequest, fmt.Sprintf("connection to %s port %d: %s", network.HostText(r.Host), r.Port, r.Problem), 1)
	}
	for i := range s.result.Calls {
		if p := s.result.Calls[i].Problem; p != "" {
			add(report.KindUnmatchedCommand, p, 1)
		}
	}
	refusals := s.mocks.commands.Refusals()
	for _, why := range slices.Sorted(maps.Keys(refusals)) {
		add(report.KindUnmatchedCommand, "connection to the mocked commands: "+why, refusals[why])
	}
	add(report.KindUnmatchedRequest, "a request or connection without a mock, which was not recorded because there were too many", s.mocks.http.Lost())
	add(report.KindUnmatchedCommand, "a call without a mock, which was not recorded because there were too many", s.mocks.commands.Lost())
	const most = 20
	shown := 0
	for _, p := range problems {
		n := times[p]
		if n == 0 {
			continue // already reported
		}
		times[p] = 0
		if shown++; shown > most {
			continue
		}
		if n > 1 {
			p[1] += fmt.Sprintf(" (%d times)", n)
		}
		s.fail(p[0], p[1], "")
	}
	if shown > most {
		s.fail(report.KindUnmatchedRequest, fmt.Sprintf("and %d others without a mock", shown-most), "")
	}
}

// judgeUse checks how often mocks answered: as often as their times, and at least once if all mocks must be used.
func (s *testRun) judgeUse(e *suite.Expect) {
	check := func(mock string, times *int, used int, noun string) {
		switch {
		case times != nil && used < *times:
			s.fail(report.KindUnusedMock, fmt.Sprintf("%s answered %d of the %d %s that times requires", mock, used, *times, noun), "")
		case e.AllMocksUsed && used == 0:
			s.fail(report.KindUnusedMock, fmt.Sprintf("%s answered nothing", mock), "")
		}
	}
	for i, n := range s.mocks.http.Used() {
		m := &s.fixture.HTTP[i]
		check(placed(m.Name, m.Label, m.Position), m.Times, n, "requests")
	}
	for i, n := range s.mocks.commands.Used() {
		m := &s.fixture.Commands[i]
		check(placed(m.Name, m.Label, m.Position), m.Times, n, "calls")
	}
}

// placed returns the label of a mock for a message, and its place in the file unless the mock has a name.
func placed(name, label string, at shape.Position) string {
	if name != "" {
		return label
	}
	return fmt.Sprintf("%s (%s)", label, at)
}

// judgeUncalled reports mocked commands that weren't called although the tool's shell has them built in. If such a test
// passed, it would have tested the real command.
func (s *testRun) judgeUncalled() {
	for _, name := range s.mayRunItself {
		called := slices.ContainsFunc(s.result.Calls, func(c commandmock.Call) bool { return c.Command == name })
		mock := slices.IndexFunc(s.fixture.Commands, func(m suite.CommandMock) bool { return m.Command == name })
		if called || mock < 0 || s.mocks.commands.Dropped() > 0 {
			continue
		}
		m := &s.fixture.Commands[mock]
		if m.Times != nil || s.test.Expect.AllMocksUsed {
			continue // judgeUse reports it
		}
		s.fail(report.KindUnusedMock, fmt.Sprintf("%s answered nothing: the tool's shell has a built-in %s, and may have run that; call the command by a path, such as /bin/%s", placed(m.Name, m.Label, m.Position), name, name), "")
	}
}

// notes adds notes that may explain a failure.
func (s *testRun) notes() {
	res := s.result
	seen := map[string]bool{}
	for i := range res.Connections {
		c := &res.Connections[i]
		text := "the tool's own network refuses " + refused(c)
		if c.Allowed {
			if c.Mocked || c.Reason == "" {
				continue
			}
			text = "not reached: " + attempt(c)
		}
		if !seen[text] && len(seen) < 10 {
			seen[text] = true
			res.Notes = append(res.Notes, text)
		}
	}
	res.Notes = append(res.Notes, s.hints...)
	if len(res.UnusedMocks) > 0 {
		res.Notes = append(res.Notes, "mocks that answered nothing: "+strings.Join(res.UnusedMocks, ", "))
	}
}

func refused(c *engine.Connection) string {
	text := attempt(c)
	if c.Remedy != "" {
		text += "; " + c.Remedy
	}
	return text
}

// attempt returns a text for a connection that failed, with the reason.
func attempt(c *engine.Connection) string {
	target := c.Address
	if c.Host != "" {
		target = network.HostText(c.Host)
	}
	return fmt.Sprintf("%s %s port %d: %s", c.Protocol, target, c.Port, c.Reason)
}

// available lists the keys of a map, for a message that one is missing.
func available[V any](m map[string]V) string {
	if len(m) == 0 {
		return "; there are none"
	}
	return "; there are " + strings.Join(slices.Sorted(maps.Keys(m)), ", ")
}
