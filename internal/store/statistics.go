package store

import (
	"context"
	"time"

	"github.com/mayfly-run/mayfly/internal/run"
)

// Statistics is what an operator watches. The methods may be called from several goroutines.
type Statistics interface {
	// Queued returns how much waits in each pool in which something waits, in the order of their names.
	Queued(ctx context.Context) ([]Queued, error)
	// Observe has each transaction that was tried be told to f, which must be quick. Only with detailed, it is told more of the runs that
	// ended than how: that costs about a third of the time that the database takes for a run. It is called once, before the first write.
	Observe(f func(Written), detailed bool)
}

// Queued is what waits in a pool.
type Queued struct {
	Pool   string
	Runs   int
	Oldest time.Duration // how long ago the first of them was accepted, by the database's clock
}

// Written is a transaction of several writes.
type Written struct {
	Writes int
	Took   time.Duration // from its beginning until it was durable, or had failed
	Failed bool          // its writes are tried again, or have failed
	Ended  []Over        // runs that ended in it; empty if it failed
}

// Over is a run that has ended.
type Over struct {
	Run      string
	Status   run.State
	ExitCode int
	Code     run.Code

	// These are set if the observer asks for them.
	Project, Tool, Kind string
	Parent              Parent
	Attempt             int
	Accepted            time.Time
	Started             time.Time // when a runner had it first; zero if none had
	Finished            time.Time
}
