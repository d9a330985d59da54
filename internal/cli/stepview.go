package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mayfly-run/mayfly/internal/run"
)

// stepView shows a run of a workflow. Its methods are safe from several goroutines.
type stepView interface {
	event(run.Event)
	// interrupted says what the first Ctrl-C does.
	interrupted()
	// finish says how the run ended. Its error is that not everything asked for could be printed.
	finish(*run.Result, error) error
}

// newStepView picks the form that suits who reads it.
func newStepView(s streams, f *runFlags, b *begun) stepView {
	switch {
	case f.json:
		v := &jsonView{enc: json.NewEncoder(s.out)}
		v.enc.SetEscapeHTML(false)
		return v
	case f.quiet:
		return &plainView{s: s, f: f, b: b}
	case os.Getenv("GITHUB_ACTIONS") == "true" || os.Getenv("GITHUB_ACTIONS") == "1":
		return newGroupView(s, f, b)
	case isTerminal(s.err) && os.Getenv("TERM") != "dumb":
		return newTreeView(s, f, b)
	}
	return &plainView{s: s, f: f, b: b}
}

// jsonView prints events, one a line.
type jsonView struct {
	mu     sync.Mutex
	enc    *json.Encoder
	failed error // the first failure to print: a stream with a hole in it is none
}

func (v *jsonView) event(e run.Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.failed == nil {
		v.failed = v.enc.Encode(e)
	}
}

func (v *jsonView) interrupted() {}

func (v *jsonView) finish(*run.Result, error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.failed != nil {
		return fmt.Errorf("print the run: %w", v.failed)
	}
	return nil // the result event has it all
}

// lines puts the pieces of what steps print together to whole lines.
type lines struct {
	open map[lineKey][]byte
}

type lineKey struct{ step, stream string }

// maxLine is from where on a line without an end is cut into several.
const maxLine = 64 << 10

// add calls f with each line that a piece ends, without its end.
func (l *lines) add(step string, log *run.Log, f func(line []byte)) {
	if l.open == nil {
		l.open = map[lineKey][]byte{}
	}
	key := lineKey{step, log.Stream}
	rest := append(l.open[key], log.Bytes()...)
	for {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 && len(rest) < maxLine {
			break
		}
		if i < 0 {
			f(rest)
			rest = nil
			break
		}
		f(rest[:i])
		rest = rest[i+1:]
	}
	if len(rest) == 0 {
		delete(l.open, key)
		return
	}
	l.open[key] = append([]byte(nil), rest...)
}

// end calls f with what a step has begun to print and not ended.
func (l *lines) end(step string, f func(stream string, line []byte)) {
	for _, stream := range []string{"stdout", "stderr"} {
		key := lineKey{step, stream}
		if rest := l.open[key]; len(rest) > 0 {
			f(stream, rest)
			delete(l.open, key)
		}
	}
}

// plainView prints lines that begin with the name of their step, and, unless quiet, how each step ended. Quiet, it
// prints the lines alone.
type plainView struct {
	s streams
	f *runFlags
	b *begun

	mu     sync.Mutex
	lines  lines
	failed error // the first failure to print the output of a step
}

func (v *plainView) event(e run.Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case e.Log != nil:
		v.lines.add(e.Step, e.Log, func(line []byte) { v.line(e.Step, e.Log.Stream, line) })
	case e.Result != nil && e.Step != "":
		v.lines.end(e.Step, func(stream string, line []byte) { v.line(e.Step, stream, line) })
		v.note(e.Step, endText(e.Result))
	default:
		if text := noteText(e); text != "" {
			v.note(e.Step, text)
		}
	}
}

// noteText is what people need to know of an event, or "".
func noteText(e run.Event) string {
	switch {
	case e.Step == "":
		return ""
	case e.Connection != nil && !e.Connection.Allowed:
		return "refused: " + deniedText(e.Connection)
	case e.State == nil:
		return ""
	case e.State.State == run.Pulling:
		return "pulling " + e.State.Detail
	case e.State.State == run.Creating && e.State.Attempt > 1:
		return attemptText(e.State)
	case e.State.State == run.Running && e.State.Attempt <= 1:
		return strings.TrimSpace("started " + e.State.Detail)
	}
	return ""
}

// attemptText announces another attempt: when, and why.
func attemptText(s *run.StateChange) string {
	return strings.TrimSpace(fmt.Sprintf("attempt %d %s", s.Attempt, s.Detail))
}

// endText says how a step ended.
func endText(r *run.Result) string {
	text := string(r.Status)
	if r.DurationMS > 0 {
		text += " in " + durationText(time.Duration(r.DurationMS)*time.Millisecond)
	}
	if r.Reason != "" && r.Reason != string(r.Status) {
		text += ": " + r.Reason
	}
	if r.Hint != "" {
		text += "; " + r.Hint
	}
	if r.Kept {
		text += "; look inside with: mayfly shell " + r.KeptID
	}
	return text
}

// durationText is a duration with as many digits as anybody reads.
func durationText(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

func (v *plainView) line(step, stream string, line []byte) {
	to := v.s.out
	if stream == "stderr" {
		to = v.s.err
	}
	prefix := step + " | "
	if v.f.quiet {
		prefix = ""
	}
	if _, err := io.WriteString(to, prefix+string(line)+"\n"); err != nil && v.failed == nil {
		v.failed = err
	}
}

func (v *plainView) note(step, text string) {
	if !v.f.quiet {
		fmt.Fprintf(v.s.err, "mayfly: %s: %s\n", step, text)
	}
}

func (v *plainView) interrupted() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.f.quiet {
		fmt.Fprintln(v.s.err, interruptedText(v.f))
	}
}

func interruptedText(f *runFlags) string {
	return fmt.Sprintf("mayfly: ending the steps; they have %s, and those of finally run to their end (press Ctrl-C again to kill all of them now, and once more to leave at once)", f.grace)
}

func (v *plainView) finish(result *run.Result, err error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.f.quiet {
		printError(v.s.err, err)
		if err == nil && slices.Contains([]run.State{run.Error, run.Denied, run.Lost}, result.Status) { // no tool printed why
			fmt.Fprintln(v.s.err, "mayfly: "+result.Reason)
		}
	} else {
		printTimeline(v.s.err, result, nil)
		printWorkflowEnd(v.s.err, v.b, result, err)
	}
	if v.failed != nil {
		return fmt.Errorf("print the run: %w", v.failed)
	}
	return nil
}

// printWorkflowEnd says how a workflow ended, and how to go on with it.
func printWorkflowEnd(w io.Writer, b *begun, result *run.Result, err error) {
	printError(w, err)
	text := fmt.Sprintf("mayfly: %s %s in %s", b.def.Name, result.Status, durationText(time.Duration(result.DurationMS)*time.Millisecond))
	if result.Reason != "" && result.Reason != string(result.Status) {
		text += ": " + result.Reason
	}
	fmt.Fprintln(w, text)
	if result.Status != run.Succeeded {
		fmt.Fprintf(w, "  go on with it by: mayfly run --resume %s\n", b.id)
	}
}
