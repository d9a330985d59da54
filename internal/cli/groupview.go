package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/mayfly-run/mayfly/internal/run"
)

// groupView prints what GitHub Actions folds: the lines of one step at a time, between ::group:: and ::endgroup::
// (GitHub's "Workflow commands"). The lines of steps that run at once wait in files until it is their turn, so that
// memory doesn't grow with what they print.
type groupView struct {
	s streams
	b *begun
	f *runFlags

	mu      sync.Mutex
	lines   lines
	live    string   // the step whose group is open; empty for none
	waiting []string // steps that run meanwhile, in the order of their starts
	files   map[string]*os.File
	ended   map[string]bool // of those waiting
	failed  error
}

func newGroupView(s streams, f *runFlags, b *begun) *groupView {
	return &groupView{s: s, f: f, b: b, files: map[string]*os.File{}, ended: map[string]bool{}}
}

func (v *groupView) event(e run.Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if e.Step == "" {
		return
	}
	switch {
	case e.Log != nil:
		v.lines.add(e.Step, e.Log, func(line []byte) { v.line(e.Step, string(line)) })
	case e.Result != nil:
		v.lines.end(e.Step, func(_ string, line []byte) { v.line(e.Step, string(line)) })
		v.line(e.Step, "mayfly: "+endText(e.Result))
		if e.Result.Status != run.Succeeded && e.Result.Status != run.Skipped {
			v.line(e.Step, "::error title="+property(e.Step)+"::"+message(endText(e.Result)))
		}
		v.end(e.Step)
	default:
		if text := noteText(e); text != "" {
			v.line(e.Step, "mayfly: "+text)
		}
	}
}

// message and property escape what stands in a workflow command (actions/toolkit, "Workflow commands").
func message(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

func property(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C").Replace(s)
}

// line prints a line of the step whose group is open, and keeps one of any other.
func (v *groupView) line(step, text string) {
	if !strings.HasPrefix(text, "::error title=") && strings.HasPrefix(strings.TrimLeft(text, " "), "::") {
		text = "\u200b" + text // a tool gives the runner no commands: it isn't trusted
	}
	if v.live == "" {
		v.open(step)
	}
	if v.live == step {
		v.print(text + "\n")
		return
	}
	f := v.files[step]
	if f == nil {
		var err error
		if f, err = unnamedFile(); err != nil {
			v.fail(err)
			return
		}
		v.files[step] = f
		v.waiting = append(v.waiting, step)
	}
	if _, err := io.WriteString(f, text+"\n"); err != nil {
		v.fail(err)
	}
}

// unnamedFile is a file that is gone when it is closed, however this process ends.
func unnamedFile() (*os.File, error) {
	f, err := os.CreateTemp("", "mayfly-log-")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}

func (v *groupView) fail(err error) {
	if v.failed == nil {
		v.failed = err
	}
}

func (v *groupView) print(text string) {
	if _, err := io.WriteString(v.s.out, text); err != nil {
		v.fail(err)
	}
}

func (v *groupView) open(step string) {
	v.live = step
	v.print("::group::" + message(step) + "\n")
}

// end closes a step's group, and opens those that waited for it.
func (v *groupView) end(step string) {
	if v.live != step {
		v.ended[step] = true
		return
	}
	v.print("::endgroup::\n")
	v.live = ""
	for len(v.waiting) > 0 {
		next := v.waiting[0]
		v.waiting = v.waiting[1:]
		v.open(next)
		v.replay(next)
		if !v.ended[next] {
			return // it goes on live
		}
		delete(v.ended, next)
		v.print("::endgroup::\n")
		v.live = ""
	}
}

func (v *groupView) replay(step string) {
	f := v.files[step]
	delete(v.files, step)
	defer f.Close()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		v.fail(err)
		return
	}
	if _, err := io.Copy(v.s.out, f); err != nil {
		v.fail(err)
	}
}

func (v *groupView) interrupted() {
	v.mu.Lock()
	defer v.mu.Unlock()
	fmt.Fprintln(v.s.err, interruptedText(v.f))
}

func (v *groupView) finish(result *run.Result, err error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	printTimeline(v.s.out, v.b, result, nil)
	printWorkflowEnd(v.s.err, v.b, result, err)
	if v.failed != nil {
		return fmt.Errorf("print the run: %w", v.failed)
	}
	return nil
}
