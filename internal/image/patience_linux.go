package image

import (
	"context"
	"time"

	"github.com/mayfly-run/mayfly/internal/process"
)

// holdWithin is how long a run waits on an idle machine for the lock of its image. A prune holds that lock only for a moment.
const holdWithin = 30 * time.Second

// untilLate is a context that ends when a lock has been waited for too long. Its cause names who has it.
func (s *Store) untilLate(ctx context.Context, path string) (_ context.Context, stop func()) {
	since := time.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	deadline := process.NewDeadline(s.holdWithin, func() { cancel(process.Locked(path, since)) })
	return ctx, func() {
		deadline.Stop()
		cancel(nil)
	}
}
