//go:build !linux

package image

import (
	"context"
	"time"
)

// holdWithin has no effect: there are runs only on Linux.
const holdWithin = 0 * time.Second

func (s *Store) untilLate(ctx context.Context, _ string) (_ context.Context, stop func()) {
	return ctx, func() {}
}
