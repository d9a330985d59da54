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

// tryFlock locks f, or says that another process (or another open file of this one) has it. The lock belongs to the
// open file: it ends with the last descriptor, however the process ends.
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

// stillNamed says whether path is still the file that f has open. A lock on a file that was removed in the meantime
// excludes nobody.
func stillNamed(f *os.File, path string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Lstat(path)
	return err == nil && os.SameFile(a, b)
}

// acquire takes the lock file at path, made if need be, and waits for it until ctx ends. Closing the file frees it.
// It polls, since a wait inside flock(2) can't be cancelled; waiting is called once if it doesn't come at once.
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
