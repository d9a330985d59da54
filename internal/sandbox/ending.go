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

// ending is the time in which a sandbox has to be taken down. What takes longer
// waits in the kernel, and no signal ends it: this process says so and goes,
// and leaves the rest to mayfly and to the next start.
type ending struct {
	mu       sync.Mutex
	deadline *process.Deadline // nil while it doesn't run
	kept     bool              // the sandbox stays although mayfly goes
}

// orphaned is called when mayfly is gone. The sandbox then has EndWithin to be
// taken down, also during its start: nobody else ends what is stuck there.
func (s *supervisor) orphaned() {
	process.NewDeadline(s.start.EndWithin, func() {
		s.ending.mu.Lock()
		defer s.ending.mu.Unlock()
		if !s.ending.kept {
			os.Exit(1) // the holder ends with this process; the next start removes what is left
		}
	})
}

// keepGoing has the sandbox outlive mayfly.
func (s *supervisor) keepGoing() {
	s.pauseEnd()
	s.ending.mu.Lock()
	defer s.ending.mu.Unlock()
	s.ending.kept = true
}

// expectEnd starts the time, if it doesn't run.
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
			// A report waits for mayfly, whose reader takes its time.
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

// pauseEnd stops the time for work that has none.
func (s *supervisor) pauseEnd() {
	s.ending.mu.Lock()
	defer s.ending.mu.Unlock()
	s.ending.deadline.Stop()
	s.ending.deadline = nil
}

// overdue names what is left of the sandbox, or otherwise the holder and this
// process, which has a thread that waits.
func (s *supervisor) overdue(since time.Time) error {
	var pids []int
	for _, dir := range s.accounts.paths {
		procs, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs")) // those that are found
		for _, field := range strings.Fields(string(procs)) {
			if pid, err := strconv.Atoi(field); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return process.Overdue("end", since, pids, s.holder.process.Pid, os.Getpid())
}
