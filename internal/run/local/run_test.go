package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/engine/fake"
	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/secret"
	"github.com/mayfly-run/mayfly/internal/tool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// images is an image store with one image; pulled counts the pulls.
type images struct {
	present bool
	pulled  atomic.Int32
	held    atomic.Int32
	locked  func() // if not nil, another process has the lock; Hold calls it and then waits
}

func (i *images) Lookup(ref string) (*image.Image, error) {
	if !i.present {
		return nil, image.ErrNotFound
	}
	return &image.Image{Reference: ref, Digest: "example/" + ref + "@sha256:0"}, nil
}

func (i *images) Pull(_ context.Context, ref string, _ image.PullOptions) (*image.Image, error) {
	i.pulled.Add(1)
	i.present = true
	return i.Lookup(ref)
}

func (i *images) Hold(ctx context.Context, _ *image.Image, _ string) (func() error, error) {
	if i.locked != nil {
		i.locked()
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	i.held.Add(1)
	return func() error { i.held.Add(-1); return nil }, nil
}

type values map[string]string

func (v values) Get(_ context.Context, name string) ([]byte, error) {
	value, ok := v[name]
	if !ok {
		return nil, &secret.NotFoundError{Name: name, Searched: []string{"the test"}}
	}
	return []byte(value), nil
}

// session is a runner on the fake engine, with the events that it reported.
type session struct {
	runner *Runner
	images *images
	events []run.Event
	req    run.Request // base of all its requests
	opts   Options
}

// request returns the session's request for a tool.
func (s *session) request(t *testing.T, text string) *run.Request {
	t.Helper()
	req := s.req
	req.Tool = parseTool(t, text)
	return &req
}

func newSession(programs map[string]fake.Program) *session {
	s := &session{images: &images{present: true}}
	s.runner = &Runner{Engine: &fake.Engine{Programs: programs}, Images: s.images, Secrets: values{"token": "hunter2hunter2"}}
	s.req.Grace = 50 * time.Millisecond
	s.opts.Emit = func(e run.Event) { s.events = append(s.events, e) }
	return s
}

func (s *session) run(t *testing.T, text string, inputs map[string]any) (*run.Result, error) {
	t.Helper()
	req := s.request(t, "image: an-image\n"+text)
	req.Inputs = inputs
	result, err := s.runner.RunWith(t.Context(), req, s.opts)
	if held := s.images.held.Load(); held != 0 {
		t.Errorf("%d holds on the image are left", held)
	}
	return result, err
}

// states returns the states that the run entered.
func (s *session) states() []run.State {
	var out []run.State
	for _, e := range s.events {
		if e.State != nil {
			out = append(out, e.State.State)
		}
	}
	return out
}

func (s *session) logs(stream string) string {
	var b strings.Builder
	for _, e := range s.events {
		if e.Log != nil && e.Log.Stream == stream {
			b.Write(e.Log.Bytes())
		}
	}
	return b.String()
}

func program(f func(p *fake.Process) int) map[string]fake.Program {
	return map[string]fake.Program{"go": f}
}

const goTool = "command: [go]\n"

func TestEventsInOrder(t *testing.T) {
	s := newSession(program(func(p *fake.Process) int {
		fmt.Fprintln(p.Stdout, "out")
		p.Report(engine.Event{Usage: &engine.Usage{PIDs: 3}})
		fmt.Fprintln(p.Stderr, "err")
		return 0
	}))
	s.images.present = false
	result, err := s.run(t, goTool, nil)
	if err != nil || result.Status != run.Succeeded || result.ExitCode != 0 {
		t.Fatalf("%+v, %v", result, err)
	}
	if want := []run.State{run.Queued, run.Pulling, run.Creating, run.Running, run.Succeeded}; !reflect.DeepEqual(s.states(), want) {
		t.Errorf("states %v, want %v", s.states(), want)
	}
	if s.logs("stdout") != "out\n" || s.logs("stderr") != "err\n" {
		t.Errorf("stdout %q, stderr %q", s.logs("stdout"), s.logs("stderr"))
	}
	for i, e := range s.events {
		if e.Seq != int64(i+1) || e.Run == "" || e.Time.IsZero() {
			t.Errorf("event %d: %+v", i, e)
		}
	}
	last := s.events[len(s.events)-1]
	if last.Result == nil || s.images.pulled.Load() != 1 {
		t.Errorf("the last event is %+v, after %d pulls", last, s.images.pulled.Load())
	}
	line := result.Timeline
	if line.Pulling.Before(line.Queued) || line.Creating.Before(line.Pulling) || line.Started.Before(line.Creating) || line.Finished.Before(line.Started) {
		t.Errorf("timeline %+v", line)
	}
}

func TestEventsSurviveJSON(t *testing.T) {
	s := newSession(program(func(p *fake.Process) int {
		_, _ = p.Stdout.Write([]byte("a\xffb"))
		p.Report(engine.Event{Connection: &engine.Connection{Address: "192.0.2.1", Port: 80, Protocol: "tcp", Reason: "why"}})
		return 7
	}))
	if _, err := s.run(t, goTool, nil); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	for _, e := range s.events {
		data, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var back run.Event
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		if !reflect.DeepEqual(back, e) {
			t.Errorf("%s came back as %+v", data, back)
		}
		var flat map[string]any
		if err := json.Unmarshal(data, &flat); err != nil {
			t.Fatal(err)
		}
		kinds[flat["type"].(string)] = true
	}
	if len(kinds) != 4 {
		t.Errorf("kinds %v", kinds)
	}
}

func TestSecretsAreMasked(t *testing.T) {
	s := newSession(program(func(p *fake.Process) int {
		value := p.Getenv("TOKEN")
		for _, b := range []byte("token " + value + "\n") { // byte by byte
			_, _ = p.Stderr.Write([]byte{b})
		}
		p.Output = []byte("TOKEN=" + value + "\n")
		p.Report(engine.Event{Connection: &engine.Connection{Host: value + ".example.com", Address: "192.0.2.1", Protocol: "tcp"}})
		return 0
	}))
	result, err := s.run(t, goTool+"environment: {TOKEN: /secrets/token}\n", nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.logs("stderr") != "token ***\n" {
		t.Errorf("stderr %q", s.logs("stderr"))
	}
	if result.Outputs["TOKEN"] != "hunter2hunter2" {
		t.Errorf("the output for the next step is %q", result.Outputs["TOKEN"])
	}
	for _, e := range s.events {
		if data, err := json.Marshal(e); err != nil || strings.Contains(string(data), "hunter2hunter2") {
			t.Errorf("an event has the secret: %s, %v", data, err)
		}
	}
}

func TestMissingSecretStopsBeforeAnythingStarts(t *testing.T) {
	started := false
	s := newSession(program(func(*fake.Process) int { started = true; return 0 }))
	result, err := s.run(t, goTool+"environment: {KEY: /secrets/nosuch}\n", nil)
	var missing *secret.NotFoundError
	if !errors.As(err, &missing) || result.Status != run.Error || result.ExitCode != 125 || started {
		t.Errorf("%+v, %v, started %v", result, err, started)
	}
}

// TestAllThatIsMissingIsNamed: one error names all missing secrets and inputs.
func TestAllThatIsMissingIsNamed(t *testing.T) {
	s := newSession(program(func(*fake.Process) int { return 0 }))
	_, err := s.run(t, goTool+"args: [{name: url, required: true}, {name: who, required: true}]\nenvironment: {KEY: /secrets/one}\nvolumes: [{name: two, secret: two}]\n", nil)
	if err == nil {
		t.Fatal("the tool ran without its inputs and secrets")
	}
	for _, want := range []string{`argument "url"`, `argument "who"`, `secret "one" not found`, `secret "two" not found`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	_, err = s.run(t, goTool+"environment: {KEY: /secrets/one, OTHER: /secrets/two}\n", nil)
	if err == nil || !strings.Contains(err.Error(), `"one"`) || !strings.Contains(err.Error(), `"two"`) {
		t.Error(err)
	}
}

// TestSecretsThatNoVariableHolds: a variable can only hold text without zero bytes. Any other value would change on its way,
// and masking wouldn't find it.
func TestSecretsThatNoVariableHolds(t *testing.T) {
	for value, want := range map[string]string{
		"p\xe4ssw\xf6rt-geheim":        "isn't UTF-8",
		"first\x00second":              "zero byte",
		strings.Repeat("s", 128<<10-6): "128 KiB",
	} {
		started := false
		s := newSession(program(func(*fake.Process) int { started = true; return 0 }))
		s.runner.Secrets = values{"token": value}
		_, err := s.run(t, goTool+"environment: {TOKEN: /secrets/token}\n", nil)
		if err == nil || started || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "volumes: [{name: token, secret: token}]") || strings.Contains(err.Error(), value) {
			t.Errorf("started %v, got %v; want an error with %q", started, err, want)
		}
		if _, err := s.run(t, goTool+"volumes: [{name: token, secret: token}]\n", nil); err != nil || !started {
			t.Errorf("as a file: started %v, %v", started, err)
		}
	}
	s := newSession(program(func(p *fake.Process) int { return len(p.Getenv("TOKEN")) - (128<<10 - 7) }))
	s.runner.Secrets = values{"token": strings.Repeat("s", 128<<10-7)}
	if result, err := s.run(t, goTool+"environment: {TOKEN: /secrets/token}\n", nil); err != nil || result.ExitCode != 0 {
		t.Errorf("the largest: %+v, %v", result, err)
	}
}

func TestTimeout(t *testing.T) {
	for _, stubborn := range []bool{false, true} {
		s := newSession(program(func(p *fake.Process) int {
			if stubborn {
				p.IgnoreTERM()
			}
			<-p.Context.Done()
			fmt.Fprintln(p.Stdout, "last words")
			return 0
		}))
		result, err := s.run(t, goTool+"timeout: 150ms\n", nil)
		if err != nil || result.Status != run.TimedOut || result.ExitCode != 124 || result.Reason != "timed out after 150ms" {
			t.Errorf("stubborn %v: %+v, %v", stubborn, result, err)
		}
		if s.logs("stdout") != "last words\n" {
			t.Errorf("stubborn %v: log %q", stubborn, s.logs("stdout"))
		}
	}
}

func TestCancel(t *testing.T) {
	s := newSession(program(func(p *fake.Process) int {
		<-p.Context.Done()
		return 0
	}))
	ctx, cancel := context.WithCancel(t.Context())
	s.opts.Emit = func(e run.Event) {
		s.events = append(s.events, e)
		if e.State != nil && e.State.State == run.Running {
			cancel()
		}
	}
	result, err := s.runner.RunWith(ctx, s.request(t, "image: i\n"+goTool), s.opts)
	if err != nil || result.Status != run.Cancelled || result.ExitCode != 130 {
		t.Errorf("%+v, %v", result, err)
	}
}

// TestCancelBeforeTheStart: a run that waits for its image's lock can be cancelled.
func TestCancelBeforeTheStart(t *testing.T) {
	s := newSession(program(func(*fake.Process) int { return 0 }))
	ctx, cancel := context.WithCancel(t.Context())
	s.runner.Images = &images{present: true, locked: cancel}
	result, err := s.runner.RunWith(ctx, s.request(t, "image: i\n"+goTool), s.opts)
	if !errors.Is(err, context.Canceled) || result.Status != run.Cancelled || result.ExitCode != 130 {
		t.Errorf("%+v, %v", result, err)
	}
}

func TestKillCutsTheGraceShort(t *testing.T) {
	kill := make(chan struct{})
	s := newSession(program(func(p *fake.Process) int {
		p.IgnoreTERM()
		<-p.Context.Done()
		return 0
	}))
	s.req.Grace = time.Hour
	s.opts.Kill = kill
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(); close(kill) })
	result, err := s.runner.RunWith(ctx, s.request(t, "image: i\n"+goTool), s.opts)
	if err != nil || result.Status != run.Cancelled {
		t.Errorf("%+v, %v", result, err)
	}
}

func TestNoGrace(t *testing.T) {
	s := newSession(program(func(p *fake.Process) int {
		p.IgnoreTERM()
		<-p.Context.Done()
		return 0
	}))
	s.req.Grace = 0
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		result, err := s.run(t, goTool+"timeout: 1s\n", nil)
		if took := time.Since(begin); err != nil || result.Status != run.TimedOut || took != time.Second {
			t.Errorf("after %v: %+v, %v", took, result, err)
		}
	})
}

func TestRetry(t *testing.T) {
	for _, c := range []struct {
		retry        string
		fails, code  int
		starts       int32
		status       run.State
		wantAttempts int
	}{
		{"retry: {attempts: 3, backoff: 1ms}", 2, 1, 3, run.Succeeded, 3},
		{"retry: {attempts: 3, backoff: 1ms}", 9, 1, 3, run.Failed, 3},
		{"retry: {attempts: 3, backoff: 1ms, on_exit: [75]}", 9, 1, 1, run.Failed, 1},
		{"retry: {attempts: 3, backoff: 1ms, on_exit: [75]}", 1, 75, 2, run.Succeeded, 2},
		{"", 9, 1, 1, run.Failed, 0},
	} {
		var starts atomic.Int32
		s := newSession(program(func(*fake.Process) int {
			if int(starts.Add(1)) <= c.fails {
				return c.code
			}
			return 0
		}))
		result, err := s.run(t, goTool+c.retry+"\n", nil)
		if err != nil || starts.Load() != c.starts || result.Status != c.status || result.Attempts != c.wantAttempts {
			t.Errorf("%+v: %d starts, %+v, %v", c, starts.Load(), result, err)
		}
	}
}

// TestRetryOfTimeouts: the timeout applies to each attempt, and an attempt that times out has failed with 124.
func TestRetryOfTimeouts(t *testing.T) {
	for retry, want := range map[string]int32{
		"{attempts: 3, backoff: 1s}":                 3,
		"{attempts: 3, backoff: 1s, on_exit: [124]}": 3,
		"{attempts: 3, backoff: 1s, on_exit: [1]}":   1,
	} {
		var starts atomic.Int32
		s := newSession(program(func(p *fake.Process) int {
			starts.Add(1)
			<-p.Context.Done()
			return 0
		}))
		synctest.Test(t, func(t *testing.T) {
			result, err := s.run(t, goTool+"timeout: 1s\nretry: "+retry+"\n", nil)
			if err != nil || starts.Load() != want || result.Status != run.TimedOut {
				t.Errorf("%s: %d starts, %+v, %v", retry, starts.Load(), result, err)
			}
		})
	}
}

func TestRetryKeepsTheLastSandboxOnly(t *testing.T) {
	for retry, want := range map[string]string{
		"retry: {attempts: 3, backoff: 1ms}":                "x-3",
		"retry: {attempts: 3, backoff: 1ms, on_exit: [75]}": "x",
		"": "x",
	} {
		s := newSession(program(func(*fake.Process) int { return 1 }))
		s.req.ID, s.req.KeepFor = "x", time.Minute
		result, err := s.run(t, goTool+retry+"\n", nil)
		kept := s.runner.Engine.(*fake.Engine).Kept()
		if err != nil || !result.Kept || result.KeptID != want || !slices.Equal(kept, []string{want}) {
			t.Errorf("%q: kept %v, %+v, %v; want %s", retry, kept, result, err, want)
		}
	}
}

func TestRetryStopsWhenCancelled(t *testing.T) {
	var starts atomic.Int32
	s := newSession(program(func(*fake.Process) int { starts.Add(1); return 1 }))
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel) // during the pause
		result, err := s.runner.RunWith(ctx, s.request(t, "image: i\n"+goTool+"retry: {attempts: 9, backoff: 1h}"), s.opts)
		if err != nil || starts.Load() != 1 || result.Status != run.Failed {
			t.Errorf("%d starts, %+v, %v", starts.Load(), result, err)
		}
		// The pause was announced with the next attempt's state: nothing runs during it.
		want := run.StateChange{State: run.Creating, Detail: "in 1h0m0s, after: exit status 1", Attempt: 2}
		before := s.events[len(s.events)-3] // before the last state and the result
		if before.State == nil || *before.State != want {
			t.Errorf("before the end: got %+v, want %+v", before.State, want)
		}
	})
}

func TestBackoffDoubles(t *testing.T) {
	retry := parseTool(t, "retry: {attempts: 9, backoff: 1s, max_backoff: 5s}").Retry
	for attempt, want := range []time.Duration{1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 4: 5 * time.Second, 60: 5 * time.Second} {
		if attempt == 0 || want == 0 {
			continue
		}
		if got := backoff(retry, attempt); got != want {
			t.Errorf("backoff after attempt %d: got %v, want %v", attempt, got, want)
		}
	}
}

func TestOutputs(t *testing.T) {
	for output, want := range map[string]string{
		"A=b\n":                                 "",
		"":                                      "the tool ended without writing the output A that it declares",
		"nonsense\n":                            "line 1 of $MAYFLY_OUTPUT is neither",
		"A<<END\none\ntwo\nEND\n":               "",
		"A<<END\none\n":                         "the value of A has no closing END",
		"A<<-END\none\n\tEND\n":                 `no closing -END; the "-" is part of the delimiter: write <<END`,
		"A<<'END'\none\nEND\n":                  "no closing 'END'; the quotes are part of the delimiter: write <<END",
		"A<<END\none\n END\n":                   "no closing END; a line has END with spaces around it; the delimiter must be alone on its line",
		"A<<END\noneEND\n":                      "no closing END; the last line ends with END; add a line break before it",
		"A=\xff\n":                              "line 1 of $MAYFLY_OUTPUT: A is not UTF-8",
		"A b=c\n":                               "is not a name",
		"\n\r\nA=1\r\nA=2\n":                    "",
		"A=" + strings.Repeat("x", maxOutput+1): "is longer than",
	} {
		s := newSession(program(func(p *fake.Process) int { p.Output = []byte(output); return 0 }))
		result, err := s.run(t, goTool+"outputs: [A]\n", nil)
		if err != nil {
			t.Fatal(err)
		}
		if want == "" {
			if result.Status != run.Succeeded || result.Outputs["A"] == "" {
				t.Errorf("%.40q: %+v", output, result)
			}
		} else if result.Status != run.Failed || result.ExitCode != 125 || !strings.Contains(result.Reason, want) {
			t.Errorf("%.40q: %+v, want %q", output, result, want)
		}
	}
}

func TestEngineFailures(t *testing.T) {
	for _, c := range []struct {
		err    error
		status run.State
		code   int
	}{
		{&engine.Unsupported{Feature: "f", Why: "w", Remedy: "r"}, run.Error, 125},
		{&engine.CommandError{Path: "x", NotFound: true}, run.Failed, 127},
		{&engine.CommandError{Path: "x"}, run.Failed, 126},
		{engine.ErrLost, run.Lost, 125},
		{errors.New("token hunter2hunter2 leaked"), run.Error, 125},
	} {
		s := newSession(program(func(*fake.Process) int { return 0 }))
		s.runner.Engine.(*fake.Engine).Fail = func(*engine.Spec) error { return c.err }
		result, err := s.run(t, goTool+"environment: {TOKEN: /secrets/token}\n", nil)
		if result.Status != c.status || result.ExitCode != c.code || err == nil {
			t.Errorf("%v: %+v, %v", c.err, result, err)
		}
		if strings.Contains(result.Reason+err.Error(), "hunter2") {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
}

// TestS03InputsArriveAsBytes: inputs arrive as bytes, are not executed and name no secret (SECURITY S03).
func TestS03InputsArriveAsBytes(t *testing.T) {
	for _, value := range []string{`'"$(id)"' ; ${HOME} && |`, "two\nlines", "/secrets/token", "${{ x }}", "- a: b\n", "%s %n", "€ \u202e"} {
		got := ""
		s := newSession(program(func(p *fake.Process) int {
			got = p.Getenv("VALUE")
			return 0
		}))
		if _, err := s.run(t, goTool+"args: [{name: value}]\n", map[string]any{"value": value}); err != nil {
			t.Fatal(err)
		}
		if got != value {
			t.Errorf("%q arrived as %q", value, got)
		}
	}
}

func TestRawStreams(t *testing.T) {
	var out, errOut strings.Builder
	s := newSession(program(func(p *fake.Process) int {
		_, err := io.Copy(p.Stdout, p.Stdin)
		if err != nil {
			return 1
		}
		fmt.Fprint(p.Stderr, p.Getenv("TOKEN"))
		return 0
	}))
	s.opts.Stdin, s.opts.Stdout, s.opts.Stderr = strings.NewReader("input"), &out, &errOut
	if _, err := s.run(t, goTool+"environment: {TOKEN: /secrets/token}\n", nil); err != nil {
		t.Fatal(err)
	}
	if out.String() != "input" || errOut.String() != "***" || s.logs("stdout") != "" {
		t.Errorf("stdout %q, stderr %q, events %q", out.String(), errOut.String(), s.logs("stdout"))
	}
}

// TestRaise: a hint names a flag only if the flag exists, and the step if the step's timeout replaces its tool's.
func TestRaise(t *testing.T) {
	of := parseTool(t, "image: i\n"+goTool)
	for _, c := range []struct {
		request       run.Request
		timeout, pids string
	}{
		{run.Request{}, "raise timeout in the tool, or --timeout", "raise resources.pids in the tool, or --pids"},
		{run.Request{Step: "deploy"}, "raise timeout in the step deploy", "raise resources.pids in the tool"},
		{run.Request{Mocks: &engine.Mocks{}}, "raise timeout in the tool", "raise resources.pids in the tool"},
	} {
		r := &execution{req: &c.request}
		r.conclude(of, &engine.Exit{}, errTimeout)
		if r.result.Hint != c.timeout {
			t.Errorf("%+v: got %q, want %q", c.request, r.result.Hint, c.timeout)
		}
		r.conclude(of, &engine.Exit{Code: 1, TooManyProcesses: true}, nil)
		if !strings.HasSuffix(r.result.Hint, "; "+c.pids) {
			t.Errorf("%+v: got %q, want %q", c.request, r.result.Hint, c.pids)
		}
	}
}

// TestAttemptsShowNoSecret: secrets are masked in the reason with which another attempt is announced, which contains what the
// tool wrote to $MAYFLY_OUTPUT.
func TestAttemptsShowNoSecret(t *testing.T) {
	s := newSession(program(func(p *fake.Process) int {
		p.Output = []byte("x hunter2hunter2=1\n")
		return 0
	}))
	result, err := s.run(t, goTool+"retry: {attempts: 2, backoff: 1ms}\nenvironment: [T=/secrets/token]\n", nil)
	if err != nil || result.Attempts != 2 {
		t.Fatalf("%+v, %v", result, err)
	}
	announced := false
	for _, e := range s.events {
		if e.State == nil {
			continue
		}
		announced = announced || strings.HasPrefix(e.State.Detail, "in 1ms, after: ")
		if strings.Contains(e.State.Detail, "hunter2hunter2") {
			t.Errorf("%+v", e.State)
		}
	}
	if !announced {
		t.Errorf("no attempt is announced: %+v", s.events)
	}
}

func parseTool(t *testing.T, text string) *tool.Tool {
	t.Helper()
	parsed, err := tool.Parse("tool.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// TestHandsOn: values that may contain secrets are sealed for later runs, and the next run masks them.
func TestHandsOn(t *testing.T) {
	const token = "hunter2hunter2"
	s := newSession(map[string]fake.Program{"go": func(p *fake.Process) int {
		fmt.Fprintln(p.Stdout, p.Getenv("IN"))
		p.Output = []byte("R=it is " + p.Getenv("T") + "\nS=plain\n")
		return 0
	}})
	box, err := secret.NewBox()
	if err != nil {
		t.Fatal(err)
	}
	s.runner.Sealer = box
	first, err := s.runner.Run(t.Context(), s.request(t, "image: i\ncommand: [go]\nenvironment: {T: /secrets/token}\noutputs: [R, S]"), s.opts.Watch)
	if err != nil || first.Outputs["R"] != "it is ***" || first.Outputs["S"] != "plain" || first.Handed == nil {
		t.Fatalf("%+v, %v", first, err)
	}
	handed, err := run.Unseal(t.Context(), box, first.Handed)
	if err != nil || handed.Outputs["R"] != "it is "+token || len(handed.Masked) != 1 || string(handed.Masked[0]) != token {
		t.Fatalf("%+v, %v", handed, err)
	}
	if bytes.Contains(first.Handed, []byte(token)) {
		t.Error("the values for later runs aren't sealed")
	}

	s.events = nil
	req := s.request(t, "image: i\ncommand: [go]")
	req.Inputs = map[string]any{"IN": handed.Outputs["R"]}
	if req.Masked, err = (&run.Handed{Masked: handed.Masked}).Seal(t.Context(), box); err != nil {
		t.Fatal(err)
	}
	second, err := s.runner.Run(t.Context(), req, s.opts.Watch)
	if err != nil || s.logs("stdout") != "it is ***\n" {
		t.Errorf("%q, %v", s.logs("stdout"), err)
	}
	if handed, err = run.Unseal(t.Context(), box, second.Handed); err != nil || len(handed.Masked) != 1 || string(handed.Masked[0]) != token || handed.Outputs != nil {
		t.Errorf("got %+v, %v; want the second run to pass on the secret of the first", handed, err)
	}

	req.Masked[len(req.Masked)-1] ^= 1
	if result, err := s.runner.Run(t.Context(), req, s.opts.Watch); result.Status != run.Error || !errors.Is(err, secret.ErrTampered) || result.Timeline.Started != (time.Time{}) {
		t.Errorf("changed on its way: got %s, %v, want ErrTampered", result.Status, err)
	}
	s.runner.Sealer = nil
	if result, err := s.runner.Run(t.Context(), req, s.opts.Watch); result.Status != run.Error || err == nil || !strings.Contains(err.Error(), "no key to open them") {
		t.Errorf("without a sealer: got %s, %v, want an error", result.Status, err)
	}
	if _, err := s.runner.Run(t.Context(), s.request(t, "image: i\ncommand: [go]\nenvironment: {T: /secrets/token}"), s.opts.Watch); err == nil || !strings.Contains(err.Error(), "no key to seal them") {
		t.Errorf("secrets without a sealer: got %v, want an error", err)
	}
}
