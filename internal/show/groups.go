package show

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/mayfly-run/mayfly/internal/run"
)

// groups prints what GitHub Actions folds: the lines of one step at a time, between ::group:: and ::endgroup::. What a
// tool prints is never a command to GitHub's runner: inside a group commands are stopped, until a word that no tool knows
// (GitHub's "Workflow commands"). The lines of steps that run at the same time wait in files for their turn, so that memory
// doesn't grow with what they print.
type groups struct {
	out    Output
	o      WorkflowOptions
	w      Workflow
	resume string // the word that ends ::stop-commands::

	mu      sync.Mutex
	lines   lines
	live    string   // the step whose group is open; empty for none
	waiting []string // steps that run meanwhile, in the order of their starts
	files   map[string]*os.File
	ended   map[string]bool   // of those waiting
	errors  map[string]string // what to say of steps that failed
	failed  error             // the first failure to print
}

func newGroups(out Output, o WorkflowOptions, w Workflow) *groups {
	return &groups{
		out: out, o: o, w: w, resume: rand.Text(),
		files: map[string]*os.File{}, ended: map[string]bool{}, errors: map[string]string{},
	}
}

func (v *groups) Event(e run.Event) {
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
			v.errors[e.Step] = "::error title=" + property(e.Step) + "::" + message(endText(e.Result)) + "\n"
		}
		v.end(e.Step)
	default:
		if text := noteText(e); text != "" {
			v.line(e.Step, "mayfly: "+text)
		}
	}
}

// message and property escape text inside a workflow command (actions/toolkit, "Workflow commands").
func message(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

func property(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C").Replace(s)
}

// line prints a line of the step whose group is open, and keeps that of any other step.
func (v *groups) line(step, text string) {
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

// unnamedFile is a file that is gone once it is closed, however this process ends.
func unnamedFile() (*os.File, error) {
	f, err := os.CreateTemp("", "mayfly-log-")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}

func (v *groups) fail(err error) {
	if v.failed == nil {
		v.failed = err
	}
}

func (v *groups) print(text string) {
	if _, err := io.WriteString(v.out.Out, text); err != nil {
		v.fail(err)
	}
}

func (v *groups) open(step string) {
	v.live = step
	v.print("::group::" + message(step) + "\n::stop-commands::" + v.resume + "\n")
}

func (v *groups) close(step string) {
	v.print("::" + v.resume + "::\n" + v.errors[step] + "::endgroup::\n")
	delete(v.errors, step)
	v.live = ""
}

// end closes a step's group, and opens those that waited for it.
func (v *groups) end(step string) {
	if v.live != step {
		v.ended[step] = true
		return
	}
	v.close(step)
	for len(v.waiting) > 0 {
		next := v.waiting[0]
		v.waiting = v.waiting[1:]
		v.open(next)
		v.replay(next)
		if !v.ended[next] {
			return // its further lines are printed as they come
		}
		delete(v.ended, next)
		v.close(next)
	}
}

func (v *groups) replay(step string) {
	f := v.files[step]
	delete(v.files, step)
	defer f.Close()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		v.fail(err)
		return
	}
	if _, err := io.Copy(v.out.Out, f); err != nil {
		v.fail(err)
	}
}

func (v *groups) Interrupted() {
	v.mu.Lock()
	defer v.mu.Unlock()
	fmt.Fprintln(v.out.Err, interruptedText(v.o, v.w))
}

func (v *groups) Finish(result *run.Result, err error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	printTimeline(Stream{Writer: v.out.Out}, result) // without colours, which only the tree has
	printWorkflowEnd(v.out.Err, v.w, result, err)
	return unprinted("run", v.failed)
}
