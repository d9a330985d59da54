// Package flock locks files and directories between processes: with flock(2), and on Windows with LockFileEx.
//
// The locks are advisory: they keep out only those who ask for them. A lock belongs to the open file, not to the process. So
// two files that one process opens exclude each other, too, and closing the file frees the lock, as does the end of the
// process, however it ends. (A descriptor that a child inherits keeps the lock; Go opens files so that none does.)
//
// On Windows only files can be locked. A directory gives [errors.ErrUnsupported].
package flock

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"
)

// Kind says which other locks a lock excludes.
type Kind int

// The kinds of locks.
const (
	Shared    Kind = iota // excludes exclusive locks
	Exclusive             // excludes every other lock
)

// Try locks f without waiting, and reports false if another open file has a lock that excludes this one. A file that has a
// lock already changes its kind; that isn't atomic (flock(2)). An error is an [*fs.PathError].
func Try(f *os.File, kind Kind) (bool, error) {
	ok, err := try(f, kind)
	if err != nil {
		err = &fs.PathError{Op: "lock", Path: f.Name(), Err: err}
	}
	return ok, err
}

// Named reports whether the path by which f was opened still leads to f. If files are removed under their locks, whoever
// opened one before must ask this after Try: a lock on a file that has lost its name excludes nobody. A symbolic link is another file
// than the one it leads to.
func Named(f *os.File) bool {
	opened, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(f.Name())
	return err == nil && os.SameFile(opened, named)
}

// Open opens a file as [os.OpenFile] does, with mode 0600 if it makes it, and locks it. It waits for the lock until ctx ends,
// whose cause is the error then. If the file loses its name meanwhile, it opens the path again. A symbolic link
// is an error. Unless waiting is nil, it is called once before the first wait.
//
// Open polls, every 50 ms at the slowest, since a wait inside flock(2) can't be cancelled. Of several that wait, any may be next.
func Open(ctx context.Context, path string, flag int, kind Kind, waiting func()) (*os.File, error) {
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		f, err := os.OpenFile(path, flag, 0o600)
		if err != nil {
			return nil, err
		}
		ok, err := Try(f, kind)
		if err == nil && ok && Named(f) {
			return f, nil
		}
		f.Close()
		if err != nil {
			return nil, err
		}
		if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink != 0 { // Named would never report true
			return nil, &fs.PathError{Op: "lock", Path: path, Err: errors.New("it is a symbolic link")}
		}
		if waiting != nil {
			waiting()
			waiting = nil
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}
