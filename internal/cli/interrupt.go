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

// errInterrupted is the cause of a cancelled context when Ctrl-C or TERM ends a run.
var errInterrupted = errors.New("interrupted")

// statusInterrupted is the exit status of an interrupted run.
const statusInterrupted = run.ExitCancelled

// sameSignal is the time within which the same signal counts once: timeout(1) sends it to the process and to its group.
const sameSignal = 100 * time.Millisecond

// cancelOnSignals counts INT, TERM and HUP (a terminal that is closed):
//
//  1. cancels the context, so that the tool has its grace, and calls first;
//  2. closes kill, which ends the tool immediately;
//  3. calls restore and ends this program, since a reader that takes nothing could block it for ever. The sandbox ends with it.
//
// When gone is closed, that counts as the first.
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
				restore() // no one sees what the tool does with the terminal
			case s := <-signals:
				if s == last && time.Since(at) < sameSignal {
					continue
				}
				last, at = s, time.Now()
			}
			switch n {
			case 0:
				cancel(errInterrupted)
				go first() // it prints, and a reader may take its time
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

// onEndingSignal calls undo before a signal ends this program, with the exit status that a shell reports for the signal. A
// signal that is ignored, as under nohup, stays ignored.
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

// endedBy returns the exit status for a signal.
func endedBy(sig os.Signal) int {
	if n, ok := sig.(syscall.Signal); ok {
		return engine.ExitSignal(engine.Signal(n))
	}
	return statusFailure
}
