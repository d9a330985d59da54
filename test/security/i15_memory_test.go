//go:build linux

package security

import (
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/image/imagetest"
)

// TestI15_MemoryEndsOnlyItsRun takes memory in every way. The run must end as out of memory, whichever process the kernel
// chooses, and a neighbour with a small limit must go on.
func TestI15_MemoryEndsOnlyItsRun(t *testing.T) {
	b := newBox(t)
	small := b.shell("echo ready; head -c 8000000 /dev/zero > /tmp/f; while :; do echo tick; sleep 0.05; done")
	small.Resources.Memory = b.engine.LeastMemory + 32<<20
	neighbour := b.mustStart(small)
	neighbour.stdout.until(t, "tick")
	for _, script := range []string{
		"attacker heap",
		"attacker heap & wait; echo went on; sleep 60", // the kernel doesn't kill the tool's first process
		"attacker sysv",
		"attacker fill /dev/shm",
		"attacker fill /tmp",
		"attacker fill /root",
		"attacker fill .",
		"mkdir -p /tmp/d; attacker inodes /tmp/d /dev/shm /dev",
	} {
		spec := b.shell(script)
		memory := b.engine.LeastMemory + 48<<20
		spec.Resources.Memory, spec.Resources.Disk = memory, 1<<30
		if strings.Contains(script, "inodes") {
			spec.Resources.Disk = 16 << 30 // to allow enough inodes
		}
		before := strings.Count(neighbour.stdout.String(), "tick")
		r := b.run(spec, nil)
		if !r.OutOfMemory || strings.Contains(r.stdout, "went on") {
			t.Errorf("%s: %+v", script, r)
		}
		// The kernel lets a process that it kills, and itself, exceed the limit by some pages.
		if peak := r.Usage.MemoryPeakBytes; peak > memory+1<<20 {
			t.Errorf("%s: it had %d bytes", script, peak)
		}
		neighbour.stdout.until(t, strings.Repeat("tick\n", before+1))
	}
	if err := neighbour.close(); err != nil {
		t.Error(err)
	}
}

// TestI15_PageCacheIsReclaimed reads a file of the image that is larger than the memory limit. The kernel reclaims such memory,
// so nothing is killed, and the memory counts towards this run's limit.
func TestI15_PageCacheIsReclaimed(t *testing.T) {
	b := newBox(t, imagetest.File{Name: "big", Body: strings.Repeat("0123456789abcdef", 8<<20)})
	spec := b.shell("for i in 1 2 3; do cat /big > /dev/null; done; echo read")
	spec.Resources.Memory = 32 << 20
	r := b.run(spec, nil)
	if r.OutOfMemory || r.stdout != "read\n" || r.Usage.MemoryPeakBytes > 32<<20 {
		t.Errorf("%+v", r)
	}
}
