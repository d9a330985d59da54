package sandbox

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mayfly-run/mayfly/internal/oci/wire"
	"github.com/mayfly-run/mayfly/internal/process"
)

// ending is the deadline for taking a sandbox down. A process that takes longer
// waits in the kernel, and no signal ends it. Then the shim reports it and exits,
// and mayfly and the next start remove the rest.
type ending struct {
	mu       sync.Mutex
	deadline *process.Deadline // nil while it doesn't run
	kept     bool              // the sandbox outlives mayfly
}

// orphaned is called when mayfly is gone. It starts the deadline for taking the
// sandbox down, even during the sandbox's start, where nothing else ends a step
// that hangs.
func (s *supervisor) orphaned() {
	process.NewDeadline(s.start.EndWithin, func() {
		s.ending.mu.Lock()
		defer s.ending.mu.Unlock()
		if !s.ending.kept {
			os.Exit(1) // the holder ends with this process; the next start removes the rest
		}
	})
}

// keepGoing lets the sandbox outlive mayfly.
func (s *supervisor) keepGoing() {
	s.pauseEnd()
	s.ending.mu.Lock()
	defer s.ending.mu.Unlock()
	s.ending.kept = true
}

// expectEnd starts the deadline unless it already runs.
func (s *supervisor) expectEnd() {
	s.ending.mu.Lock()
	defer s.ending.mu.Unlock()
	if s.ending.deadline == nil {
		s.startEnding(time.Now())
	}
}

func (s *supervisor) startEnding(since time.Time) {
	s.ending.deadline = process.NewDeadline(s.start.EndWithin, func() {
		if !s.report.mu.TryLock() {
			// A report waits for mayfly, whose reader is slow: begin again.
			s.ending.mu.Lock()
			defer s.ending.mu.Unlock()
			if s.ending.deadline != nil {
				s.startEnding(since)
			}
			return
		}
		_ = s.report.enc.Encode(wire.Report{Failure: wire.NewFailure(s.overdue(since))}) // mayfly may be gone
		os.Exit(1)
	})
}

// pauseEnd stops the deadline, for work without one.
func (s *supervisor) pauseEnd() {
	s.ending.mu.Lock()
	defer s.ending.mu.Unlock()
	s.ending.deadline.Stop()
	s.ending.deadline = nil
}

// overdue returns an error that names the sandbox's remaining processes, or
// otherwise the holder and this process, which has a thread that waits.
func (s *supervisor) overdue(since time.Time) error {
	var pids []int
	for _, dir := range s.accounts.paths {
		procs, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs")) // best effort: it is only for the error
		for _, field := range strings.Fields(string(procs)) {
			if pid, err := strconv.Atoi(field); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return process.Overdue("end", since, pids, s.holder.process.Pid, os.Getpid())
}
