//go:build unix

package workflow

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// lock takes the lock that keeps other processes from a journal. It ends with the process at the latest.
func lock(f *os.File) error { return flock(f, unix.LOCK_EX) }

// probe says whether somebody has the lock, and keeps no process from it but for the moment of asking.
func probe(f *os.File) error { return flock(f, unix.LOCK_SH) }

func flock(f *os.File, how int) error {
	err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return ErrRunning
	}
	return err
}
