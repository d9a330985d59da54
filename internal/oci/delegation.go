//go:build linux

package oci

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// An ordinary user's runs need a cgroup to make theirs in. On cgroup v1 root
// delegates one (Delegate). On v2 a process can be moved only between cgroups
// that its owner has, so mayfly itself must be in one of them: systemd starts it
// in a scope that belongs to the user (enterScope), and mayfly prepares the scope
// (prepareScope):
//
//	SCOPE          controllers are on for the cgroups below, so no process may be in it (cgroups(7))
//	SCOPE/mayfly   mayfly and the shims
//	SCOPE/ID       a run

// ownLeaf is the cgroup of mayfly itself in a scope.
const ownLeaf = "mayfly"

// noScope is a remedy: how a user gets their own cgroup.
const noScope = "log in through systemd (as root: loginctl enable-linger USER), and run it as the user: systemd-run --user --scope -p Delegate=yes mayfly ..."

// scopeEnv is the variable that says that a scope was already asked for, so that
// this isn't repeated.
const scopeEnv = "MAYFLY_SCOPE"

// unified reports whether the host has only cgroup v2. Hybrid hosts limit with v1.
func unified() (bool, error) {
	var st unix.Statfs_t
	err := unix.Statfs(cgroupRoot, &st)
	return err == nil && st.Type == unix.CGROUP2_SUPER_MAGIC, err
}

// enterScope returns the cgroup of the user that this process is in, on cgroup
// v2. If it is in none, enterScope executes this program again in a scope. If no
// systemd can make a scope it returns "", and the runs that need one report it.
func enterScope(self string, args, env []string) (string, error) {
	if v2, err := unified(); err != nil || !v2 {
		return "", nil //nolint:nilerr // Probe reports what is wrong with cgroups
	}
	own, err := ownCgroup("")
	if err != nil {
		return "", fmt.Errorf("find the cgroup of this process: %w", err)
	}
	if scope := userScope(cgroupRoot, own, os.Geteuid()); scope != "" || os.Getenv(scopeEnv) != "" {
		return scope, nil
	}
	runtimeDir := os.Getenv("XDG_RUNTIME_DIR")
	if runtimeDir == "" {
		runtimeDir = filepath.Join("/run/user", strconv.Itoa(os.Geteuid()))
	}
	program, err := exec.LookPath("systemd-run")
	if err != nil {
		return "", nil //nolint:nilerr // the runs that need a cgroup say how to get one
	}
	if _, err := os.Stat(filepath.Join(runtimeDir, "systemd", "private")); err != nil {
		return "", nil //nolint:nilerr // the user has no systemd
	}
	argv := append([]string{program, "--user", "--scope", "--quiet", "--collect", "--property=Delegate=yes", "--", self}, args[1:]...)
	env = append(os.Environ(), append(env, "XDG_RUNTIME_DIR="+runtimeDir, scopeEnv+"=1")...)
	if err := syscall.Exec(program, argv, env); err != nil {
		return "", fmt.Errorf("start %s: %w", program, err)
	}
	return "", nil
}

// userScope returns the cgroup in which the user may make cgroups, for a process
// in the cgroup own: own itself or, in a scope that is prepared, its parent. It
// returns "" if there is none.
func userScope(root, own string, uid int) string {
	if filepath.Base(own) == ownLeaf {
		own = filepath.Dir(own)
	}
	for _, name := range []string{"", "cgroup.procs", "cgroup.subtree_control"} {
		var st unix.Stat_t
		if err := unix.Stat(filepath.Join(root, own, name), &st); err != nil || int(st.Uid) != uid {
			return ""
		}
	}
	return own
}

// prepareScope turns the controllers on for the cgroups in a scope. It first moves
// the processes of the scope, such as the shell that started mayfly, to ownLeaf.
func prepareScope(dir string) error {
	if off, err := controllersOff(dir); err != nil || off == "" {
		return err
	}
	leaf := filepath.Join(dir, ownLeaf)
	if err := os.Mkdir(leaf, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	for round := 0; ; round++ {
		procs, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if err != nil {
			return err
		}
		if len(procs) == 0 {
			break
		}
		if round == 100 {
			return fmt.Errorf("the processes of %s can't be moved out of it: %s", dir, strings.Fields(string(procs)))
		}
		for _, pid := range strings.Fields(string(procs)) {
			err := os.WriteFile(filepath.Join(leaf, "cgroup.procs"), []byte(pid), 0o644)
			if err != nil && !errors.Is(err, unix.ESRCH) { // it has ended
				return fmt.Errorf("move process %s to %s: %w", pid, leaf, err)
			}
		}
	}
	return turnOn(dir)
}

// controllersOff returns the controllers of limits that are off for the cgroups
// in dir, in the form of cgroup.subtree_control: "+memory +pids".
func controllersOff(dir string) (string, error) {
	on, err := os.ReadFile(filepath.Join(dir, "cgroup.subtree_control"))
	if err != nil {
		return "", err
	}
	off := ""
	for _, l := range limits {
		if !slices.Contains(strings.Fields(string(on)), l.controller) {
			off += " +" + l.controller
		}
	}
	return strings.TrimSpace(off), nil
}

// turnOn turns on the controllers of limits for the cgroups in dir.
func turnOn(dir string) error {
	off, err := controllersOff(dir)
	if err != nil || off == "" {
		return err
	}
	if err := writeCgroup(filepath.Join(dir, "cgroup.subtree_control"), off); err != nil {
		return fmt.Errorf("turn on controllers in %s: %w", dir, err)
	}
	return nil
}

// Delegate gives a user a cgroup of each v1 hierarchy to make runs' cgroups in, and
// returns their directories. It needs root, and lasts until the next boot.
func Delegate(uid int) ([]string, error) {
	if v2, err := unified(); err != nil {
		return nil, err
	} else if v2 {
		return nil, &engine.Unsupported{Feature: "delegating a cgroup", Why: "on cgroup v2 the user's systemd does that", Remedy: noScope}
	}
	hierarchies, err := filepath.Glob(filepath.Join(cgroupRoot, "*", "cgroup.procs"))
	if err != nil {
		return nil, err
	}
	var made []string
	for _, h := range hierarchies {
		if target, err := filepath.EvalSymlinks(filepath.Dir(h)); err != nil || target != filepath.Dir(h) {
			continue // a link, such as cpu to cpu,cpuacct
		}
		dir := filepath.Join(filepath.Dir(h), cgroupParent+"-"+strconv.Itoa(uid))
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return made, err
		}
		if err := prepareCpuset(filepath.Dir(h), dir); err != nil {
			return made, err
		}
		// The limits of the cgroup itself stay root's.
		for _, name := range []string{"", "cgroup.procs", "tasks"} {
			if err := os.Chown(filepath.Join(dir, name), uid, -1); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return made, err
			}
		}
		made = append(made, dir)
	}
	return made, nil
}
