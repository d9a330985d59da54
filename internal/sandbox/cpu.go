package sandbox

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// runAnywhere lets every thread of this process run on the holder's processors. A shim that starts at the same time as many
// others stays on one processor while it starts (holder.c). The holder doesn't, and neither does the tool: libcontainer gives
// its process all processors of its cgroup.
func (h *holder) runAnywhere() error {
	var own, all unix.CPUSet
	if err := errors.Join(unix.SchedGetaffinity(0, &own), unix.SchedGetaffinity(h.process.Pid, &all)); err != nil || own == all {
		return err
	}
	// A thread inherits the set of its creator, so repeat this until there are no new threads.
	set := map[string]bool{}
	for more := true; more; {
		more = false
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, t := range threads {
			if set[t.Name()] {
				continue
			}
			set[t.Name()], more = true, true
			id, err := strconv.Atoi(t.Name())
			if err != nil {
				return err
			}
			if err := unix.SchedSetaffinity(id, &all); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("run on all processors: %w", err)
			}
		}
	}
	runtime.SetDefaultGOMAXPROCS()
	return nil
}
