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
)

const cgroupRoot = "/sys/fs/cgroup"

// cgroupDirs are the run's directories: one in the v2 hierarchy, or one in each
// v1 hierarchy that has the run.
func cgroupDirs(cgroup string) ([]string, error) {
	hierarchies, err := os.ReadDir(cgroupRoot)
	if err != nil {
		return nil, err
	}
	roots := []string{cgroupRoot}
	for _, h := range hierarchies {
		roots = append(roots, filepath.Join(cgroupRoot, h.Name()))
	}
	// No glob: it would read the directory of all runs in each hierarchy.
	var dirs []string
	for _, root := range roots {
		dir := filepath.Join(root, cgroup)
		if _, err := os.Stat(dir); err == nil {
			dirs = append(dirs, dir)
		}
	}
	return dirs, nil
}

// killCgroup kills what is still in the run's cgroup and waits until it is
// empty. It is for what outlived its shim; a shim empties its own.
func (s *sandbox) killCgroup() error { return killCgroup(s.cgroup) }

func (s *sandbox) removeCgroup() error { return removeCgroup(s.cgroup) }

// prepareCgroups makes the cgroup that has all runs, where it matters how.
func (e *Engine) prepareCgroups() error {
	if e.rootless != nil && e.rootless.Cgroup != "" {
		return prepareScope(filepath.Join(cgroupRoot, e.cgroupParent()))
	}
	hierarchy := filepath.Join(cgroupRoot, "cpuset")
	if _, err := os.Stat(filepath.Join(hierarchy, "cpuset.cpus")); err != nil {
		return ignoreMissing(err)
	}
	dir := filepath.Join(hierarchy, e.cgroupParent())
	if e.rootless != nil {
		return nil // Delegate did it
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return prepareCpuset(hierarchy, dir)
}

// prepareCpuset gives a cpuset of cgroup v1 the processors and memory of its
// parent, without which it takes no process, and has its children inherit
// them. Each write of these files makes the kernel rebuild its scheduling
// domains, which takes milliseconds: a run that inherits them writes none.
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
			err = os.WriteFile(filepath.Join(dir, name), value, 0o644)
		}
		if err != nil {
			return err
		}
	}
	return os.WriteFile(inherit, []byte("1"), 0o644)
}

// warmCgroups makes the kernel ready to move a process between cgroups. On
// cgroup v1 the first move after a pause waits for an RCU grace period (about
// 10 ms; cgroup_threadgroup_rwsem is a per-CPU lock), and those that follow
// soon don't. Moving this process to where it is has that effect and no other,
// and passes the time while the shim starts. wait returns when it is done.
func (e *Engine) warmCgroups() (wait func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		own, err := ownCgroup("pids")
		if err != nil || e.rootless != nil {
			return // cgroup v2, where processes are born in their cgroup
		}
		// It is only for speed.
		_ = os.WriteFile(filepath.Join(cgroupRoot, "pids", own, "cgroup.procs"), []byte("0"), 0)
	}()
	return func() { <-done }
}

// ownCgroup is this process's cgroup in the hierarchy of a v1 controller, or
// with "" in that of v2 (cgroups(7), /proc/[pid]/cgroup).
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

func killCgroup(cgroup string) error {
	deadline := time.Now().Add(5 * time.Second)
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		pids, err := cgroupPIDs(cgroup)
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("kill process %d of the sandbox: %w", pid, err)
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v of the sandbox don't die; they are in cgroup %s", pids, cgroup)
		}
		time.Sleep(wait)
	}
}

func cgroupPIDs(cgroup string) ([]int, error) {
	dirs, err := cgroupDirs(cgroup)
	if err != nil {
		return nil, err
	}
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

func removeCgroup(cgroup string) error {
	dirs, err := cgroupDirs(cgroup)
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range dirs {
		errs = append(errs, rmdir(dir))
	}
	return errors.Join(errs...)
}
