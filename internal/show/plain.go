package show

import (
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/mayfly-run/mayfly/internal/run"
)

// plain prints lines that begin with the name of their step and, unless quiet, how each step ended. Quiet, it prints only
// the lines.
type plain struct {
	out Output
	o   WorkflowOptions
	w   Workflow

	mu     sync.Mutex
	lines  lines
	failed error // the first failure to print the output of a step
}

func (v *plain) Event(e run.Event) {
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

func (v *plain) line(step, stream string, line []byte) {
	to := v.out.Out
	if stream == "stderr" {
		to = v.out.Err
	}
	prefix := step + " | "
	if v.o.Quiet {
		prefix = ""
	}
	if _, err := io.WriteString(to, prefix+string(line)+"\n"); err != nil && v.failed == nil {
		v.failed = err
	}
}

func (v *plain) note(step, text string) {
	if !v.o.Quiet {
		fmt.Fprintf(v.out.Err, "mayfly: %s: %s\n", step, text)
	}
}

func (v *plain) Interrupted() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.o.Quiet {
		fmt.Fprintln(v.out.Err, interruptedText(v.o, v.w))
	}
}

func (v *plain) Finish(result *run.Result, err error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.o.Quiet {
		Error(v.out.Err, err)
		if err == nil && slices.Contains([]run.State{run.Error, run.Denied, run.Lost}, result.Status) { // no tool printed why
			fmt.Fprintln(v.out.Err, "mayfly: "+result.Reason)
		}
	} else {
		printTimeline(Stream{Writer: v.out.Err}, result) // without colours, which only the tree has
		printWorkflowEnd(v.out.Err, v.w, result, err)
	}
	return unprinted("run", v.failed)
}
