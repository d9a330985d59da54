package show

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/run"
)

// The events of made-up runs.

func state(step string, s run.State, detail string) run.Event {
	return run.Event{Step: step, State: &run.StateChange{State: s, Detail: detail}}
}

func attempt(step string, n int, detail string) run.Event {
	return run.Event{Step: step, State: &run.StateChange{State: run.Creating, Attempt: n, Detail: detail}}
}

// queuedAgain announces another attempt, as a server does.
var queuedAgain = run.Event{State: &run.StateChange{State: run.Queued, Attempt: 2, Detail: "follows: the runner was lost"}}

func log(step, stream, text string) run.Event {
	return run.Event{Step: step, Log: &run.Log{Stream: stream, Data: text}}
}

func ended(step string, r run.Result) run.Event { return run.Event{Step: step, Result: &r} }

func denied(step string) run.Event {
	return run.Event{Step: step, Connection: &engine.Connection{
		Host: "example.com", Address: "192.0.2.1", Port: 443, Protocol: "tcp", Reason: "no rule allows it",
		Suggest: "{host: example.com, ports: [443]}", Remedy: "add it to network",
	}}
}

// streams are the two outputs of a test. On a terminal they are one text.
type streams struct {
	Output
	out, err *bytes.Buffer
}

func pipes() *streams {
	s := &streams{out: &bytes.Buffer{}, err: &bytes.Buffer{}}
	s.Output = Output{Out: Stream{Writer: s.out}, Err: Stream{Writer: s.err}}
	return s
}

func terminal(color bool, columns, rows int) *streams {
	s := &streams{out: &bytes.Buffer{}}
	s.err = s.out
	stream := Stream{
		Writer: s.out, Terminal: true, Cursor: true, Color: color,
		Size: func() (int, int) { return columns, rows },
	}
	s.Output = Output{Out: stream, Err: stream}
	return s
}

// spin matches what a spinner draws and erases; how often it does depends on the machine.
var spin = regexp.MustCompile("\r\x1b\\[K([⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] [^\r]*)?")

func (s *streams) check(t *testing.T, wantOut, wantErr string) {
	t.Helper()
	if got := spin.ReplaceAllString(s.out.String(), ""); got != wantOut {
		t.Errorf("got on standard output:\n%s\nwant:\n%s\nquoted: %q", got, wantOut, got)
	}
	if s.err == s.out {
		return
	}
	if got := s.err.String(); got != wantErr {
		t.Errorf("got on standard error:\n%s\nwant:\n%s\nquoted: %q", got, wantErr, got)
	}
}

var (
	okResult     = run.Result{Status: run.Succeeded, DurationMS: 1234, Usage: engine.Usage{MemoryPeakBytes: 1_500_000, CPUSeconds: 0.25, NetworkRxBytes: 999, NetworkTxBytes: 2000}}
	failedResult = run.Result{Status: run.Failed, ExitCode: 3, Reason: "exit status 3", Hint: "look at its log", DurationMS: 1234}
)

var errSignal = errors.New("the engine is gone\x1b[2J")

// TestTool: a tool's output stays whole, with Mayfly's own lines around it.
func TestTool(t *testing.T) {
	running := []run.Event{state("", run.Queued, ""), state("", run.Pulling, "busybox"), state("", run.Creating, ""), state("", run.Running, "")}
	for name, tt := range map[string]struct {
		to          *streams
		o           ToolOptions
		events      []run.Event
		interrupted bool
		result      run.Result
		err         error
		out, errOut string
	}{
		"success": {
			pipes(),
			ToolOptions{},
			append(running, log("", "stdout", "a\n"), log("", "stderr", "b\n")), false, okResult, nil,
			"a\n", "b\n",
		},
		"success on a terminal": {
			terminal(false, 80, 24),
			ToolOptions{},
			append(running, log("", "stdout", "a\n"), log("", "stderr", "b\n")), false, okResult, nil,
			"a\nb\n✓ succeeded in 1.234s  memory 1.5MB  cpu 0.25s  network ↓999B ↑2.0kB\n", "",
		},
		"failure in colour": {
			terminal(true, 80, 24),
			ToolOptions{},
			append(running, log("", "stdout", "a")), false, failedResult, nil,
			"a\n\x1b[33mmayfly:\x1b[0m exit status 3; look at its log\n\x1b[31m✗\x1b[0m failed in 1.234s  memory 0B  cpu 0.00s  network ↓0B ↑0B\n", "",
		},
		"failure, quiet": {pipes(), ToolOptions{Quiet: true}, append(running, denied(""), attempt("", 2, "in 1s"), queuedAgain), true, failedResult, nil, "", ""},
		"bytes that aren't text": {
			pipes(),
			ToolOptions{},
			[]run.Event{{Log: &run.Log{Stream: "stdout", DataBase64: []byte{0xff, 0}}}},
			false, okResult, nil,
			"\xff\x00", "",
		},
		"a refused connection waits for the end of a line": {
			pipes(),
			ToolOptions{},
			append(running, log("", "stderr", "connecting…"), denied(""), log("", "stderr", " failed\n")), false, failedResult, nil,
			"", "connecting… failed\nmayfly: refused: tcp example.com (192.0.2.1) port 443: no rule allows it; add it to network\nmayfly: exit status 3; look at its log\n",
		},
		"a refused connection, with --network": {
			pipes(),
			ToolOptions{NetworkGiven: true},
			[]run.Event{denied("")},
			false, okResult, nil,
			"", "mayfly: refused: tcp example.com (192.0.2.1) port 443: no rule allows it; add it to network, and leave out --network\n",
		},
		"suggested rules": {
			pipes(),
			ToolOptions{SuggestEgress: true, Quiet: true},
			[]run.Event{denied(""), denied("")},
			false, okResult, nil,
			"network:\n  egress:\n    - {host: example.com, ports: [443]}\n", "",
		},
		"no rules to suggest": {pipes(), ToolOptions{SuggestEgress: true}, running, false, okResult, nil, "network:\n  egress: []\n", ""},
		"another attempt": {
			pipes(),
			ToolOptions{},
			append(running, attempt("", 2, "in 1s: exit status 3")), true, failedResult, nil,
			"", "mayfly: attempt 2 in 1s: exit status 3\nmayfly: ending before the next attempt\nmayfly: exit status 3; look at its log\n",
		},
		"interrupted before it starts": {
			pipes(),
			ToolOptions{},
			running[:2], true,
			run.Result{Status: run.Cancelled, Reason: "interrupted"},
			nil,
			"", "mayfly: ending before the tool starts\nmayfly: interrupted\n",
		},
		"interrupted": {
			pipes(),
			ToolOptions{Grace: 10 * time.Second},
			append(running, log("", "stderr", "half a line")), true,
			run.Result{Status: run.Cancelled, Reason: "interrupted"},
			nil,
			"", "half a line\nmayfly: ending the tool within 10s (press Ctrl-C again to kill it now, and once more to leave immediately)\nmayfly: interrupted\n",
		},
		"kept": {
			pipes(),
			ToolOptions{KeepFor: time.Hour},
			running, false,
			run.Result{Status: run.Failed, Reason: "exit status 1", Kept: true, KeptID: "01a2"},
			nil,
			"", "mayfly: exit status 1\nmayfly: the sandbox is kept for 1h0m0s; look inside with: mayfly shell 01a2\n",
		},
		"not kept": {
			pipes(),
			ToolOptions{KeepFor: time.Hour},
			running, false, failedResult, nil,
			"", "mayfly: exit status 3; look at its log\nmayfly: the sandbox is not kept\n",
		},
		"a tool with the terminal": {terminal(true, 80, 24), ToolOptions{Terminal: true}, append(running, log("", "stdout", "$ ")), false, okResult, nil, "$ ", ""},
		"Mayfly's own failure, quiet": {
			pipes(),
			ToolOptions{Quiet: true},
			running[:1], false,
			run.Result{Status: run.Error},
			errSignal,
			"", "mayfly: the engine is gone\ufffd[2J\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			view := NewTool(tt.to.Output, tt.o)
			for _, e := range tt.events {
				view.Event(e)
			}
			if tt.interrupted {
				view.Interrupted()
			}
			if err := view.Finish(&tt.result, tt.err); err != nil {
				t.Fatal(err)
			}
			tt.to.check(t, tt.out, tt.errOut)
			before := tt.to.err.String()
			if view.Interrupted(); tt.to.err.String() != before {
				t.Errorf("Ctrl-C after the end prints %q", tt.to.err.String()[len(before):])
			}
		})
	}
}

// TestWorkflow: the forms in which the run of a workflow is printed, except the tree.
func TestWorkflow(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	result := run.Result{
		Status: run.Failed, Reason: "step two failed", DurationMS: 4000,
		Timeline: run.Timeline{Started: start, Finished: start.Add(4 * time.Second)},
		Steps: []run.StepResult{
			{Step: "one", Status: run.Succeeded, Started: start, Finished: start.Add(2 * time.Second)},
			{Step: "two", Status: run.Failed, Started: start.Add(time.Second), Finished: start.Add(4 * time.Second)},
		},
	}
	const timeline = "  one  ████████████████████                           2s  succeeded\n" +
		"  two            ██████████████████████████████       3s  failed\n"
	const end = "mayfly: release failed in 4s: step two failed\n  to continue: mayfly run --resume 01a2\n"
	// The steps run at the same time.
	events := []run.Event{
		state("", run.Running, ""),
		state("one", run.Running, ""), state("two", run.Pulling, "busybox"), attempt("two", 2, "at once"),
		log("one", "stdout", "a1\na"), log("two", "stdout", "::warning::b1\n"), log("one", "stderr", "e1\n"), log("one", "stdout", "2"),
		denied("two"), log("two", "stdout", "b2"),
		ended("one", run.Result{Status: run.Succeeded, DurationMS: 2000}),
		ended("two", run.Result{Status: run.Failed, Reason: "exit status 1", Hint: "100% sure", DurationMS: 3000}),
		ended("", result),
	}
	for name, tt := range map[string]struct {
		o           WorkflowOptions
		interrupted bool
		err         error
		out, errOut string
	}{
		"lines": {
			WorkflowOptions{},
			false, nil,
			"one | a1\ntwo | ::warning::b1\none | a2\ntwo | b2\n",
			"mayfly: one: started\nmayfly: two: pulling busybox\nmayfly: two: attempt 2 at once\none | e1\n" +
				"mayfly: two: refused: tcp example.com (192.0.2.1) port 443: no rule allows it; add it to network\n" +
				"mayfly: one: succeeded in 2s\nmayfly: two: failed in 3s: exit status 1; 100% sure\n" + timeline + end,
		},
		"lines, quiet": {WorkflowOptions{Quiet: true}, true, nil, "a1\n::warning::b1\na2\nb2\n", "e1\n"},
		"lines, interrupted": {
			WorkflowOptions{Grace: time.Second},
			true, errSignal,
			"one | a1\ntwo | ::warning::b1\none | a2\ntwo | b2\n",
			"mayfly: one: started\nmayfly: two: pulling busybox\nmayfly: two: attempt 2 at once\none | e1\n" +
				"mayfly: two: refused: tcp example.com (192.0.2.1) port 443: no rule allows it; add it to network\n" +
				"mayfly: one: succeeded in 2s\nmayfly: two: failed in 3s: exit status 1; 100% sure\n" +
				"mayfly: ending the steps within 1s; those of finally still run (press Ctrl-C again to kill all of them now, and once more to leave immediately)\n" +
				timeline + "mayfly: the engine is gone\ufffd[2J\n" + end,
		},
		"groups": {
			WorkflowOptions{Groups: true},
			false, nil,
			"::group::one\n::stop-commands::WORD\nmayfly: started\na1\ne1\na2\nmayfly: succeeded in 2s\n::WORD::\n::endgroup::\n" +
				"::group::two\n::stop-commands::WORD\nmayfly: pulling busybox\nmayfly: attempt 2 at once\n::warning::b1\n" +
				"mayfly: refused: tcp example.com (192.0.2.1) port 443: no rule allows it; add it to network\n" +
				"b2\nmayfly: failed in 3s: exit status 1; 100% sure\n::WORD::\n" +
				"::error title=two::failed in 3s: exit status 1; 100%25 sure\n::endgroup::\n" + timeline,
			end,
		},
	} {
		t.Run(name, func(t *testing.T) {
			to := pipes()
			view := NewWorkflow(to.Output, tt.o, Workflow{Name: "release", Run: "01a2", Steps: []Step{{Name: "one"}, {Name: "two"}}})
			for _, e := range events {
				view.Event(e)
			}
			if tt.interrupted {
				view.Interrupted()
			}
			if err := view.Finish(&result, tt.err); err != nil {
				t.Fatal(err)
			}
			if g, ok := view.(*groups); ok {
				text := strings.ReplaceAll(to.out.String(), g.resume, "WORD")
				to.out.Reset()
				to.out.WriteString(text)
			}
			to.check(t, tt.out, tt.errOut)
		})
	}
}

// TestQuietWorkflow: quiet, a workflow says why it failed only if no tool has printed that.
func TestQuietWorkflow(t *testing.T) {
	for status, want := range map[run.State]string{
		run.Failed: "", run.TimedOut: "",
		run.Error: "mayfly: why\n", run.Denied: "mayfly: why\n", run.Lost: "mayfly: why\n",
	} {
		to := pipes()
		if err := NewWorkflow(to.Output, WorkflowOptions{Quiet: true}, Workflow{}).Finish(&run.Result{Status: status, Reason: "why"}, nil); err != nil {
			t.Fatal(err)
		}
		to.check(t, "", want)
	}
}

// TestJSON: the events of tools and workflows are printed as they are, whatever reads them.
func TestJSON(t *testing.T) {
	to := terminal(true, 80, 24)
	view := NewJSON(to.Output.Out)
	view.Event(run.Event{Seq: 1, Run: "01a2", Step: "one", Log: &run.Log{Stream: "stdout", Data: "a\n"}})
	view.Interrupted()
	if err := view.Finish(&okResult, errSignal); err != nil {
		t.Fatal(err)
	}
	to.check(t, `{"seq":1,"time":"0001-01-01T00:00:00Z","run":"01a2","step":"one","type":"log","stream":"stdout","data":"a\n"}`+"\n", "")
}

// full is a disk without space.
type full struct{ written int }

var errFull = errors.New("no space left")

func (f *full) Write([]byte) (int, error) {
	f.written++
	return 0, errFull
}

// TestUnprinted: what was asked for and can't be printed is an error of the view.
func TestUnprinted(t *testing.T) {
	workflow := Workflow{Name: "release", Steps: []Step{{Name: "one"}}}
	for name, view := range map[string]func(Output) View{
		"tool":   func(o Output) View { return NewTool(o, ToolOptions{}) },
		"rules":  func(o Output) View { return NewTool(o, ToolOptions{SuggestEgress: true}) },
		"lines":  func(o Output) View { return NewWorkflow(o, WorkflowOptions{}, workflow) },
		"quiet":  func(o Output) View { return NewWorkflow(o, WorkflowOptions{Quiet: true}, workflow) },
		"groups": func(o Output) View { return NewWorkflow(o, WorkflowOptions{Groups: true}, workflow) },
		"tree": func(o Output) View {
			o.Err = Stream{Writer: o.Err, Terminal: true, Cursor: true}
			return NewWorkflow(o, WorkflowOptions{}, workflow)
		},
		"json": func(o Output) View { return NewJSON(o.Out) },
	} {
		t.Run(name, func(t *testing.T) {
			v := view(Output{Out: Stream{Writer: &full{}}, Err: Stream{Writer: &bytes.Buffer{}}})
			if name != "rules" {
				v.Event(log("one", "stdout", "a\n"))
			}
			v.Event(ended("one", okResult))
			if err := v.Finish(&okResult, nil); !errors.Is(err, errFull) || err.Error() != "print the run: no space left" {
				t.Errorf("got %v", err)
			}
		})
	}
	disk := &full{}
	view := NewJSON(disk)
	view.Event(log("", "stdout", "a"))
	if view.Event(log("", "stdout", "b")); disk.written != 1 {
		t.Errorf("%d writes after a gap in the events, want none", disk.written-1)
	}
}

// TestStreamOf: what isn't a terminal gets text alone.
func TestStreamOf(t *testing.T) {
	if s := StreamOf(&bytes.Buffer{}); s.Terminal || s.Cursor || s.Color {
		t.Errorf("got %+v", s)
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0B", 999: "999B", 1000: "1.0kB", 1_550_000: "1.6MB", 2e18: "2.0EB"} {
		if got := Size(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}

func TestDurationText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		1234567 * time.Nanosecond: "1ms", 1260 * time.Millisecond: "1.3s", 90*time.Second + 400*time.Millisecond: "1m30s",
	} {
		if got := durationText(d); got != want {
			t.Errorf("%d: got %s, want %s", d, got, want)
		}
	}
}

func TestCut(t *testing.T) {
	for _, tt := range []struct {
		text string
		most int
		want string
	}{{"äöü", 3, "äöü"}, {"äöüß", 3, "äö…"}, {"ab", 0, "…"}} {
		if got := cut(tt.text, tt.most); got != tt.want {
			t.Errorf("%q to %d: got %q, want %q", tt.text, tt.most, got, tt.want)
		}
	}
}
