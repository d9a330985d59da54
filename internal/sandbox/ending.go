package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/mayfly-run/mayfly/internal/oci/wire"
	"github.com/mayfly-run/mayfly/internal/process"
)

// expectEnd begins the time in which the sandbox has to be taken down. What
// takes longer waits in the kernel, and no signal ends it: this process says
// so and goes, and leaves the rest to mayfly and to the next start.
func (s *supervisor) expectEnd() {
	if s.ending == nil {
		s.ending = process.NewDeadline(s.start.EndWithin, func() {
			_ = s.report.send(wire.Report{Failure: wire.NewFailure(s.overdue())}) // mayfly may be gone
			os.Exit(1)
		})
	}
}

// pauseEnd is for work that takes its time.
func (s *supervisor) pauseEnd() {
	s.ending.Stop()
	s.ending = nil
}

// overdue names what is left of the sandbox, or else this process, which has a
// thread that waits.
func (s *supervisor) overdue() error {
	var pids []int
	for _, dir := range s.accounts.paths {
		procs, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs")) // those that are found
		for _, field := range strings.Fields(string(procs)) {
			if pid, err := strconv.Atoi(field); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	said := process.Describe(pids...)
	if said == "" {
		said = process.Describe(s.holder.process.Pid, os.Getpid())
	}
	return fmt.Errorf("the sandbox didn't end within %s: %s; 'mayfly doctor' names what can't be killed", s.start.EndWithin, said)
}
