package cli

import (
	"errors"
	"os"
	"sync"

	"golang.org/x/term"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/run/local"
	"github.com/mayfly-run/mayfly/internal/show"
)

// ownTerminal is the terminal of this command. While a tool or a shell runs, it is raw, so that every key reaches that
// program; before and after, Ctrl-C ends this command as usual.
type ownTerminal struct {
	in         *os.File
	columns    uint16
	rows       uint16
	resized    chan [2]uint16
	stopResize func()

	mu  sync.Mutex
	old *term.State // nil unless it is raw
	err error       // the first failure
}

func openTerminal(in *os.File) (*ownTerminal, error) {
	columns, rows, err := term.GetSize(int(in.Fd()))
	if err != nil {
		return nil, err
	}
	t := &ownTerminal{in: in, columns: uint16(columns), rows: uint16(rows), resized: make(chan [2]uint16, 1)}
	t.stopResize = notifyResize(in, t.resized)
	return t, nil
}

// take makes the terminal raw.
func (t *ownTerminal) take() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.old != nil {
		return
	}
	old, err := term.MakeRaw(int(t.in.Fd()))
	if err != nil {
		t.err = errors.Join(t.err, err)
		return
	}
	t.old = old
}

// giveBack undoes take.
func (t *ownTerminal) giveBack() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.old == nil {
		return
	}
	t.err = errors.Join(t.err, term.Restore(int(t.in.Fd()), t.old))
	t.old = nil
}

// close gives the terminal back for good, and returns what went wrong when it was taken or given back.
func (t *ownTerminal) close() error {
	t.stopResize()
	t.giveBack()
	return t.err
}

// attachTerminal gives a run the terminal of this command while its tool runs.
func attachTerminal(s streams, req *run.Request, opts *local.Options) (*ownTerminal, error) {
	in, ok := s.in.(*os.File)
	if !ok || !show.IsTerminal(in) {
		return nil, &usageError{command: "mayfly run", err: errors.New("--tty: standard input is not a terminal")}
	}
	t, err := openTerminal(in)
	if err != nil {
		return nil, err
	}
	req.Columns, req.Rows = t.columns, t.rows
	opts.Stdin, opts.Resized = in, t.resized
	opts.Attach = func() (detach func()) {
		t.take()
		return t.giveBack
	}
	return t, nil
}
