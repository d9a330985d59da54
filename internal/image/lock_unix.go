//go:build unix

package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// tryFlock locks f, and returns false if another process, or another open file of this one, holds the lock. The lock belongs to the
// open file, and ends with its last descriptor, however the process ends.
func tryFlock(f *os.File, exclusive bool) (bool, error) {
	how := unix.LOCK_SH
	if exclusive {
		how = unix.LOCK_EX
	}
	for {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EWOULDBLOCK):
			return false, nil
		default:
			return false, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
	}
}

// stillNamed reports whether path still names the open file f. A lock on a removed file excludes nobody.
func stillNamed(f *os.File, path string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Lstat(path)
	return err == nil && os.SameFile(a, b)
}

// acquire locks the file at path, which it makes if it doesn't exist, and waits for the lock until ctx ends. Closing the file
// unlocks it. acquire polls, since a wait in flock(2) can't be cancelled. It calls waiting once if it must wait.
func acquire(ctx context.Context, path string, exclusive bool, waiting func()) (*os.File, error) {
	pause := time.Millisecond
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("open lock: %w", noSpace(err))
		}
		ok, err := tryFlock(f, exclusive)
		if err == nil && ok && stillNamed(f, path) {
			return f, nil
		}
		f.Close()
		if err != nil {
			return nil, err
		}
		if waiting != nil {
			waiting()
			waiting = nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for lock %s: %w", path, context.Cause(ctx))
		case <-time.After(pause):
		}
		pause = min(2*pause, 50*time.Millisecond)
	}
}
