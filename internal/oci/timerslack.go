//go:build linux

package oci

import "os"

// timerSlack is by how much the kernel may prolong a sleep of this process, in nanoseconds.
const timerSlack = "1000000"

// relaxTimers sets timerSlack for every thread, and so for those that they make. While something happens, Go's runtime has a
// thread that sleeps 20 us at a time, which in a virtual machine is two exits for each time (holder.c does the same for the
// shim). A program that mayfly executes inherits it; a tool doesn't, since the shim gives it the kernel's own value.
//
// What can't be set is left: nothing but speed depends on it.
func relaxTimers() {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return
	}
	for _, t := range threads {
		_ = os.WriteFile("/proc/"+t.Name()+"/timerslack_ns", []byte(timerSlack), 0)
	}
}
