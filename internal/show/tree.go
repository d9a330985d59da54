package show

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/textsafe"
)

// tree shows a workflow on a terminal: each step with its state, how long it has taken and the last line that it
// printed, and items below their step while they run. At the end follow the last lines of what failed, and the timeline.
type tree struct {
	out Output // what tools print on standard output goes there too, unless it is a terminal
	o   WorkflowOptions
	w   Workflow

	mu      sync.Mutex
	nodes   map[string]*treeNode
	items   map[string][]string // the items of a step that run or failed, by the step's name
	lines   lines
	drawn   int   // lines of the tree that are on the screen
	failed  error // the first failure to print the output of a step
	notes   []string
	quit    chan struct{}
	stopped sync.WaitGroup
}

// treeNode is what is shown of a step or item.
type treeNode struct {
	state  run.State
	reason string
	start  time.Time
	end    time.Time
	last   string   // the last line
	tail   []string // the last lines, for when it fails
}

const (
	tailLines    = 20
	treeInterval = 100 * time.Millisecond
)

func newTree(out Output, o WorkflowOptions, w Workflow) *tree {
	v := &tree{out: out, o: o, w: w, nodes: map[string]*treeNode{}, items: map[string][]string{}, quit: make(chan struct{})}
	for _, step := range w.Steps {
		v.nodes[step.Name] = &treeNode{state: step.Status, reason: step.Reason}
	}
	v.stopped.Go(v.animate)
	return v
}

// animate draws the tree again and again, until Finish.
func (v *tree) animate() {
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

func (v *tree) node(step string) *treeNode {
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

func (v *tree) Event(e run.Event) {
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
		n.state, n.reason, n.end = e.Result.Status, e.Result.Reason, time.Now()
		if n.start.IsZero() {
			n.start = n.end
		}
		v.fold(e.Step, n)
	case e.State != nil:
		if e.State.State == run.Queued {
			return
		}
		n.state = e.State.State
		if n.start.IsZero() {
			n.start = time.Now()
		}
		if e.State.State == run.Pulling || e.State.Attempt > 1 {
			n.last = noteText(e)
		}
	case e.Connection != nil && !e.Connection.Allowed, e.Dropped != nil:
		v.keep(n, noteText(e))
	}
}

// fold forgets what is no longer shown of a step or item that ended well.
func (v *tree) fold(step string, n *treeNode) {
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

func (v *tree) line(n *treeNode, step, stream string, line []byte) {
	text := textsafe.Line(line)
	v.keep(n, text)
	if stream == "stdout" && !v.out.Out.Terminal {
		if _, err := io.WriteString(v.out.Out, step+" | "+string(line)+"\n"); err != nil && v.failed == nil {
			v.failed = err
		}
	}
}

func (v *tree) keep(n *treeNode, text string) {
	if strings.TrimSpace(text) == "" {
		return
	}
	n.last = text
	n.tail = append(n.tail, text)
	if len(n.tail) > tailLines {
		n.tail = append([]string(nil), n.tail[len(n.tail)-tailLines:]...)
	}
}

// draw draws the tree over the last one. The final one isn't cut to the height of the terminal.
func (v *tree) draw(final bool) {
	columns, rows := v.out.Err.size()
	text := v.render(columns)
	if most := max(rows-1, 1); !final && len(text) > most {
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
	_, _ = io.WriteString(v.out.Err, b.String())
}

// treeLine is a line of the tree. A dull line is left out first when there is no room.
type treeLine struct {
	text string
	dull bool
}

// window leaves out lines of steps that wait or ended well until the rest fits.
func (v *tree) window(text []treeLine, most int) []treeLine {
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
	out = append(out, treeLine{text: v.out.Err.paintState("", fmt.Sprintf("  … %d more", hidden+max(0, len(out)-most+1)))})
	if len(out) > most {
		out = append(out[:most-1], out[len(out)-1])
	}
	return out
}

func (v *tree) render(columns int) []treeLine {
	name := 0
	for _, s := range v.w.Steps {
		name = max(name, min(len(s.Name), timelineName))
	}
	out := []treeLine{{text: v.w.Name}}
	for _, s := range v.w.Steps {
		n := v.nodes[s.Name]
		text := v.nodeLine(n, cut(s.Name, timelineName), name, columns, "")
		out = append(out, treeLine{text, n.state == "" || n.state == run.Succeeded || n.state == run.Skipped})
		for _, item := range v.items[s.Name] {
			out = append(out, treeLine{v.nodeLine(v.nodes[item], strings.TrimPrefix(item, s.Name), max(0, name-2), columns, "  "), false})
		}
	}
	return out
}

func (v *tree) nodeLine(n *treeNode, name string, width, columns int, indent string) string {
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
	if !n.start.IsZero() && n.state != run.Skipped {
		end := n.end
		if end.IsZero() {
			end = time.Now()
		}
		length = durationText(end.Sub(n.start))
	}
	text := strings.TrimRight(fmt.Sprintf("%-*s  %7s  %s", width, name, length, detail), " ")
	return indent + v.out.Err.paintState(n.state, mark) + " " + cut(text, max(10, columns-3-len(indent)))
}

func (v *tree) Interrupted() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.notes = append(v.notes, interruptedText(v.o, v.w))
}

func (v *tree) Finish(result *run.Result, err error) error {
	close(v.quit)
	v.stopped.Wait()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.draw(true)
	for _, s := range v.w.Steps {
		v.printTail(s.Name)
		for _, item := range v.items[s.Name] {
			v.printTail(item)
		}
	}
	fmt.Fprintln(v.out.Err)
	printTimeline(v.out.Err, result)
	printWorkflowEnd(v.out.Err, v.w, result, err)
	return unprinted("run", v.failed)
}

// printTail prints the last lines of what failed.
func (v *tree) printTail(step string) {
	n := v.nodes[step]
	if !failedState(n.state) || len(n.tail) == 0 {
		return
	}
	fmt.Fprintf(v.out.Err, "\n%s %s\n", v.out.Err.paintState(n.state, "✗"), step)
	for _, l := range n.tail {
		fmt.Fprintln(v.out.Err, "  "+l)
	}
}

// failedState reports whether a step has ended, and neither well nor by being skipped.
func failedState(s run.State) bool {
	switch s {
	case "", run.Queued, run.Pulling, run.Creating, run.Running, run.Succeeded, run.Skipped:
		return false
	}
	return true
}
