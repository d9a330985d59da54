package sandbox

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// kernelTimerSlack is what a process has if nobody changed it, in nanoseconds; holder.c has it too.
const kernelTimerSlack = 50_000

// RestoreTimerSlack gives this thread, and the tool that it will execute, the kernel's own precision of timers; the shim's is
// coarser (holder.c).
func RestoreTimerSlack() error {
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, kernelTimerSlack, 0, 0, 0); err != nil {
		return fmt.Errorf("set the timer slack: %w", err)
	}
	return nil
}
