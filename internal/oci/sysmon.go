//go:build linux

package oci

import "os"

// monitorSlack is by how much the kernel may prolong a sleep of the runtime's monitor, in nanoseconds. It is short enough to
// be borne by what the monitor makes, which takes it over: threads, and programs that they start. The shim sets its own.
const monitorSlack = "1000000"

// relaxMonitor calms the thread by which Go's runtime watches this process (runtime.sysmon). While something happens it
// sleeps 20 us at a time: in a virtual machine that is two exits to the hypervisor each time. The shim does the same for
// its own (goruntime.c). What fails is left: nothing but speed depends on it.
func relaxMonitor() {
	tasks, err := os.Open("/proc/self/task")
	if err != nil {
		return
	}
	defer tasks.Close()
	// The kernel lists threads in the order of their making: the main one, then the monitor, which runtime.main starts first.
	if names, err := tasks.Readdirnames(2); err == nil && len(names) == 2 {
		_ = os.WriteFile("/proc/"+names[1]+"/timerslack_ns", []byte(monitorSlack), 0)
	}
}
