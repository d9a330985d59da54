//go:build linux

package oci

import (
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/mayfly-run/mayfly/internal/process"
)

// patience is how long the engine waits for what takes milliseconds: longer
// only when it is stuck, in a system call on a broken file system say.
type patience struct {
	start     time.Duration // for the tool's first process
	end       time.Duration // for a shim to end, after its socket was closed or its tool killed
	abandoned time.Duration // the same, for a start that was given up: it has nothing to keep
	hopeless  time.Duration // for a start to clean up that was given up
	kill      time.Duration // for a process that was killed to end
}

var defaultPatience = patience{start: 30 * time.Second, end: 30 * time.Second, abandoned: 3 * time.Second, hopeless: 15 * time.Second, kill: 5 * time.Second}

// overdue is the error of a start or an end that took too long: it names the
// processes of the run that may be why, or this one.
func (e *Engine) overdue(doing, id string, after time.Duration) error {
	pids, _ := runPIDs(e.cgroupOf(id)) // those that are found
	said := process.Describe(pids...)
	if said == "" {
		said = process.Describe(os.Getpid())
	}
	return fmt.Errorf("the sandbox didn't %s within %s: %s; 'mayfly doctor' names what can't be killed", doing, after, said)
}

// stuckError names processes that were killed and don't end.
func stuckError(cgroup string, pids []int) error {
	return fmt.Errorf("what was killed doesn't end: %s; it is in the cgroup %s, and ends when the kernel lets it, or with the next boot", process.Describe(pids...), cgroup)
}

// stuckRuns names the processes of live runs that were killed and haven't
// ended; of dead runs, Sweep does.
func (e *Engine) stuckRuns() ([]string, error) {
	var stuck []string
	for _, at := range append(e.elsewhere(), e) {
		ids, err := at.runIDs()
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			pids, err := runPIDs(at.cgroupOf(id))
			if err != nil {
				return nil, err
			}
			pids = slices.DeleteFunc(pids, func(pid int) bool { return !process.Stuck(pid) })
			if said := process.Describe(pids...); said != "" {
				stuck = append(stuck, fmt.Sprintf("run %s: %s", id, said))
			}
		}
	}
	return stuck, nil
}
