package cli

import (
	"fmt"
	"io"
	"sync"
)

// notes puts lines of Mayfly's own between the lines of a tool's stderr, and never into one: a note waits until the line
// that the tool has begun is ended. Its methods are safe from several goroutines.
type notes struct {
	w     io.Writer
	color bool

	mu      sync.Mutex
	busy    int  // writes of the tool's that are under way
	within  bool // the last of them ended within a line
	waiting []string
}

// note is a line of Mayfly's own.
func (n *notes) note(text string) string {
	if n.color {
		return "\x1b[33mmayfly:\x1b[0m " + text
	}
	return "mayfly: " + text
}

// add prints a note as soon as no line of the tool's is in the way.
func (n *notes) add(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.waiting = append(n.waiting, n.note(text))
	n.flush()
}

// now prints a line, and what waits, even if it has to break the tool's line for it.
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

// begin and end stand around each write of the tool's to the same place. The write itself holds no lock: a reader who
// takes none of it stops the tool and not Mayfly.
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
