package store

import (
	"context"
	"time"
)

// Clock is the one that the times of the database are by. Clocks of servers may be wrong.
type Clock interface {
	Now(ctx context.Context) (time.Time, error)
}
