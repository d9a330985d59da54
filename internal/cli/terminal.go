package cli

import (
	"errors"
	"os"

	"golang.org/x/term"

	"github.com/mayfly-run/mayfly/internal/run"
)

// attachTerminal gives the tool our terminal: raw, so that every key reaches
// it, and resized as ours is. restore gives it back.
func attachTerminal(s streams, req *run.Request, opts *run.Options) (restore func(), err error) {
	in, ok := s.in.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return nil, &usageError{command: "mayfly run", err: errors.New("--tty: standard input is not a terminal")}
	}
	columns, rows, err := term.GetSize(int(in.Fd()))
	if err != nil {
		return nil, err
	}
	req.Columns, req.Rows = uint16(columns), uint16(rows)
	old, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, err
	}
	opts.Stdin = in
	resized := make(chan [2]uint16, 1)
	opts.Resized = resized
	stop := notifyResize(in, resized)
	return func() {
		stop()
		_ = term.Restore(int(in.Fd()), old) // nothing can be done about it, and the shell's reset helps
	}, nil
}
