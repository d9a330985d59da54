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

	"github.com/mayfly-run/mayfly/internal/process"
)

// newDirAge is how old a half-made directory has to be before it is taken for
// an abandoned one.
const newDirAge = time.Minute

// Sweep ends and removes what runs left whose mayfly and shim were both
// killed. A run that lives is never touched: its directory's lock is taken.
func (e *Engine) Sweep() error {
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
	if unfinished {
		// While nobody makes a directory, it is abandoned; else its age tells.
		if nobody, err := lockDir(e.runsDir(), unix.LOCK_EX|unix.LOCK_NB); err == nil {
			defer nobody.Close()
		} else if info, err := os.Stat(d.path); err != nil || time.Since(info.ModTime()) < newDirAge {
			return ignoreMissing(err)
		}
	}
	err := d.takeLock(0)
	switch {
	case errors.Is(err, errLocked):
		return nil
	case errors.Is(err, fs.ErrNotExist):
		// Its last owner is between removing the lock and the directory, or
		// was killed there.
		return d.remove()
	case err != nil:
		return err
	}
	cgroup := e.cgroupOf(id)
	if err := killAll(cgroup, process.Stuck); err != nil {
		return errors.Join(fmt.Errorf("run %s: %w", id, err), d.lock.Close()) // nothing of it can be removed
	}
	return errors.Join(removeCgroup(cgroup), d.remove())
}

// runIDs are the runs that have a directory, whole or half made.
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
