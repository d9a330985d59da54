//go:build linux

package oci

import (
	"fmt"
	"os"
)

// monitorSlack is by how much the kernel may prolong a sleep of the runtime's monitor, in nanoseconds. It is short enough to
// be borne by other threads too: those that the monitor makes take it over.
const monitorSlack = "1000000"

// relaxMonitor calms the thread by which Go's runtime watches this process (runtime.sysmon). While something happens it
// sleeps 20 us at a time: in a virtual machine that is two exits to the hypervisor each time. The shim does the same for
// its own (goruntime.c).
func relaxMonitor() error {
	tasks, err := os.Open("/proc/self/task")
	if err != nil {
		return err
	}
	defer tasks.Close()
	// The kernel lists threads in the order of their making: the main one, then the monitor, which runtime.main starts first.
	names, err := tasks.Readdirnames(2)
	if err != nil || len(names) < 2 {
		return fmt.Errorf("look for the runtime's monitor among %v: %w", names, err)
	}
	return os.WriteFile("/proc/"+names[1]+"/timerslack_ns", []byte(monitorSlack), 0)
}
