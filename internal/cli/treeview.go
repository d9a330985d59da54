package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/textsafe"
	"github.com/mayfly-run/mayfly/internal/workflow"
)

// treeView is the workflow on a terminal: each step with its state, how long it has taken and the last line that it
// printed, items below their step while they run. At the end the logs of what failed, and the timeline, follow.
type treeView struct {
	s     streams
	f     *runFlags
	b     *begun
	color bool

	mu       sync.Mutex
	nodes    map[string]*treeNode
	items    map[string][]string // the items of a step that run or failed, by the step's name
	lines    lines
	drawn    int // lines on the screen that are the tree's
	failed   error
	notes    []string
	quit     chan struct{}
	stopped  sync.WaitGroup
	outLines bool // standard output is not a terminal: what tools print there goes to it
}

// treeNode is what is shown of a step or item.
type treeNode struct {
	state  run.State
	reason string
	begun  time.Time
	ended  time.Time
	last   string   // the last line
	tail   []string // the last lines, for when it fails
}

const (
	tailLines    = 20
	treeInterval = 100 * time.Millisecond
)

func newTreeView(s streams, f *runFlags, b *begun) *treeView {
	v := &treeView{
		s: s, f: f, b: b, color: os.Getenv("NO_COLOR") == "", nodes: map[string]*treeNode{}, items: map[string][]string{},
		quit: make(chan struct{}), outLines: !isTerminal(s.out),
	}
	for i, step := range b.plan.Steps {
		v.nodes[step.Name] = &treeNode{state: b.states.Steps[i].Status, reason: b.states.Steps[i].Reason}
	}
	v.stopped.Go(v.animate)
	return v
}

// animate draws the tree again and again, until finish.
func (v *treeView) animate() {
	tick := time.NewTicker(treeInterval)
	defer tick.Stop()
	for {
		select {
		case <-v.quit:
			return
		case <-tick.C:
		}
		v.mu.Lock()
		v.draw(false)
		v.mu.Unlock()
	}
}

func (v *treeView) node(step string) *treeNode {
	n := v.nodes[step]
	if n == nil {
		n = &treeNode{}
		v.nodes[step] = n
		if parent, _, isItem := strings.Cut(step, "["); isItem {
			v.items[parent] = append(v.items[parent], step)
		}
	}
	return n
}

func (v *treeView) event(e run.Event) {
	if e.Step == "" {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	n := v.node(e.Step)
	switch {
	case e.Log != nil:
		v.lines.add(e.Step, e.Log, func(line []byte) { v.line(n, e.Step, e.Log.Stream, line) })
	case e.Result != nil:
		v.lines.end(e.Step, func(stream string, line []byte) { v.line(n, e.Step, stream, line) })
		n.state, n.reason, n.ended = e.Result.Status, e.Result.Reason, time.Now()
		if n.begun.IsZero() {
			n.begun = n.ended
		}
		v.fold(e.Step, n)
	case e.State != nil:
		if e.State.State == run.Queued {
			return
		}
		n.state = e.State.State
		if n.begun.IsZero() {
			n.begun = time.Now()
		}
		if e.State.State == run.Pulling || e.State.Attempt > 1 {
			n.last = noteText(e)
		}
	case e.Connection != nil && !e.Connection.Allowed:
		v.keep(n, noteText(e))
	}
}

// fold forgets what is no longer shown: the items of a step that ended well.
func (v *treeView) fold(step string, n *treeNode) {
	if n.state == run.Succeeded || n.state == run.Skipped {
		n.tail = nil
		if parent, _, isItem := strings.Cut(step, "["); isItem {
			delete(v.nodes, step)
			list := v.items[parent]
			for i, name := range list {
				if name == step {
					v.items[parent] = append(list[:i], list[i+1:]...)
					break
				}
			}
		}
	}
}

func (v *treeView) line(n *treeNode, step, stream string, line []byte) {
	text := textsafe.Line(line)
	v.keep(n, text)
	if stream == "stdout" && v.outLines {
		if _, err := io.WriteString(v.s.out, step+" | "+string(line)+"\n"); err != nil && v.failed == nil {
			v.failed = err
		}
	}
}

func (v *treeView) keep(n *treeNode, text string) {
	if strings.TrimSpace(text) == "" {
		return
	}
	n.last = text
	n.tail = append(n.tail, text)
	if len(n.tail) > tailLines {
		n.tail = append([]string(nil), n.tail[len(n.tail)-tailLines:]...)
	}
}

func (v *treeView) size() (columns, rows int) {
	if f, ok := v.s.err.(*os.File); ok {
		if c, r, err := term.GetSize(int(f.Fd())); err == nil && c > 0 && r > 0 {
			return c, r
		}
	}
	return 80, 24
}

// draw puts the tree in the place of the last one. The final one isn't cut to the height of the terminal.
func (v *treeView) draw(final bool) {
	columns, rows := v.size()
	text := v.render(columns)
	if most := rows - 1; !final && len(text) > most {
		text = v.window(text, most)
	}
	var b strings.Builder
	if v.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", v.drawn)
	}
	b.WriteString("\r\x1b[J") // ECMA-48: erase to the end of the screen
	for _, note := range v.notes {
		b.WriteString(note + "\n")
	}
	v.notes = nil
	for _, l := range text {
		b.WriteString(l.text + "\n")
	}
	v.drawn = len(text)
	_, _ = io.WriteString(v.s.err, b.String())
}

// treeLine is a line of the tree; a dull one may be folded away when there is no room.
type treeLine struct {
	text string
	dull bool
}

// window leaves out lines of steps that wait or ended well until the rest fits.
func (v *treeView) window(text []treeLine, most int) []treeLine {
	left := len(text) - most + 1
	var out []treeLine
	hidden := 0
	for _, l := range text {
		if l.dull && hidden < left {
			hidden++
			continue
		}
		out = append(out, l)
	}
	out = append(out, treeLine{text: v.paint("", fmt.Sprintf("  … %d more", hidden+max(0, len(out)-most+1)))})
	if len(out) > most {
		out = append(out[:most-1], out[len(out)-1])
	}
	return out
}

func (v *treeView) render(columns int) []treeLine {
	name := 0
	for _, s := range v.b.plan.Steps {
		name = max(name, min(len(s.Name), timelineName))
	}
	out := []treeLine{{text: v.b.def.Name}}
	for _, s := range v.b.plan.Steps {
		n := v.nodes[s.Name]
		text := v.nodeLine(n, cut(s.Name, timelineName), name, columns, "")
		out = append(out, treeLine{text, n.state == "" || n.state == run.Succeeded || n.state == run.Skipped})
		for _, item := range v.items[s.Name] {
			out = append(out, treeLine{v.nodeLine(v.nodes[item], strings.TrimPrefix(item, s.Name), max(0, name-2), columns, "  "), false})
		}
	}
	return out
}

func (v *treeView) nodeLine(n *treeNode, name string, width, columns int, indent string) string {
	mark, length, detail := "○", "", ""
	switch n.state {
	case "":
	case run.Succeeded:
		mark = "✓"
	case run.Skipped:
		mark, detail = "-", "skipped: "+textsafe.Line([]byte(n.reason))
	case run.Queued, run.Pulling, run.Creating, run.Running:
		mark, detail = "●", n.last
	default:
		mark, detail = "✗", string(n.state)+": "+textsafe.Line([]byte(n.reason))
	}
	if !n.begun.IsZero() && n.state != run.Skipped {
		end := n.ended
		if end.IsZero() {
			end = time.Now()
		}
		length = durationText(end.Sub(n.begun))
	}
	text := fmt.Sprintf("%-*s  %7s", width, name, length)
	if detail != "" {
		text += "  " + detail
	}
	return indent + v.paint(n.state, mark) + " " + strings.TrimRight(cut(text, max(10, columns-3-len(indent))), " ")
}

// paint colours text by a state.
func (v *treeView) paint(s run.State, text string) string {
	code := "31" // red: it failed
	switch s {
	case run.Succeeded:
		code = "32"
	case "", run.Skipped, run.Queued:
		code = "90"
	case run.Pulling, run.Creating, run.Running:
		code = "36"
	}
	if !v.color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (v *treeView) interrupted() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.notes = append(v.notes, interruptedText(v.f))
}

func (v *treeView) finish(result *run.Result, err error) error {
	close(v.quit)
	v.stopped.Wait()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.draw(true)
	for _, s := range v.b.plan.Steps {
		v.printTail(s.Name)
		for _, item := range v.items[s.Name] {
			v.printTail(item)
		}
	}
	fmt.Fprintln(v.s.err)
	printTimeline(v.s.err, result, v.paint)
	printWorkflowEnd(v.s.err, v.b, result, err)
	if v.failed != nil {
		return fmt.Errorf("print the run: %w", v.failed)
	}
	return nil
}

// printTail prints the last lines of what failed.
func (v *treeView) printTail(step string) {
	n := v.nodes[step]
	st := workflow.StepState{Status: n.state}
	if !st.Failed() || len(n.tail) == 0 {
		return
	}
	fmt.Fprintf(v.s.err, "\n%s %s\n", v.paint(n.state, "✗"), step)
	for _, l := range n.tail {
		fmt.Fprintln(v.s.err, "  "+l)
	}
}
