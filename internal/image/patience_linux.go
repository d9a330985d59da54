package image

import (
	"context"
	"time"

	"github.com/mayfly-run/mayfly/internal/process"
)

// holdWithin is how long a run waits for the lock of its image, which a prune has for an instant, on an idle machine.
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
