package secret

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// checkPrivate checks that the file exists. Access control lists, which a user's own folders inherit, say who may read it.
func checkPrivate(path string) error {
	_, err := os.Lstat(path)
	return err
}

// tryLock locks f, and returns false if another process has locked it. The system frees the lock when the process ends.
func tryLock(f *os.File) (bool, error) {
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, new(windows.Overlapped))
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return false, nil
	}
	return err == nil, err
}

// syncDir does nothing: Windows can't sync a directory.
func syncDir(string) error { return nil }
