//go:build linux

package security

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/oci/wire"
	"github.com/mayfly-run/mayfly/test/testbed"
)

// TestN05_ShimIsLimited checks that the shim has its own cgroup with a limit for what a tool makes it hold, and isn't in the
// tool's cgroup.
func TestN05_ShimIsLimited(t *testing.T) {
	b := newBox(t)
	spec := b.shell("echo up; sleep 300")
	l := b.mustStart(spec)
	l.stdout.until(t, "up")
	want := map[string]int64{"memory.limit_in_bytes": 512<<20 + spec.Resources.Disk, wire.SocketLimitFile: 128 << 20}
	root := "/sys/fs/cgroup/memory/mayfly"
	if testbed.Unified() {
		want, root = map[string]int64{"memory.max": 640<<20 + spec.Resources.Disk}, "/sys/fs/cgroup/mayfly"
	}
	dir := filepath.Join(root, wire.ShimCgroup(spec.ID))
	for file, bytes := range want {
		data, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil || strings.TrimSpace(string(data)) != strconv.FormatInt(bytes, 10) {
			t.Errorf("%s is %q, %v; want %d", file, data, err, bytes)
		}
	}
	procs := func(dir string) []string {
		data, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Fields(string(data))
	}
	tools, err := filepath.Glob(filepath.Join(root, spec.ID))
	if err != nil || len(tools) != 1 {
		t.Fatalf("the tool's cgroup: %v, %v", tools, err)
	}
	shim, tool := procs(dir), procs(tools[0])
	if len(shim) == 0 || len(tool) == 0 || slices.ContainsFunc(shim, func(pid string) bool { return slices.Contains(tool, pid) }) {
		t.Errorf("of the shim's cgroup %q, of the tool's %q", shim, tool)
	}
	if err := l.close(); err != nil {
		t.Error(err)
	}
}
