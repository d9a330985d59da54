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

// A shim has its own memory cgroup, next to its run's. It limits what a tool can
// make the shim hold (packets, connections on the host, files of caches on their
// way into the sandbox), which counts as Mayfly's memory and not as the tool's.
const (
	// shimMemory is the limit in bytes. A shim needs about 20 MiB. The rest is
	// for the spec and its secrets (at most 128 MiB, copied while they are
	// read), and for the network.
	shimMemory = 512 << 20
	// shimSockets is the limit in bytes of the shim's sockets, which cgroup v1
	// counts separately.
	shimSockets = 128 << 20
)

// shimGroup is the cgroup of one shim.
type shimGroup struct {
	dir   string
	limit int64 // of memory, in bytes
}

// makeShimGroup makes the cgroup of a run's shim. disk is the run's disk limit,
// which is added to the shim's limit: the files that the shim writes into the
// sandbox's memory file system count as the shim's memory.
func (e *Engine) makeShimGroup(run string, disk int64) (*shimGroup, error) {
	v2, err := unified()
	if err != nil {
		return nil, err
	}
	g := &shimGroup{dir: shimDir(run, v2), limit: shimMemory + disk}
	files := map[string]int64{"memory.limit_in_bytes": g.limit, wire.SocketLimitFile: shimSockets}
	if v2 {
		g.limit += shimSockets // on v2 sockets count towards this limit
		files = map[string]int64{"memory.max": g.limit, "memory.swap.max": 0}
	}
	if err := os.MkdirAll(g.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the shim's cgroup: %w", err)
	}
	for name, value := range files {
		err := writeCgroup(filepath.Join(g.dir, name), strconv.FormatInt(value, 10))
		if errors.Is(err, fs.ErrNotExist) && name == "memory.swap.max" {
			continue // the kernel doesn't support swap
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("limit the shim's memory: %w", err), rmdir(g.dir))
		}
	}
	return g, nil
}

// shimDir returns the directory of a shim's cgroup.
func shimDir(run string, v2 bool) string {
	root := cgroupRoot
	if !v2 {
		root = filepath.Join(cgroupRoot, "memory")
	}
	return filepath.Join(root, wire.ShimCgroup(run))
}

// add moves a process into the cgroup. On cgroup v1 the first move after a pause
// waits for an RCU grace period (about 10 ms; cgroup_threadgroup_rwsem is a
// per-CPU lock), and moves soon after it don't wait. This move takes place while
// the shim starts, so the wait delays nothing, and libcontainer's move of the tool
// doesn't wait.
func (g *shimGroup) add(pid int) error {
	err := writeCgroup(filepath.Join(g.dir, "cgroup.procs"), strconv.Itoa(pid))
	if err != nil && !errors.Is(err, unix.ESRCH) { // the end of a shim is noticed by the end of its reports
		return fmt.Errorf("put the shim into its cgroup: %w", err)
	}
	return nil
}

// leaveTo returns the file that a shim writes to in order to leave its cgroup
// before it removes it: the cgroup.procs of a cgroup that stays. On cgroup v2 a
// cgroup that contains others can't have processes, except for the root.
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

// outOfMemory reports whether the kernel killed the shim because of its limit.
func (g *shimGroup) outOfMemory() bool {
	for _, name := range []string{"memory.oom_control", "memory.events"} {
		data, _ := os.ReadFile(filepath.Join(g.dir, name)) // only one of them exists
		for line := range strings.Lines(string(data)) {
			if killed, ok := strings.CutPrefix(line, "oom_kill "); ok && strings.TrimSpace(killed) != "0" {
				return true
			}
		}
	}
	return false
}
