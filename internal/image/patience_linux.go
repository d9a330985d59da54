package image

import (
	"time"

	"github.com/mayfly-run/mayfly/internal/process"
)

// holdWithin is how long a run waits on an idle machine for the lock of its image. A prune holds that lock only for a moment.
const holdWithin = 30 * time.Second

// late returns a channel that is closed when waiting for the lock at path has taken too long, and a function that returns the error
// for that. The caller calls stop after the wait.
func (s *Store) late(path string) (late <-chan struct{}, stop func(), err func() error) {
	since := time.Now()
	late, stop = process.Late(s.holdWithin)
	return late, stop, func() error { return process.Locked(path, since) }
}
