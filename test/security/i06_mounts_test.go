//go:build linux

package security

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/image/imagetest"
)

// refused reports whether the outcome of an attempt is that it was refused.
func refused(outcome string) bool {
	return outcome == "EPERM" || outcome == "ENOSYS" || outcome == "EACCES" || outcome == "EROFS"
}

// TestI06_NoMounts tries to mount file systems, above all the cgroup hierarchies, as root of the sandbox and in namespaces that
// the attacker tries to make.
func TestI06_NoMounts(t *testing.T) {
	b := newBox(t)
	writable := b.spec("attacker", "mounts")
	writable.Security.Writable = true
	for name, spec := range map[string]*engine.Spec{"read-only": b.spec("attacker", "mounts"), "writable": writable} {
		got := b.run(spec, nil).lines()
		if len(got) < 25 || got["unshare -Ur"] == "" {
			t.Errorf("%s: it tried only %v", name, got)
		}
		for what, outcome := range got {
			if !refused(outcome) && !strings.HasSuffix(outcome, "operation not permitted") {
				t.Errorf("%s: %s: %s", name, what, outcome)
			}
		}
	}
	// busybox's programs, which fall back to other system calls.
	r := b.run(b.shell(`unshare -Ur true; unshare -r mount -t cgroup -o memory none /tmp; mount -t cgroup2 none /tmp`), nil)
	if r.stdout != "" || strings.Count(r.stderr, "ermi") < 3 {
		t.Errorf("%+v", r)
	}
}

// TestI06_ItsOwnCgroup checks that a tool sees only its own cgroup, as the root and with its limits, and none of another run.
func TestI06_ItsOwnCgroup(t *testing.T) {
	b := embeddedBox(t)
	b.mustStart(b.shell("sleep 100"))
	spec := b.shell(`cd /sys/fs/cgroup
		cat memory.max memory/memory.limit_in_bytes 2>/dev/null
		cut -d: -f3 /proc/self/cgroup | sort -u
		grep ' /sys/fs/cgroup/*[a-z]* .* - cgroup' /proc/self/mountinfo | cut -d' ' -f4,6 | sort -u
		find . -mindepth 1 -type d | grep -v -e '^./memory$' -e '^./cpu$' -e '^./cpuacct$' -e '^./cpuset$'
		find . -name '*procs' -exec cat {} + | sort -u | wc -l`)
	r := b.run(spec, nil)
	if want := fmt.Sprintf("%d\n/\n/ ro,nosuid,nodev,noexec,relatime\n", spec.Resources.Memory); !strings.HasPrefix(r.stdout, want) {
		t.Errorf("%q, want %q…", r.stdout, want)
	}
	// Its processes are the shell, find, and those of the pipe after find.
	if n, err := strconv.Atoi(strings.TrimSpace(r.stdout[strings.LastIndex(strings.TrimSpace(r.stdout), "\n")+1:])); err != nil || n > 6 || strings.Count(r.stdout, "\n") != 4 {
		t.Errorf("%+v", r)
	}
}

// TestI06_ReadOnlyRootAndItsMounts checks the options of each mount: only the mounts that the profile makes writable are
// writable, and no mount honours setuid bits or devices.
// A kernel of the sandbox's own shows no such options: I07 and I10 try them.
func TestI06_ReadOnlyRootAndItsMounts(t *testing.T) {
	b := newBox(t, imagetest.File{Name: "home/tool/"})
	spec := b.shell("cat /proc/self/mounts")
	spec.WorkingDir = "/home/tool"
	r := b.run(spec, nil)
	writable := map[string]bool{"/dev": true, "/dev/pts": true, "/dev/shm": true, "/tmp": true, "/root": true, "/home/tool": true}
	single := 0
	for line := range strings.Lines(r.stdout) {
		fields := strings.Fields(line)
		at, options := fields[1], ","+fields[3]+","
		switch {
		case strings.HasPrefix(at, "/proc/") || strings.HasPrefix(at, "/sys/") || strings.HasPrefix(at, "/dev/") && !writable[at]:
			single++ // masks and devices, which the tests of I12 and I07 check
			continue
		case at == "/proc" || at == "/sys" && b.engine.OwnKernel:
		case strings.Contains(options, ",rw,") && !writable[at]:
			t.Errorf("%s is writable: %s", at, line)
		}
		if b.engine.OwnKernel {
			continue
		}
		if !strings.Contains(options, ",nosuid,") {
			t.Errorf("%s honours setuid: %s", at, line)
		}
		if at != "/dev" && at != "/dev/pts" && !strings.Contains(options, ",nodev,") {
			t.Errorf("%s honours devices: %s", at, line)
		}
	}
	if single < 10 && !b.engine.OwnKernel {
		t.Errorf("mounts %s", r.stdout)
	}
}
