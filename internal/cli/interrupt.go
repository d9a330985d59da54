package cli

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/run"
)

// errInterrupted is the cause of a run's end by Ctrl-C or TERM.
var errInterrupted = errors.New("interrupted")

// statusInterrupted is a run's exit status then.
const statusInterrupted = run.ExitCancelled

// sameSignal is for how long the same signal again is one: timeout(1) sends it to the process, and to its group too.
const sameSignal = 100 * time.Millisecond

// cancelOnSignals ends the run at the first INT, TERM or HUP (a terminal that is closed), giving the tool its grace, and closes
// kill at the second, which ends it at once. The third
// ends this program, after restore: a reader that takes nothing could block it for ever. The sandbox ends with it. That
// gone is closed counts as the first.
func cancelOnSignals(ctx context.Context, gone <-chan struct{}, first, restore func()) (working context.Context, kill <-chan struct{}, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	killed := make(chan struct{})
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // as nohup does
		signal.Notify(signals, syscall.SIGHUP)
	}
	done := make(chan struct{})
	go func() {
		var last os.Signal
		var at time.Time
		for n := 0; ; {
			select {
			case <-done:
				return
			case <-gone:
				gone = nil
				if n > 0 {
					continue
				}
				restore() // nobody sees what the tool does with the terminal
			case s := <-signals:
				if s == last && time.Since(at) < sameSignal {
					continue
				}
				last, at = s, time.Now()
			}
			switch n {
			case 0:
				cancel(errInterrupted)
				go first() // it prints, which may take as long as a reader likes
			case 1:
				close(killed)
			case 2:
				restore()
				os.Exit(statusInterrupted)
			}
			n++
		}
	}()
	return ctx, killed, func() {
		signal.Stop(signals)
		close(done)
		cancel(nil)
	}
}

// onEndingSignal has undo run before a signal ends this program, with the status that a shell gives it then. A signal
// that is ignored, as nohup does, stays so.
func onEndingSignal(undo func()) (stop func()) {
	signals := make(chan os.Signal, 1)
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		if !signal.Ignored(sig) {
			signal.Notify(signals, sig)
		}
	}
	done := make(chan struct{})
	go func() {
		select {
		case <-done:
		case sig := <-signals:
			undo()
			os.Exit(endedBy(sig))
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
	}
}

// endedBy is the exit status for a signal.
func endedBy(sig os.Signal) int {
	if n, ok := sig.(syscall.Signal); ok {
		return engine.ExitSignal(engine.Signal(n))
	}
	return statusFailure
}
