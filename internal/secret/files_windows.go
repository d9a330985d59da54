package secret

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// checkPrivate checks that the file is there. Who may read it is in access lists that a user's own folders inherit.
func checkPrivate(path string) error {
	_, err := os.Lstat(path)
	return err
}

// tryLock locks f, or says that another process has it. The lock ends with the handle, however the process ends.
func tryLock(f *os.File) (bool, error) {
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, new(windows.Overlapped))
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return false, nil
	}
	return err == nil, err
}

// syncDir does nothing: Windows has no such thing for a directory.
func syncDir(string) error { return nil }
