//go:build unix

package daemon

import (
	"os/signal"
	"syscall"
)

// stayInBackground has a read from the terminal fail, instead of stopping this process, if it was started in the background.
func stayInBackground() { signal.Ignore(syscall.SIGTTIN) }
