//go:build unix

package workflow

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// lock takes the lock that excludes other processes from a journal. The kernel releases it when the process ends.
func lock(f *os.File) error { return flock(f, unix.LOCK_EX) }

// probe returns ErrRunning if a process has the lock. It holds a shared lock until the file is closed.
func probe(f *os.File) error { return flock(f, unix.LOCK_SH) }

func flock(f *os.File, how int) error {
	err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return ErrRunning
	}
	return err
}
