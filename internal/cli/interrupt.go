package cli

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/mayfly-run/mayfly/internal/run"
)

// errInterrupted is the cause of a run's end by Ctrl-C or TERM.
var errInterrupted = errors.New("interrupted")

// cancelOnSignals ends the run at the first INT or TERM, giving the tool its
// grace, and at once at the second.
func cancelOnSignals(ctx context.Context, opts *run.Options, first func()) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	kill := make(chan struct{})
	opts.Kill = kill
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		for n := 0; ; n++ {
			select {
			case <-done:
				return
			case <-signals:
			}
			switch n {
			case 0:
				cancel(errInterrupted)
				first() // it prints, which may take as long as a reader likes
			case 1:
				close(kill)
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel(nil)
	}
}
