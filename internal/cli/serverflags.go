package cli

import (
	"github.com/spf13/pflag"

	"github.com/mayfly-run/mayfly/internal/remote"
)

// whereFlags are the flags that say where a command goes.
type whereFlags struct{ remote.Where }

func (w *whereFlags) add(fl *pflag.FlagSet) {
	fl.StringVar(&w.Server, "server", "", "`URL` of the server to use, or local for this machine")
	fl.StringVar(&w.Context, "context", "", "`NAME` of the context to use, or local for this machine")
	fl.StringVar(&w.Project, "project", "", "`PROJECT` of the server, instead of the context's")
}

// open returns the server that a command goes to, or nil for this machine.
func (w *whereFlags) open() (*remote.Remote, error) {
	all, err := remote.LoadContexts()
	if err != nil {
		return nil, err
	}
	chosen, err := all.Choose(w.Where)
	if chosen == nil || err != nil {
		return nil, err
	}
	return chosen.Open()
}

// given returns the server that the flags name, or nil. It is for commands that otherwise are about files of this machine, also while a
// context is in use.
func (w *whereFlags) given() (*remote.Remote, error) {
	if w.Server == "" && w.Context == "" {
		return nil, nil //nolint:nilnil // as open
	}
	return w.open()
}

// mustOpen is open for commands that always need a server.
func (w *whereFlags) mustOpen(command string) (*remote.Remote, error) {
	r, err := w.open()
	if r == nil && err == nil {
		err = &usageError{command: command, err: errNoServer}
	}
	return r, err
}
