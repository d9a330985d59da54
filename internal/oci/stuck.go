//go:build linux

package oci

import (
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/mayfly-run/mayfly/internal/process"
)

// patience is how long the engine waits for steps that take milliseconds. They
// take longer only if they are stuck, for example in a system call on a broken
// file system.
type patience struct {
	start   time.Duration // for the tool's first process
	end     time.Duration // for the end of a shim, after its socket was closed or its tool killed
	cleanup time.Duration // the same after a failed start, which has nothing to save
	giveUp  time.Duration // for all clean-up after a failed start
	kill    time.Duration // for the end of a killed process
}

var defaultPatience = patience{start: 30 * time.Second, end: 30 * time.Second, cleanup: 3 * time.Second, giveUp: 20 * time.Second, kill: 5 * time.Second}

// overdue returns the error of a run that takes too long to start or to end.
func (e *Engine) overdue(doing, id string, since time.Time) error {
	pids, _ := runPIDs(e.cgroupOf(id)) // best effort: they are only for the error
	return process.Overdue(doing, since, pids, os.Getpid())
}

// stuckError says that processes of a cgroup were killed and don't end.
type stuckError struct{ cgroup, processes string }

func newStuckError(cgroup string, pids []int) *stuckError {
	described := process.Describe(pids...)
	if described == "" {
		described = fmt.Sprintf("processes %v", pids)
	}
	return &stuckError{cgroup, described}
}

func (e *stuckError) Error() string {
	return fmt.Sprintf("a killed process doesn't end: %s; cgroup %s; it ends when the kernel lets it, or when the machine restarts",
		e.processes, e.cgroup)
}

// stuckRuns describes the processes of live runs that were killed and don't end.
// Sweep reports those of dead runs. A process that is about to end looks stuck for
// a moment too, so stuckRuns waits as long as for any killed process.
func (e *Engine) stuckRuns() ([]string, error) {
	late, stop := process.Late(e.patience.kill)
	defer stop()
	for {
		stuck, err := e.dying()
		if err != nil || len(stuck) == 0 {
			return nil, err
		}
		select {
		case <-late:
			return stuck, nil
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// dying describes the processes of live runs that were killed and haven't ended.
func (e *Engine) dying() ([]string, error) {
	var dying []string
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
			if described := process.Describe(pids...); described != "" {
				dying = append(dying, fmt.Sprintf("run %s: %s", id, described))
			}
		}
	}
	return dying, nil
}
