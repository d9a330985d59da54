package show

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mayfly-run/mayfly/internal/run"
)

// screen is what a terminal shows, after what was written to it. It knows what a tree and a spinner need of ECMA-48: line breaks,
// CR, CUU (up), ED (erase to the end of the screen) and EL (erase to the end of the line). Colours stay in the text.
func screen(t *testing.T, written string) string {
	t.Helper()
	lines, row := []string{""}, 0
	for len(written) > 0 {
		var up int
		switch {
		case strings.HasPrefix(written, "\r\x1b[J"):
			written = written[len("\r\x1b[J"):]
			lines = append(lines[:row:row], "")
		case strings.HasPrefix(written, "\r\x1b[K"):
			written = written[len("\r\x1b[K"):]
			lines[row] = ""
		case written[0] == '\n':
			written = written[1:]
			if row++; row == len(lines) {
				lines = append(lines, "")
			}
		case strings.HasPrefix(written, "\x1b[") && strings.IndexByte(written, 'A') == strings.IndexFunc(written[2:], func(r rune) bool { return r >= 'A' })+2:
			if _, err := fmt.Sscanf(written, "\x1b[%dA", &up); err != nil || up > row {
				t.Fatalf("the cursor goes up %d lines in line %d: %q", up, row, written)
			}
			row -= up
			written = written[strings.IndexByte(written, 'A')+1:]
		default:
			lines[row] += written[:1]
			written = written[1:]
		}
	}
	return strings.Join(lines, "\n")
}

// look is what a moment of a test does, and what the screen shows then.
type look struct {
	events []run.Event
	screen string
}

// TestTree: what a terminal shows of a workflow, after each second of its run.
func TestTree(t *testing.T) {
	steps := []Step{{Name: "build"}, {Name: "check-everything"}, {Name: "deploy", Status: run.Skipped, Reason: "left out by --skip"}}
	failed := run.Result{Status: run.Failed, ExitCode: 1, Reason: "exit status 1"}
	for name, tt := range map[string]struct {
		color         bool
		columns, rows int
		looks         []look
	}{
		"wide": {false, 100, 24, []look{
			{nil, "release\n○ build\n○ check-everything\n- deploy                     skipped: left out by --skip\n"},
			{
				[]run.Event{state("build", run.Queued, ""), state("build", run.Pulling, "busybox")},
				"release\n● build                  1s  pulling busybox\n○ check-everything\n- deploy                     skipped: left out by --skip\n",
			},
			{
				[]run.Event{state("build", run.Running, ""), log("build", "stdout", "compiling\x1b[31m\nhalf")},
				"release\n● build                  2s  compiling\n○ check-everything\n- deploy                     skipped: left out by --skip\n",
			},
			{
				[]run.Event{ended("build", run.Result{Status: run.Succeeded}), state("check-everything[0]", run.Running, ""), state("check-everything[1]", run.Running, "")},
				"release\n✓ build                  2s\n○ check-everything\n  ● [0]                  1s\n  ● [1]                  1s\n- deploy                     skipped: left out by --skip\n",
			},
			{
				[]run.Event{ended("check-everything[0]", run.Result{Status: run.Succeeded}), log("check-everything[1]", "stderr", "no such file\n"), ended("check-everything[1]", failed), ended("check-everything", failed)},
				"release\n✓ build                  2s\n✗ check-everything       0s  failed: exit status 1\n  ✗ [1]                  1s  failed: exit status 1\n- deploy                     skipped: left out by --skip\n",
			},
		}},
		"narrow, in colour": {true, 20, 24, []look{
			{
				[]run.Event{state("build", run.Running, ""), log("build", "stdout", "a line that is too long\n")},
				"release\n\x1b[36m●\x1b[0m build           …\n\x1b[90m○\x1b[0m check-everything\n\x1b[90m-\x1b[0m deploy          …\n",
			},
			{
				[]run.Event{ended("build", failed)},
				"release\n\x1b[31m✗\x1b[0m build           …\n\x1b[90m○\x1b[0m check-everything\n\x1b[90m-\x1b[0m deploy          …\n",
			},
		}},
		"low": {false, 80, 4, []look{
			{
				[]run.Event{state("build", run.Running, "")},
				"release\n● build                  1s\n  … 2 more\n",
			},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				to := terminal(tt.color, tt.columns, tt.rows)
				view := NewWorkflow(to.Output, WorkflowOptions{}, Workflow{Name: "release", Run: "01a2", Steps: steps})
				for i, l := range tt.looks {
					for _, e := range l.events {
						view.Event(e)
					}
					time.Sleep(time.Second)
					synctest.Wait()
					if got := screen(t, to.out.String()); got != l.screen {
						t.Errorf("look %d: got\n%s\nwant\n%s\nquoted: %q", i, got, l.screen, got)
					}
				}
				if err := view.Finish(&run.Result{Status: run.Failed}, nil); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// TestTreeEnd: at the end the whole tree stays, followed by the last lines of what failed; what tools print on a standard output
// that isn't a terminal goes there.
func TestTreeEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := terminal(false, 80, 4)
		out := &bytes.Buffer{}
		to.Out = Stream{Writer: out}
		view := NewWorkflow(to.Output, WorkflowOptions{Grace: time.Second}, Workflow{Name: "release", Run: "01a2", Steps: []Step{{Name: "one"}, {Name: "two"}}})
		start := time.Now()
		view.Event(state("one", run.Running, ""))
		for i := range tailLines + 1 {
			view.Event(log("one", "stdout", fmt.Sprintf("line %d\n", i)))
		}
		view.Event(log("one", "stderr", "half"))
		view.Interrupted()
		time.Sleep(time.Second)
		view.Event(ended("one", run.Result{Status: run.Cancelled, Reason: "interrupted"}))
		result := run.Result{
			Status: run.Cancelled, Reason: "interrupted", DurationMS: 1000, Timeline: run.Timeline{Started: start, Finished: time.Now()},
			Steps: []run.StepResult{{Step: "one", Status: run.Cancelled, Started: start, Finished: time.Now()}, {Step: "two", Status: run.Skipped}},
		}
		if err := view.Finish(&result, nil); err != nil {
			t.Fatal(err)
		}
		var tail, printed strings.Builder
		for i := range tailLines + 1 {
			fmt.Fprintf(&printed, "one | line %d\n", i)
			if i > 1 {
				fmt.Fprintf(&tail, "  line %d\n", i)
			}
		}
		want := "mayfly: ending the steps within 1s; those of finally still run (press Ctrl-C again to kill all of them now, and once more to leave immediately)\n" +
			"release\n✗ one       1s  cancelled: interrupted\n○ two\n" +
			"\n✗ one\n" + tail.String() + "  half\n" +
			"\n  one  ████████████████████████████████████████       1s  cancelled\n  two                                                     skipped\n" +
			"mayfly: release cancelled in 1s: interrupted\n  to continue: mayfly run --resume 01a2\n"
		if got := screen(t, to.err.String()); got != want {
			t.Errorf("got\n%s\nwant\n%s\nquoted: %q", got, want, got)
		}
		if out.String() != printed.String() {
			t.Errorf("got on standard output:\n%s\nwant:\n%s", out, &printed)
		}
	})
}

// TestTimeline: long names are cut, steps beyond a number are counted, and a resumed step says so.
func TestTimeline(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	result := &run.Result{Timeline: run.Timeline{Started: start, Finished: start.Add(10 * time.Second)}, Steps: []run.StepResult{
		{Step: strings.Repeat("n", 31), Status: run.Succeeded, Resumed: true},
		{Step: "b", Status: run.Succeeded, Items: 3, Started: start.Add(5 * time.Second), Finished: start.Add(5*time.Second + time.Millisecond)},
	}}
	var out bytes.Buffer
	printTimeline(Stream{Writer: &out, Color: true}, result)
	want := "  " + strings.Repeat("n", 29) + "…  \x1b[32m\x1b[0m" + strings.Repeat(" ", 40) + "           succeeded before\n" +
		"  b" + strings.Repeat(" ", 31) + "\x1b[32m" + strings.Repeat(" ", 20) + "█\x1b[0m" + strings.Repeat(" ", 19) + "      1ms  succeeded (3 items)\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s\nquoted: %q", &out, want, &out)
	}
	out.Reset()
	result.Steps = []run.StepResult{{Step: "b", Status: run.Succeeded, Started: start.Add(-time.Hour), Finished: start.Add(time.Hour)}} // the clock was set
	printTimeline(Stream{Writer: &out}, result)
	if want := "  b  " + strings.Repeat("█", 40) + "   2h0m0s  succeeded\n"; out.String() != want {
		t.Errorf("got\n%q\nwant\n%q", &out, want)
	}
	out.Reset()
	printTimeline(Stream{Writer: &out}, &run.Result{Steps: make([]run.StepResult, timelineSteps+2)})
	if text := out.String(); strings.Count(text, "\n") != timelineSteps+1 || !strings.HasSuffix(text, "\n  … and 2 more steps\n") {
		t.Errorf("%d lines, which end in %q", strings.Count(text, "\n"), text[max(0, len(text)-60):])
	}
}

// TestSpinner: what is quick anyway draws nothing, and nothing stays of what was drawn.
func TestSpinner(t *testing.T) {
	for wait, drawn := range map[time.Duration]bool{spinnerDelay: false, time.Second: true} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			s := NewSpinner(&out)
			s.Show("pulling")
			time.Sleep(wait)
			synctest.Wait()
			if got := screen(t, out.String()); strings.HasSuffix(got, " pulling") != drawn {
				t.Errorf("after %v: got %q, drawn should be %v", wait, got, drawn)
			}
			s.Stop()
			s.Stop()
			s.Show("too late")
			if got := screen(t, out.String()); got != "" {
				t.Errorf("after the end: got %q", got)
			}
		})
	}
	var none *Spinner
	none.Show("nothing")
	none.Stop()
}

// TestTreeOnOneRow checks that a terminal with no room for the tree doesn't end the run.
func TestTreeOnOneRow(t *testing.T) {
	for rows := range 3 {
		synctest.Test(t, func(t *testing.T) {
			to := terminal(false, 80, rows)
			view := NewWorkflow(to.Output, WorkflowOptions{}, Workflow{Name: "release", Run: "01a2", Steps: []Step{{Name: "one"}, {Name: "two"}}})
			view.Event(state("one", run.Running, ""))
			time.Sleep(time.Second)
			synctest.Wait()
			if err := view.Finish(&run.Result{Status: run.Succeeded}, nil); err != nil {
				t.Errorf("%d rows: %v", rows, err)
			}
		})
	}
}
