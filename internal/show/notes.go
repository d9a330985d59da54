package show

import (
	"fmt"
	"sync"
)

// notes prints Mayfly's own lines between the lines of a tool's stderr, and never inside one: a note waits until the tool has
// ended the line that it has begun. Its methods are safe from several goroutines.
type notes struct {
	w Stream

	mu      sync.Mutex
	busy    int  // the tool's writes that are under way
	within  bool // the last of them ended inside a line
	waiting []string
}

// note is one of Mayfly's own lines.
func (n *notes) note(text string) string { return n.w.paint("33", "mayfly:") + " " + text }

// add prints a note as soon as the tool isn't inside a line.
func (n *notes) add(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.waiting = append(n.waiting, n.note(text))
	n.flush()
}

// now prints a line, and what waits, even if that breaks the tool's line.
func (n *notes) now(line string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.waiting = append(n.waiting, line)
	n.settle()
}

// last prints what still waits; the tool has ended.
func (n *notes) last() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.waiting) > 0 {
		n.settle()
	}
}

// settle ends the tool's line and prints what waits.
func (n *notes) settle() {
	if n.within {
		fmt.Fprintln(n.w)
	}
	n.busy, n.within = 0, false
	n.flush()
}

func (n *notes) flush() {
	if n.busy > 0 || n.within {
		return
	}
	for _, line := range n.waiting {
		fmt.Fprintln(n.w, line)
	}
	n.waiting = nil
}

// begin and end surround each write of the tool to the same place. The write itself holds no lock: a reader that
// reads nothing stops the tool and not Mayfly.
func (n *notes) begin() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.busy++
}

func (n *notes) end(written []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.busy > 0 {
		n.busy--
	}
	if len(written) > 0 {
		n.within = written[len(written)-1] != '\n'
	}
	n.flush()
}
