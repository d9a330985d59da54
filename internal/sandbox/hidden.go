package sandbox

// What of /proc and /sys a tool can't see or can't write to. Docker's list has
// what changes the host's kernel, or tells its secrets; to it come files that
// tell of other runs and of what the host does, and that tools do without. A
// file that one sandbox can change and another can read is a channel between
// them. docs/KERNEL-SURFACE.md lists every file of /proc, with what was decided.
var (
	maskedPaths = []string{
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys",
		"/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list",
		"/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware",
		// Of other runs, and of what the host does.
		"/proc/buddyinfo", "/proc/diskstats", "/proc/key-users", "/proc/locks", "/proc/pressure",
		"/proc/schedstat", "/proc/softirqs", "/proc/vmstat", "/proc/zoneinfo",
		// Of what the host is.
		"/proc/cmdline", "/proc/consoles", "/proc/driver", "/proc/iomem", "/proc/ioports", "/proc/kallsyms",
		"/proc/modules", "/proc/partitions", "/proc/swaps",
		"/sys/devices/virtual/dmi", "/sys/fs/btrfs", "/sys/fs/ext4", "/sys/fs/xfs", "/sys/hypervisor",
		"/sys/kernel/debug", "/sys/kernel/security", "/sys/kernel/slab", "/sys/kernel/tracing", "/sys/module",
	}
	readOnlyPaths = []string{
		"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
	}
)
