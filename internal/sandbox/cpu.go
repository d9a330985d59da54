package sandbox

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// runAnywhere lets every thread of this process run wherever the holder may. A shim that starts while many others do stays
// on one processor for its start (holder.c); the holder never does, nor does the tool: libcontainer gives its process all
// processors of its cgroup.
func (h *holder) runAnywhere() error {
	var own, all unix.CPUSet
	if err := errors.Join(unix.SchedGetaffinity(0, &own), unix.SchedGetaffinity(h.process.Pid, &all)); err != nil || own == all {
		return err
	}
	// A thread takes it from the one that makes it, so those that come up meanwhile are looked for too.
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
