//go:build unix

package cli

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"
)

// notifyResize sends the terminal's new sizes until stop is called.
func notifyResize(in *os.File, sizes chan<- [2]uint16) (stop func()) {
	changes := make(chan os.Signal, 1)
	done := make(chan struct{})
	signal.Notify(changes, syscall.SIGWINCH)
	go func() {
		for {
			select {
			case <-done:
				return
			case <-changes:
			}
			columns, rows, err := term.GetSize(int(in.Fd()))
			if err != nil {
				continue
			}
			select {
			case sizes <- [2]uint16{uint16(columns), uint16(rows)}:
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(changes)
		close(done)
	}
}
