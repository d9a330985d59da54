//go:build linux

package oci

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/process"
)

const cgroupRoot = "/sys/fs/cgroup"

// cgroupDirs returns a cgroup's directories: one in the v2 hierarchy, or one in
// each v1 hierarchy that has the cgroup.
func cgroupDirs(cgroup string) ([]string, error) {
	hierarchies, err := os.ReadDir(cgroupRoot)
	if err != nil {
		return nil, err
	}
	roots := []string{cgroupRoot}
	for _, h := range hierarchies {
		roots = append(roots, filepath.Join(cgroupRoot, h.Name()))
	}
	// Don't use a glob: it would read the directory of all runs in each hierarchy.
	var dirs []string
	for _, root := range roots {
		dir := filepath.Join(root, cgroup)
		if _, err := os.Stat(dir); err == nil {
			dirs = append(dirs, dir)
		}
	}
	return dirs, nil
}

// killCgroup kills the processes in the run's cgroup and waits until it is empty.
// It is for processes that outlived their shim, which otherwise kills them.
func (s *sandbox) killCgroup() error {
	dirs, err := cgroupDirs(s.cgroup)
	return errors.Join(err, killIn(s.cgroup, dirs, s.engine.patience.kill, nil))
}

// killAll kills the processes in the run's cgroup and in the shim's, and waits
// until both are empty; see killIn.
func killAll(run string, within time.Duration, hopeless func(pid int) bool) error {
	dirs, err := runDirs(run)
	return errors.Join(err, killIn(run, dirs, within, hopeless))
}

// runDirs returns the directories of a run's cgroup and of its shim's.
func runDirs(run string) ([]string, error) {
	dirs, err := cgroupDirs(run)
	if err != nil {
		return dirs, err
	}
	v2, err := unified()
	if err != nil {
		return dirs, err
	}
	if shim := shimDir(run, v2); unix.Access(shim, unix.F_OK) == nil {
		dirs = append(dirs, shim)
	}
	return dirs, nil
}

// runPIDs returns the ids of the processes of a run, including its shim.
func runPIDs(run string) ([]int, error) {
	dirs, err := runDirs(run)
	if err != nil {
		return nil, err
	}
	return cgroupPIDs(dirs)
}

// prepareCgroups makes the cgroup of all runs in the hierarchies where it must be
// prepared for the cgroups below it.
func (e *Engine) prepareCgroups() error {
	parent := filepath.Join(cgroupRoot, e.cgroupParent())
	if e.rootless != nil && e.rootless.Cgroup != "" {
		return prepareScope(parent)
	}
	if v2, err := unified(); err != nil {
		return err
	} else if v2 {
		err := os.MkdirAll(parent, 0o755)
		return errors.Join(err, turnOn(cgroupRoot), turnOn(parent))
	}
	hierarchy := filepath.Join(cgroupRoot, "cpuset")
	if _, err := os.Stat(filepath.Join(hierarchy, "cpuset.cpus")); err != nil {
		return ignoreMissing(err)
	}
	dir := filepath.Join(hierarchy, e.cgroupParent())
	if e.rootless != nil {
		return nil // Delegate has done it
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return prepareCpuset(hierarchy, dir)
}

// prepareCpuset gives a cpuset of cgroup v1 the processors and memory nodes of
// its parent, without which it can't contain processes, and lets its children
// inherit them. Each write to these files makes the kernel rebuild its scheduling
// domains, which takes milliseconds; a run that inherits them writes none.
func prepareCpuset(parent, dir string) error {
	inherit := filepath.Join(dir, "cgroup.clone_children")
	data, err := os.ReadFile(inherit)
	if err != nil || strings.TrimSpace(string(data)) == "1" {
		return ignoreMissing(err)
	}
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(parent, name))
		if errors.Is(err, fs.ErrNotExist) {
			return nil // another hierarchy
		}
		if err == nil {
			err = writeCgroup(filepath.Join(dir, name), string(value))
		}
		if err != nil {
			return err
		}
	}
	return writeCgroup(inherit, "1")
}

// ownCgroup returns this process's cgroup in the hierarchy of a v1 controller, or
// for "" in the v2 hierarchy (cgroups(7), /proc/[pid]/cgroup).
func ownCgroup(controller string) (string, error) {
	data, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(data)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) == 3 && slices.Contains(strings.Split(fields[1], ","), controller) {
			return fields[2], nil
		}
	}
	return "", fs.ErrNotExist
}

// killIn kills the processes in some cgroup directories of a run, and waits until
// they have ended. If that takes longer than within, or if hopeless is true for a
// process, the error is a [*stuckError]. hopeless is for processes that an
// earlier call has waited for, and may be nil.
func killIn(run string, dirs []string, within time.Duration, hopeless func(pid int) bool) error {
	late, stop := process.Late(within)
	defer stop()
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		pids, err := cgroupPIDs(dirs)
		if err != nil || len(pids) == 0 {
			return err
		}
		if hopeless != nil && slices.ContainsFunc(pids, hopeless) {
			return newStuckError(run, pids)
		}
		for _, pid := range pids {
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("kill process %d of the sandbox: %w", pid, err)
			}
		}
		select {
		case <-late:
			return newStuckError(run, pids)
		case <-time.After(wait):
		}
	}
}

func cgroupPIDs(dirs []string) ([]int, error) {
	var pids []int
	for _, dir := range dirs {
		data, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		for _, field := range strings.Fields(string(data)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				return nil, fmt.Errorf("%s/cgroup.procs: %w", dir, err)
			}
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// removeCgroup removes a run's cgroup and that of its shim.
func removeCgroup(run string) error {
	dirs, err := runDirs(run)
	errs := []error{err}
	for _, dir := range dirs {
		errs = append(errs, rmdir(dir))
	}
	return errors.Join(errs...)
}

// writeCgroup writes to a file of a cgroup. It doesn't try to create the file, so
// that the error for a missing file is fs.ErrNotExist and not a lack of
// permission.
func writeCgroup(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
