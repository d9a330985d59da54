//go:build linux

package security

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// TestI02_AKeptSandboxIsATrap checks a tool that moves the folder of its HOME or of its working directory, and leaves a link to
// / in its place. A shell is a second container on the same folders. It must see those of the sandbox, never those of the host,
// or be refused.
func TestI02_AKeptSandboxIsATrap(t *testing.T) {
	b := newBox(t)
	at := filepath.Dir(b.canary.path)
	shells := 0
	for name, c := range map[string]struct{ home, workdir, runtime string }{
		"home in the working directory": {"/workspace/x" + at, "/workspace", ""},
		"working directory in home":     {"/h", "/h/x" + at, ""},
		"under gVisor":                  {"/workspace/x" + at, "/workspace", "gvisor"},
	} {
		t.Run(name, func(t *testing.T) {
			top := "/workspace"
			if c.home == "/h" {
				top = "/h"
			}
			spec := b.shell("cd " + top + " && mv x y && ln -s / x; exit 1")
			spec.Environment = []engine.Variable{{Name: "HOME", Value: c.home}}
			spec.WorkingDir, spec.Security.Runtime = c.workdir, c.runtime
			spec.Resources.PIDs = 512 // includes gVisor's own threads
			b.keep(t, spec)
			canary := filepath.Base(b.canary.path)
			said, code, err := b.look(spec, "sh", "-c", "cat "+canary+" $HOME/"+canary+" "+b.canary.path+"; grep -c . /proc/self/mountinfo; echo over")
			started := strings.Contains(said, "over")
			if started == (err != nil) {
				t.Errorf("the shell: %d, %v, and it said %q", code, err, said)
			}
			if started {
				shells++
			}
			b.canary.unseenIn(said)
		})
	}
	if shells == 0 {
		t.Error("no shell saw anything: the canary was out of reach in any case")
	}
}

// TestShellsLeaveNothingBehind checks that the mounts that the shim makes for shells disappear with the shells.
func TestShellsLeaveNothingBehind(t *testing.T) {
	b := newBox(t)
	spec := b.shell("exit 1")
	b.keep(t, spec)
	shims := slices.DeleteFunc(pidsOf(t, spec.ID+".shim"), func(pid int) bool { return commandOf(pid) != "mayfly-shim" }) // or the holder
	if len(shims) != 1 {
		t.Fatalf("its shims are %d", shims)
	}
	limits := "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max"
	if b.engine.OwnKernel { // it doesn't show the cgroup
		limits = "echo 1"
	}
	var mounts []int
	for range 3 {
		said, code, err := b.look(spec, "sh", "-c", limits)
		limit, _ := strconv.ParseInt(strings.TrimSpace(said), 10, 64)
		if err != nil || code != 0 || limit <= 0 || limit > spec.Resources.Memory { // less than the limit, by the memory of files
			t.Errorf("the shell: %d, %v, and its memory limit is %q", code, err, said)
		}
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", shims[0]))
		if err != nil {
			t.Fatal(err)
		}
		mounts = append(mounts, strings.Count(string(data), "\n"))
	}
	if mounts[0] == 0 || mounts[0] != mounts[2] {
		t.Errorf("the shim's mounts after each shell: %d", mounts)
	}
}
