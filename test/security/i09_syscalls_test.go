//go:build linux

package security

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestI09_DeniedSystemCalls makes every call that the profile refuses. A kernel of the sandbox's own may carry out some of them
// itself.
func TestI09_DeniedSystemCalls(t *testing.T) {
	b := newBox(t)
	got := b.attack("syscalls")
	if len(got) < 50 {
		t.Errorf("it tried only %v", got)
	}
	// These give the error of a kernel without the call. If they were allowed, an ioctl on no descriptor would give EBADF, and
	// advice about no bytes would succeed.
	want := map[string]string{
		"ioctl SIOCGIFBR": "EINVAL", "ioctl SIOCSIFBR": "EINVAL", "ioctl SIOCADDDLCI": "EINVAL", "ioctl SIOCGIFVLAN": "EINVAL", "ioctl SIOCBRADDBR": "EINVAL",
		"madvise MADV_MERGEABLE": "EINVAL", "madvise MADV_COLD": "EINVAL", "madvise MADV_PAGEOUT": "EINVAL", "ioctl TIOCSETD": "EINVAL", "ioctl TIOCSETD beyond": "EINVAL", "prctl PR_SCHED_CORE": "EINVAL",
		// If they were allowed, these would give EBADF.
		"splice": "EINVAL", "sendfile": "EINVAL", "getsockopt TCP_ZEROCOPY_RECEIVE": "EINVAL", "fadvise64 POSIX_FADV_DONTNEED": "done",
		"setsockopt IP_ADD_MEMBERSHIP": "done", "setsockopt MCAST_JOIN_GROUP": "done",
	}
	for what, outcome := range got {
		if b.engine.OwnKernel {
			if outcome == "done" && !harmlessInGVisor[what] {
				t.Errorf("%s: %s", what, outcome)
			}
			continue
		}
		if outcome != want[what] && (want[what] != "" || outcome != "EPERM" && outcome != "ENOSYS") {
			t.Errorf("%s: %s", what, outcome)
		}
	}
}

// harmlessInGVisor has the calls that gVisor's kernel carries out without any effect on the host.
var harmlessInGVisor = map[string]bool{
	"madvise MADV_MERGEABLE": true, "madvise MADV_COLD": true, "madvise MADV_PAGEOUT": true, // advice that it doesn't follow
}

// TestI09_DeniedSockets makes sockets of every family, except for the allowed kinds, and raw sockets of the allowed families.
func TestI09_DeniedSockets(t *testing.T) {
	b := newBox(t)
	got := b.attack("sockets")
	for what, outcome := range got {
		if outcome != "EPERM" && outcome != "EAFNOSUPPORT" {
			t.Errorf("%s: %s", what, outcome)
		}
	}
	for _, what := range []string{"family 17 raw", "netlink 9"} {
		if got[what] != "EAFNOSUPPORT" && !b.engine.OwnKernel {
			t.Errorf("%s is %q, want EAFNOSUPPORT: programs go on without what the kernel doesn't have", what, got[what])
		}
	}
	if len(got) < 60*6 {
		t.Errorf("it tried only %d", len(got))
	}
}

// TestI09_OtherSystemCallTables makes calls by the 32-bit and x32 tables, which have other numbers for the same calls. The
// filter ends a thread that uses one (SIGSYS): it has no errno for a table that it doesn't know. A kernel of the sandbox's own
// refuses the call.
func TestI09_OtherSystemCallTables(t *testing.T) {
	b := newBox(t)
	for _, way := range []string{"int80", "x32"} {
		r := b.run(b.spec("attacker", way), nil)
		if runtime.GOARCH != "amd64" {
			if !strings.Contains(r.stdout, "none on this processor") {
				t.Errorf("%s: %+v", way, r)
			}
			continue
		}
		if outcome := r.lines()["foreign"]; b.engine.OwnKernel && outcome != "" && outcome != "done" {
			continue
		} else if outcome != "SIGSYS" && !(faulted(r.stderr) && faulted(onHost(t, way))) {
			t.Errorf("%s: %+v", way, r)
		}
	}
}

// faulted reports whether the attempt ended with a fault of the processor.
func faulted(stderr string) bool {
	return strings.Contains(stderr, "SIGSEGV: segmentation violation code=0x80")
}

// onHost makes the same attempt without a sandbox. A kernel without the table (IA32_EMULATION, ia32_emulation=0) answers it with
// a fault there too, and then a filter never sees the call.
func onHost(t *testing.T, way string) (stderr string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "attacker")
	if err := os.WriteFile(path, []byte(attackerProgram(t).Body), 0o700); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	c := exec.CommandContext(t.Context(), path, way)
	c.Stderr = &out
	_ = c.Run() // its output says how it ended
	return out.String()
}
