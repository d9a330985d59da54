package image

import (
	"time"

	"github.com/mayfly-run/mayfly/internal/process"
)

// holdWithin is how long a run waits for the lock of its image, which a prune has for an instant, on an idle machine.
const holdWithin = 30 * time.Second

// late is a channel that is closed when a lock has been waited for too long, and the error then.
func (s *Store) late(path string) (late <-chan struct{}, stop func(), err func() error) {
	since := time.Now()
	late, stop = process.Late(s.holdWithin)
	return late, stop, func() error { return process.Locked(path, since) }
}
