//go:build linux

package oci

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/oci/wire"
)

// A shim has a memory cgroup of its own, beside its run's. What a tool can make
// it hold (packets, connections of the host's, files of caches on their way
// into the sandbox) ends at a limit, and counts as Mayfly's and not the tool's.
const (
	// shimMemory is the limit. A shim needs some 20 MiB; this is for the spec
	// and its secrets (128 MiB at most, copied as they are read), and what the
	// network holds.
	shimMemory = 512 << 20
	// shimSockets is the limit of the host's sockets, which cgroup v1 counts
	// by itself.
	shimSockets = 128 << 20
)

// shimGroup is the cgroup of one shim.
type shimGroup struct {
	dir   string
	limit int64 // of memory, in bytes
}

// makeShimGroup makes the cgroup of a run's shim. disk is the run's limit: what
// the shim writes into the sandbox's memory file system is counted for the shim.
func (e *Engine) makeShimGroup(run string, disk int64) (*shimGroup, error) {
	v2, err := unified()
	if err != nil {
		return nil, err
	}
	g := &shimGroup{dir: shimDir(run, v2), limit: shimMemory + disk}
	files := map[string]int64{"memory.limit_in_bytes": g.limit, wire.SocketLimitFile: shimSockets}
	if v2 {
		g.limit += shimSockets // which count there
		files = map[string]int64{"memory.max": g.limit, "memory.swap.max": 0}
	}
	if err := os.MkdirAll(g.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the shim's cgroup: %w", err)
	}
	for name, value := range files {
		err := writeCgroup(filepath.Join(g.dir, name), strconv.FormatInt(value, 10))
		if errors.Is(err, fs.ErrNotExist) && name == "memory.swap.max" {
			continue // a kernel without swap
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("limit the shim's memory: %w", err), rmdir(g.dir))
		}
	}
	return g, nil
}

// shimDir is the directory of a shim's cgroup.
func shimDir(run string, v2 bool) string {
	root := cgroupRoot
	if !v2 {
		root = filepath.Join(cgroupRoot, "memory")
	}
	return filepath.Join(root, wire.ShimCgroup(run))
}

// add moves a process into the cgroup. On cgroup v1 the first move after a
// pause waits for an RCU grace period (about 10 ms; cgroup_threadgroup_rwsem is
// a per-CPU lock), and those that follow soon don't: so this one, made while
// the shim starts, is waited for instead of libcontainer's of the tool.
func (g *shimGroup) add(pid int) error {
	err := writeCgroup(filepath.Join(g.dir, "cgroup.procs"), strconv.Itoa(pid))
	if err != nil && !errors.Is(err, unix.ESRCH) { // it ended: whoever reads its reports learns it
		return fmt.Errorf("put the shim into its cgroup: %w", err)
	}
	return nil
}

// leaveTo is the file by which a shim leaves its cgroup to remove it: the
// cgroup.procs of one that stays. On cgroup v2 one with cgroups in it takes no
// process, except for the root.
func (e *Engine) leaveTo() string {
	dir := filepath.Join(cgroupRoot, "memory", e.cgroupParent())
	if v2, err := unified(); err == nil && v2 {
		dir = cgroupRoot
		if e.rootless != nil {
			dir = filepath.Join(cgroupRoot, e.cgroupParent(), ownLeaf)
		}
	}
	return filepath.Join(dir, "cgroup.procs")
}

// outOfMemory says whether the kernel killed the shim for its limit.
func (g *shimGroup) outOfMemory() bool {
	for _, name := range []string{"memory.oom_control", "memory.events"} {
		data, _ := os.ReadFile(filepath.Join(g.dir, name)) // the one that there is
		for line := range strings.Lines(string(data)) {
			if killed, ok := strings.CutPrefix(line, "oom_kill "); ok && strings.TrimSpace(killed) != "0" {
				return true
			}
		}
	}
	return false
}
