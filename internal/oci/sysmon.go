//go:build linux

package oci

import "os"

// monitorSlack is the timer slack of the runtime's monitor, in nanoseconds: the kernel may prolong a sleep by it. Threads that
// the monitor makes inherit it, and so do programs that they start. It is short enough not to harm them. The shim sets its own.
const monitorSlack = "1000000"

// relaxMonitor makes the monitor thread of Go's runtime (runtime.sysmon) wake up less often. While the program is busy the
// monitor sleeps 20 us at a time, which in a virtual machine costs two exits to the hypervisor each time. The shim does the same
// for its own monitor (goruntime.c). Errors are ignored, because only speed depends on it.
func relaxMonitor() {
	tasks, err := os.Open("/proc/self/task")
	if err != nil {
		return
	}
	defer tasks.Close()
	// The kernel lists threads in the order in which they were made: the main thread, then the monitor, which runtime.main
	// starts first.
	if names, err := tasks.Readdirnames(2); err == nil && len(names) == 2 {
		_ = os.WriteFile("/proc/"+names[1]+"/timerslack_ns", []byte(monitorSlack), 0)
	}
}
