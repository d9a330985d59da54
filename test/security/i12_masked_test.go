//go:build linux

package security

import (
	"os"
	"strings"
	"testing"
)

// The lists of the profile, which the attacker gets. The test has its own copy, so that it notices if a path is lost from the
// code.
var (
	maskedPaths = []string{
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware",
		"/proc/buddyinfo", "/proc/diskstats", "/proc/key-users", "/proc/locks", "/proc/pressure", "/proc/pressure/cpu", "/proc/schedstat",
		"/proc/softirqs", "/proc/vmstat", "/proc/zoneinfo", "/proc/cmdline", "/proc/consoles", "/proc/driver", "/proc/iomem", "/proc/ioports",
		"/proc/kallsyms", "/proc/modules", "/proc/partitions", "/proc/swaps", "/sys/devices/virtual/dmi", "/sys/fs/btrfs", "/sys/fs/ext4",
		"/sys/fs/xfs", "/sys/hypervisor", "/sys/kernel/debug", "/sys/kernel/security", "/sys/kernel/slab", "/sys/kernel/tracing", "/sys/module",
	}
	readOnlyPaths = []string{
		"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe",
		"/proc/sys/vm/overcommit_memory", "/proc/sys/kernel/shmmax", "/proc/sys/kernel/sem", "/proc/sys/kernel/msgmax", "/proc/sys/fs/mqueue/msg_max", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/fs/binfmt_misc/register", "/proc/sysrq-trigger",
		"/proc/irq/default_smp_affinity", "/proc/kmsg", "/proc/mtrr",
		"/sys", "/sys/kernel", "/sys/kernel/uevent_helper", "/sys/power/state", "/sys/fs/cgroup", "/sys/class/net/lo/mtu",
	}
)

// TestI12_MaskedAndReadOnlyPaths tries to read, write and unmount each path.
func TestI12_MaskedAndReadOnlyPaths(t *testing.T) {
	b := newBox(t)
	for _, user := range []string{"", "1000:1000"} {
		for _, writable := range []bool{false, true} {
			masked := b.spec(append([]string{"attacker", "try"}, maskedPaths...)...)
			masked.User, masked.Security.Writable = user, writable
			masksHold(t, b.run(masked, nil).lines(), b.differsFromHost)
			readOnly := b.spec(append([]string{"attacker", "try"}, readOnlyPaths...)...)
			readOnly.User, readOnly.Security.Writable = user, writable
			got := b.run(readOnly, nil).lines()
			for _, p := range readOnlyPaths {
				if o := got["write "+p]; o != "EROFS" && o != "ENOENT" && !refused(o) {
					t.Errorf("write %s: %s", p, o)
				}
				if o := got["umount "+p]; o != "EPERM" {
					t.Errorf("umount %s: %s", p, o)
				}
			}
		}
	}
	// What the masks hide must not be visible by another path.
	r := b.run(b.shell(`cat /proc/self/root/proc/kcore /proc/thread-self/root/proc/keys /proc/1/root/proc/timer_list | wc -c; ls /sys/firmware /proc/acpi | grep -v : | wc -w; echo b > /proc/sysrq-trigger`), nil)
	if !strings.HasPrefix(r.stdout, "0\n0\n") || !strings.Contains(r.stderr, "sysrq-trigger") {
		t.Errorf("%+v", r)
	}
}

// masksHold checks the outcomes of attempts on masked paths, except for those files of which own reports that they are the sandbox's own.
func masksHold(t *testing.T, got map[string]string, own func(path string) bool) {
	t.Helper()
	for _, p := range maskedPaths {
		if o := got["read "+p]; o != "empty" && o != "ENOENT" && !refused(o) && !own(p) {
			t.Errorf("read %s: %s", p, o)
		}
		// A masked file is /dev/null, so writing to it has no effect.
		if o := got["write "+p]; o != "EROFS" && o != "ENOENT" && !refused(o) && (o != "done" || got["read "+p] != "empty") {
			t.Errorf("write %s: %s", p, o)
		}
		if o := got["umount "+p]; o != "EPERM" {
			t.Errorf("umount %s: %s", p, o)
		}
	}
}

// differsFromHost reports whether path is /proc/cmdline in a sandbox that has its own kernel, and has other content than on the host.
func (b *box) differsFromHost(path string) bool {
	b.t.Helper()
	if !b.engine.OwnKernel || path != "/proc/cmdline" {
		return false
	}
	hosts, err := os.ReadFile(path)
	if err != nil {
		b.t.Error(err)
	}
	return b.run(b.spec("cat", path), nil).stdout != string(hosts)
}
