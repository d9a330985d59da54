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
	start   time.Duration // for the tool's first process
	end     time.Duration // for a shim to end, after its socket was closed or its tool killed
	cleanup time.Duration // the same, for a start that failed: it has nothing to keep
	giveUp  time.Duration // for all of the cleaning up after a start that failed
	kill    time.Duration // for a process that was killed to end
}

var defaultPatience = patience{start: 30 * time.Second, end: 30 * time.Second, cleanup: 3 * time.Second, giveUp: 20 * time.Second, kill: 5 * time.Second}

// overdue is the error of a run that took too long to start or to end.
func (e *Engine) overdue(doing, id string, since time.Time) error {
	pids, _ := runPIDs(e.cgroupOf(id)) // those that are found
	return process.Overdue(doing, since, pids, os.Getpid())
}

// stuckError says that processes were killed and don't end.
type stuckError struct{ cgroup, processes string }

func newStuckError(cgroup string, pids []int) *stuckError {
	said := process.Describe(pids...)
	if said == "" {
		said = fmt.Sprintf("processes %v", pids)
	}
	return &stuckError{cgroup, said}
}

func (e *stuckError) Error() string {
	return fmt.Sprintf("a killed process doesn't end: %s; cgroup %s; it ends when the kernel lets it, or when the machine restarts", e.processes, e.cgroup)
}

// stuckRuns names the processes of live runs that were killed and don't end;
// those of dead runs, Sweep does. A process that is about to end looks stuck for
// a moment, too, so this waits as long as for any other process.
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

// dying names the processes of live runs that were killed and haven't ended.
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
			if said := process.Describe(pids...); said != "" {
				dying = append(dying, fmt.Sprintf("run %s: %s", id, said))
			}
		}
	}
	return dying, nil
}
