//go:build linux

package oci

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/flock"
	"github.com/mayfly-run/mayfly/internal/oci/wire"
	"github.com/mayfly-run/mayfly/internal/process"
)

// runDir is the directory of one live run. It is locked as long as mayfly or the
// shim lives.
type runDir struct {
	path string
	lock *os.File
}

// newRunDir makes DIR/runs/ID and takes its lock. The directory has another name
// until it is locked, so that no sweep treats it as abandoned. The run's own ids
// must reach root's sandboxes in it, so every directory down to them is
// searchable by all users, but not readable.
func (e *Engine) newRunDir(ctx context.Context, id string) (*runDir, error) {
	d, err := e.makeRunDir(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("make the run's directory: %w", err)
	}
	return d, nil
}

func (e *Engine) makeRunDir(ctx context.Context, id string) (*runDir, error) {
	runs := e.runsDir()
	for _, dir := range []string{e.dir, runs} {
		if err := makeOwnDir(dir); err != nil {
			return nil, err
		}
	}
	// This lock is shared by all processes that make a directory. A sweep takes it exclusively if there are none.
	making, err := awaitLock(ctx, runs, e.patience.start)
	if err != nil {
		return nil, err
	}
	defer making.Close()
	d := &runDir{path: filepath.Join(runs, newPrefix+id)}
	if err := os.Mkdir(d.path, passable); err != nil {
		return nil, err
	}
	if err = os.Chmod(d.path, passable); err == nil {
		err = d.takeLock(os.O_CREATE | os.O_EXCL)
	}
	if err == nil {
		err = os.Mkdir(d.root(), passable)
	}
	if err == nil {
		err = os.Chmod(d.root(), passable)
	}
	final := filepath.Join(runs, id)
	if err == nil {
		// RENAME_NOREPLACE, because an id is used only once.
		err = unix.Renameat2(unix.AT_FDCWD, d.path, unix.AT_FDCWD, final, unix.RENAME_NOREPLACE)
	}
	if err != nil {
		return nil, errors.Join(err, d.remove())
	}
	d.path = final
	return d, nil
}

// tryLock opens a file or a directory and locks it until it is closed; errLocked
// when others have it.
func tryLock(path string, flag int, kind flock.Kind) (*os.File, error) {
	f, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		return nil, err
	}
	ok, err := flock.Try(f, kind)
	if err == nil && ok {
		return f, nil
	}
	f.Close()
	if err == nil {
		err = errLocked
	}
	return nil, err
}

// awaitLock takes a shared lock of a directory. A sweep holds it exclusively for a
// moment. The wait has a limit, because a stopped sweep must not block starts
// forever.
func awaitLock(ctx context.Context, path string, within time.Duration) (*os.File, error) {
	begin := time.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	deadline := process.NewDeadline(within, func() { cancel(process.Locked(path, begin)) })
	defer deadline.Stop()
	return flock.Open(ctx, path, os.O_RDONLY, flock.Shared, nil)
}

// passable is the mode of the directories down to a sandbox's root. They are made
// with it and also changed to it: the umask of mayfly's caller may clear bits, and
// one start with a umask of 077 must not close them to all later runs.
const passable = 0o711

// makeOwnDir makes a directory for the engine. It refuses one that other users can
// write to: they could choose what is swept, and what a shell connects to.
func makeOwnDir(path string) error {
	if err := os.MkdirAll(path, passable); err != nil {
		return err
	}
	if !OwnDir(path) {
		return fmt.Errorf("%s is not a directory that only this user can write to; remove it", path)
	}
	return os.Chmod(path, passable)
}

// OwnDir reports whether path is a directory, not a link to one, that belongs to
// this user and that no other user can write to.
func OwnDir(path string) bool {
	var st unix.Stat_t
	err := unix.Lstat(path, &st)
	return err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR && int(st.Uid) == os.Geteuid() && st.Mode&0o022 == 0
}

// newPrefix marks a directory that is being made.
const newPrefix = ".new-"

func (e *Engine) runsDir() string { return filepath.Join(e.dir, "runs") }

var errLocked = errors.New("another process has the lock")

// takeLock opens and locks the directory's lock file.
func (d *runDir) takeLock(flags int) error {
	lock, err := tryLock(filepath.Join(d.path, "lock"), os.O_RDWR|flags, flock.Exclusive)
	if err != nil {
		return err
	}
	d.lock = lock
	return nil
}

// alive reports whether the run's shim, which holds the lock, lives.
func (d *runDir) alive() (bool, error) {
	err := d.takeLock(0)
	switch {
	case errors.Is(err, errLocked):
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	}
	return false, d.lock.Close()
}

// giveUp records, if why is a [*stuckError], that a killed process of this run
// didn't end within its time, so that the next sweep doesn't wait for it again.
// The record is the content of the lock file.
func (d *runDir) giveUp(why error) error {
	var stuck *stuckError
	if !errors.As(why, &stuck) {
		return nil
	}
	_, err := d.lock.WriteString("stuck\n")
	return err
}

// givenUp reports whether giveUp has recorded such a process.
func (d *runDir) givenUp() (bool, error) {
	info, err := d.lock.Stat()
	if err != nil {
		return false, err
	}
	return info.Size() > 0, nil
}

// root returns the directory that the shim mounts the sandbox on, only in its own
// mount namespace (for an ordinary user elsewhere: sandbox/mountpoint.go).
func (d *runDir) root() string { return filepath.Join(d.path, "root") }

// remove removes the directory. It never walks into subfolders: it removes files
// and empty folders by their names, so a remaining mount stops it and isn't
// emptied.
func (d *runDir) remove() error {
	err := errors.Join(rmdir(d.root()), unlink(filepath.Join(d.path, wire.SocketName)), unlink(filepath.Join(d.path, "lock")), rmdir(d.path))
	if d.lock != nil {
		err = errors.Join(err, d.lock.Close())
		d.lock = nil
	}
	return err
}

// removeAfter removes the directory, unless something of the run is left because of an error: the next sweep finds that by its directory.
func (d *runDir) removeAfter(left error) error {
	if left == nil || d.lock == nil {
		return errors.Join(left, d.remove())
	}
	err := errors.Join(left, d.lock.Close())
	d.lock = nil
	return err
}

func rmdir(path string) error {
	// The mount points of a mount namespace stay busy for a moment after its last
	// process was reaped.
	var err error
	for wait := time.Millisecond; wait < 2*time.Second; wait *= 2 {
		if err = unix.Rmdir(path); !errors.Is(err, unix.EBUSY) {
			break
		}
		time.Sleep(wait)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return nil
}

func unlink(path string) error {
	if err := unix.Unlink(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return nil
}
