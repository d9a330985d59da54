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
	// EndedOver returns how runs of no step ended, in each span of time in which one did. It reads neither runs nor the queue.
	EndedOver(ctx context.Context, f EndedFilter) ([]Ends, error)
	// EndedOf is EndedOver by tool, of all spans together.
	EndedOf(ctx context.Context, f EndedFilter) ([]Ends, error)
	// EndedIn returns how runs ended in each project since the beginning of the hour of since, without runs of steps. Projects in which none ended are
	// left out.
	EndedIn(ctx context.Context, projects []string, since time.Time) (map[string]map[run.State]int64, error)
	// QueuedIn returns how many runs of each project wait, counting at most most of each.
	QueuedIn(ctx context.Context, projects []string, most int) (map[string]int, error)
	// Running returns how many runs of a project runners have, by tool; "" has those of definitions that came with the request.
	Running(ctx context.Context, project string) (map[string]int, error)
	// ForgetEnds removes what is older than HoursKept and DaysKept.
	ForgetEnds(ctx context.Context) error
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

// HoursKept and DaysKept are for how long EndedOver and EndedOf have hours and days.
const (
	HoursKept = 8 * 24 * time.Hour
	DaysKept  = 400 * 24 * time.Hour
)

// EndedFilter selects what EndedOver and EndedOf return.
type EndedFilter struct {
	Project string
	Tool    string    // "" for all
	Since   time.Time // from the begin of the span on that has it
	Days    bool      // spans of a day instead of an hour; both begin by UTC
}

// Ends is how runs ended.
type Ends struct {
	Tool       string    // set by EndedOf; empty for definitions that came with the request
	Start      time.Time // set by EndedOver
	Status     map[run.State]int64
	Waited     time.Duration // in all, until a runner had them
	WaitedMost time.Duration
	Took       Histogram // from when a runner had it first until it ended, of those that a runner had
}

// Add adds what happened in another span or to another tool.
func (e *Ends) Add(o Ends) {
	if e.Status == nil {
		e.Status = map[run.State]int64{}
	}
	for status, n := range o.Status {
		e.Status[status] += n
	}
	e.Waited += o.Waited
	e.WaitedMost = max(e.WaitedMost, o.WaitedMost)
	for i, n := range o.Took {
		e.Took[i] += n
	}
}
