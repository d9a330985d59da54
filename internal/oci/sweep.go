//go:build linux

package oci

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/flock"
	"github.com/mayfly-run/mayfly/internal/process"
)

// newDirAge is the age from which on an unfinished directory counts as abandoned.
const newDirAge = time.Minute

// Sweep implements [engine.Sweeper]: it ends and removes the rest of runs whose
// mayfly and shim were both killed. It doesn't touch live runs, whose directories
// are locked.
func (e *Engine) Sweep() error {
	errs := []error{e.sweep()}
	for _, other := range e.elsewhere() {
		errs = append(errs, other.sweep())
	}
	if e.former != "" {
		errs = append(errs, e.sweepFormer())
	}
	return errors.Join(errs...)
}

// elsewhere returns the engines of this user's other sessions.
func (e *Engine) elsewhere() []*Engine {
	var all []*Engine
	for _, dir := range e.others {
		if OwnDir(dir) {
			all = append(all, New(e.shim, dir, e.rootless))
		}
	}
	return all
}

// sweepFormer sweeps the directory in which earlier versions had an ordinary
// user's runs, and removes it once no run is left in it. Anyone can make that
// directory, so it counts only if it belongs to the user.
func (e *Engine) sweepFormer() error {
	if !OwnDir(e.former) {
		return nil
	}
	former := New(e.shim, e.former, e.rootless)
	if err := former.sweep(); err != nil {
		return err
	}
	if err := unix.Rmdir(former.runsDir()); errors.Is(err, unix.ENOTEMPTY) {
		return nil // it has a live run of an earlier version
	}
	return errors.Join(unlink(filepath.Join(e.former, "ids")), rmdir(e.former))
}

func (e *Engine) sweep() error {
	entries, err := os.ReadDir(e.runsDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, entry := range entries {
		errs = append(errs, e.sweepOne(entry.Name()))
	}
	return errors.Join(errs...)
}

func (e *Engine) sweepOne(name string) error {
	d := &runDir{path: filepath.Join(e.runsDir(), name)}
	id, unfinished := strings.CutPrefix(name, newPrefix)
	taken, err := e.take(d, unfinished)
	if err != nil || !taken {
		return err
	}
	// Only an earlier sweep's record makes a stuck process hopeless: a process that is about to end looks stuck for a moment too.
	givenUp, err := d.givenUp()
	if err != nil {
		return errors.Join(err, d.lock.Close())
	}
	var hopeless func(pid int) bool
	if givenUp {
		hopeless = process.Stuck
	}
	cgroup := e.cgroupOf(id)
	if err := killAll(cgroup, e.patience.kill, hopeless); err != nil {
		return errors.Join(fmt.Errorf("run %s: %w", id, err), d.giveUp(err), d.lock.Close()) // nothing of the run can be removed yet
	}
	return d.removeAfter(removeCgroup(cgroup))
}

// take locks the directory of a dead run, and reports whether it did. It removes a
// directory that has no lock file.
func (e *Engine) take(d *runDir, unfinished bool) (bool, error) {
	if unfinished {
		// While nobody makes a directory, it is abandoned; otherwise its age tells.
		// Those who make one wait meanwhile.
		if nobody, err := tryLock(e.runsDir(), os.O_RDONLY, flock.Exclusive); err == nil {
			defer nobody.Close()
		} else if info, err := os.Stat(d.path); err != nil || time.Since(info.ModTime()) < newDirAge {
			return false, ignoreMissing(err)
		}
	}
	err := d.takeLock(0)
	switch {
	case errors.Is(err, errLocked):
		return false, nil
	case errors.Is(err, fs.ErrNotExist):
		// Its last owner has removed the lock and is about to remove the
		// directory, or was killed between the two.
		return false, d.remove()
	}
	return err == nil, err
}

// runIDs returns the ids of the runs that have a directory, finished or not.
func (e *Engine) runIDs() ([]string, error) {
	entries, err := os.ReadDir(e.runsDir())
	var ids []string
	for _, entry := range entries {
		ids = append(ids, strings.TrimPrefix(entry.Name(), newPrefix))
	}
	return ids, ignoreMissing(err)
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
