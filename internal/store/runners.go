package store

import (
	"context"
	"time"
)

// Runners has the runners that are or were connected. The methods may be called from several goroutines.
type Runners interface {
	// AddRunner says that a runner has connected. It returns whether it is to drain.
	AddRunner(ctx context.Context, r Runner) (drain bool, err error)
	// SawRunner says that a runner that has connected is still there; one that was removed stays so.
	SawRunner(ctx context.Context, r Runner) (drain bool, err error)
	// Runners returns the runners that were there since a while, by pool and name, with how many attempts each has.
	Runners(ctx context.Context, within time.Duration) ([]Runner, error)
	// DrainRunner has a runner take nothing new, and returns what the queue knows it by. The error is ErrNotFound.
	DrainRunner(ctx context.Context, name string) (holders []string, err error)
	// RemoveRunner removes a runner that was to drain and has ended: it isn't listed, and takes runs if it is started again.
	RemoveRunner(ctx context.Context, holder string) error
	// ForgetRunners removes the runners that were not there for a while.
	ForgetRunners(ctx context.Context, within time.Duration) error
}

// Runner is one process of a runner.
type Runner struct {
	Holder     string // what the queue knows it by
	Pool, Name string
	Version    string
	Labels     []string
	Slots      int
	Capacity   Size
	Kept       []Kept

	// Runners sets these.
	Busy   int
	Drain  bool
	Silent time.Duration // since its last sign of life, by the database's clock
}

// Kept is a run whose sandbox a runner keeps.
type Kept struct {
	Run   string    `json:"run"`
	Until time.Time `json:"until"`
}
