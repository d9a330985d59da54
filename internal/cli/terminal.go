package cli

import (
	"errors"
	"os"

	"golang.org/x/term"

	"github.com/mayfly-run/mayfly/internal/run"
)

// ownTerminal is the terminal of this command, handed to a tool: raw, so that
// every key reaches it.
type ownTerminal struct {
	size    [2]uint16
	resized <-chan [2]uint16
	restore func() error
}

func takeTerminal(in *os.File) (*ownTerminal, error) {
	columns, rows, err := term.GetSize(int(in.Fd()))
	if err != nil {
		return nil, err
	}
	old, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, err
	}
	resized := make(chan [2]uint16, 1)
	stop := notifyResize(in, resized)
	return &ownTerminal{
		size:    [2]uint16{uint16(columns), uint16(rows)},
		resized: resized,
		restore: func() error {
			stop()
			return term.Restore(int(in.Fd()), old)
		},
	}, nil
}

// attachTerminal gives a run our terminal. restore takes it back.
func attachTerminal(s streams, req *run.Request, opts *run.Options) (restore func(), err error) {
	in, ok := s.in.(*os.File)
	if !ok || !isTerminal(in) {
		return nil, &usageError{command: "mayfly run", err: errors.New("--tty: standard input is not a terminal")}
	}
	t, err := takeTerminal(in)
	if err != nil {
		return nil, err
	}
	req.Columns, req.Rows = t.size[0], t.size[1]
	opts.Stdin, opts.Resized = in, t.resized
	return func() { _ = t.restore() }, nil // nothing can be done about it, and the shell's reset helps
}
