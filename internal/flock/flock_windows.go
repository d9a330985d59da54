package flock

import (
	"errors"
	"math"
	"os"

	"golang.org/x/sys/windows"
)

// try locks one byte far beyond the end of any file: LockFileEx keeps others from reading and writing the bytes that it locks,
// and a lock must not.
func try(f *os.File, kind Kind) (bool, error) {
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	if info.IsDir() {
		return false, errors.ErrUnsupported
	}
	how := uint32(windows.LOCKFILE_FAIL_IMMEDIATELY)
	if kind == Exclusive {
		how |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	err = windows.LockFileEx(windows.Handle(f.Fd()), how, 0, 1, 0, &windows.Overlapped{OffsetHigh: math.MaxInt32})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return false, nil
	}
	return err == nil, err
}
