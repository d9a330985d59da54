package store

import (
	"context"
	"time"

	"github.com/mayfly-run/mayfly/internal/run"
)

// Queue has the runs that aren't over. The methods may be called from several goroutines; each is one transaction, and what it
// wrote is durable when it returns.
type Queue interface {
	// Accept takes a run. If to isn't nil, the run is that runner's at once, as its first attempt.
	Accept(ctx context.Context, r NewRun, to *Lessee) error
	// Claim gives a runner the next runs that it may take: of each project in turn, those with the highest priority first, and then the
	// oldest.
	Claim(ctx context.Context, c Claim) ([]Claimed, error)
	// Extend gives a runner more time for its attempts, and says which of them are its own no longer and which must end.
	Extend(ctx context.Context, runner string, holds []Hold, lease time.Duration) (Extended, error)
	// Report adds events to a run, and ends it if the report has a result. A report whose events are all there already changes
	// nothing. The errors are ErrNotHeld and ErrGap.
	Report(ctx context.Context, r Report) (last int64, err error)
	// Cancel asks for the end of a run. A run that no runner has ends at once, by the given report. The error is ErrNotFound or
	// ErrOver.
	Cancel(ctx context.Context, project, id string, ended Ended) (runner string, err error)
	// Expire ends attempts whose runner has been silent for too long: ended makes the result of one. It returns the runs, also those that
	// wait for another runner.
	Expire(ctx context.Context, most int, ended func(Claimed) (Ended, error)) (runs []string, err error)
	// Reclaim takes from a runner the attempts that it doesn't hold, after it has said which it holds. One of which nothing was
	// reported never reached it, and waits again, unless its end was asked for; any other is over: ended makes its result. It returns
	// both kinds.
	Reclaim(ctx context.Context, runner string, holds []Hold, ended func(Claimed) (Ended, error)) (waiting, over []string, err error)
	// Release has an attempt wait again that was given to a runner that is gone, unless something of it was reported. One whose end
	// was asked for is over instead: ended makes its result.
	Release(ctx context.Context, runner string, h Hold, ended func(Claimed) (Ended, error)) (over bool, err error)
	// Renew gives all attempts at least that much time, after nobody could have extended them.
	Renew(ctx context.Context, lease time.Duration) error

	// Waiting returns what each of the next runs of a pool asks for, in the order in which Claim gives them out.
	Waiting(ctx context.Context, pool string, most int) ([]Waiting, error)
	// Held returns the attempts of a runner: of each its size, and whether it has limits.
	Held(ctx context.Context, runner string) (map[Hold]Claimed, error)
	// Taken returns what all runners have.
	Taken(ctx context.Context) ([]Taken, error)
	// HeldRequests calls take with the requests of the attempts that a runner holds, those of the newest runs first, until it is done.
	HeldRequests(ctx context.Context, runner string, take func(request []byte) (done bool, err error)) error
	// Cancelling returns the attempts that runners have and whose end was asked for.
	Cancelling(ctx context.Context) ([]Leased, error)
	// Progress returns the number of the last event of each of these runs that isn't over.
	Progress(ctx context.Context, ids []string) (map[string]int64, error)
}

// NewRun is a run to accept.
type NewRun struct {
	ID, Project, Tool string
	Version           int
	Kind              string
	Pool              string
	Needs             []string // labels that a runner must have
	Size              Size
	Limits            []Limit
	Retries           int // how often it is given to another runner after its own is lost
	Labels            map[string]string
	Priority          int
	Request           []byte // a run.Request, in JSON
	AcceptedBy        string
	Parent            Parent // of a step of a workflow
	Resumes           string // the run whose results this one begins with
	Secrets           []byte // those that it was given, sealed; nothing of them is kept when it is over
}

// Lessee is a runner that gets a run.
type Lessee struct {
	Runner string
	Lease  time.Duration
}

// Claim asks for runs.
type Claim struct {
	Lessee
	Pool   string
	Labels []string // what the runner has
	Free   Size     // what of its machine is free
	Most   int
}

// Claimed is an attempt that a runner has got.
type Claimed struct {
	Run, Project string
	Attempt      int
	Runner       string
	Tool         string // of NewRun; set by Claim
	Version      int
	Parent       string // the run of its workflow, if it is of a step; set by Claim
	Request      []byte
	Secrets      []byte // of NewRun; set by Claim
	Last         int64  // the number of the run's last event so far
	Size         Size   // set by Claim and Held
	Limited      bool   // it has limits; set by Claim and Held
	Retries      int    // how often it may still be given to another runner
	Cancelling   bool   // its end was asked for; set for ended
	Reported     bool   // something of the attempt was reported; set for ended
}

// Hold names an attempt.
type Hold struct {
	Run     string
	Attempt int
}

// Leased is an attempt with its runner.
type Leased struct {
	Hold
	Runner string
}

// Taken is a run that a runner has.
type Taken struct {
	Run, Project string
	Runner       string // what the queue knows it by
	Size         Size
}

// Extended is the answer to Extend.
type Extended struct {
	Lost   []Hold // no longer the runner's
	Cancel []Hold // their end was asked for
}

// Report is what a runner says of an attempt.
type Report struct {
	Hold
	Runner string
	Lease  time.Duration // for how long the runner keeps the attempt from now on
	First  int64         // the number of the first event within the attempt; without events that of the next one
	Count  int64
	// Encode returns the events as they are stored, once it is known how many events of the run are before them. It and EncodeFor are called in
	// a transaction, so they must be quick, and again if that is tried again.
	Encode func(before int64) (Chunk, error)
	// EncodeFor returns the same events as those of the workflow's run, if the run is one of its steps.
	EncodeFor func(p Parent, before int64) (Chunk, error)
	State     run.State // the run's latest state, if the events have one
	Ended     *Ended
}

// Chunk is a sequence of events of a run.
type Chunk struct {
	First, Last int64 // the numbers of its events within the run
	FirstLine   int64 // the line that it begins in, from 1; the store sets it
	Lines       int64 // how many lines end in it
	LastOfRun   bool  // there is none after it; ChunksOfLines sets it
	Output      bool  // all of its events are output; false also for those of an older version
	Bytes       int64 // the size of the events before compression
	Data        []byte

	Next     *Chunk // the one that follows it in a report, or nil
	Checksum int64  // Sum; the store sets it, to -1 if it isn't known
	// Object is the archive's object that has the data, from At on and with Size bytes; empty if Data has it.
	Object   string
	At, Size int64
}

// LeftOut says that a reader has left out the data, since all of it is output.
func (c *Chunk) LeftOut() bool { return c.Output && c.Bytes == 0 }

// Ended is how a run ended.
type Ended struct {
	Status   run.State
	ExitCode int
	Code     run.Code
	Reason   string
	Result   []byte // a run.Result, in JSON
	// Again says that only the attempt has ended: the run waits for another runner. Of the fields above, none is set then.
	Again bool
	// Encode and EncodeFor are for the events that the server itself adds; nil if there are none.
	Encode    func(before int64) (Chunk, error)
	EncodeFor func(p Parent, before int64) (Chunk, error)
}

// Runs is the history: all runs, also those in the queue. The methods may be called from several goroutines.
type Runs interface {
	// Run returns a run. The error is ErrNotFound.
	Run(ctx context.Context, project, id string) (Run, error)
	// Runs returns the runs that match, the newest first. There may be more with ids before next, unless that is empty, also if there are fewer
	// than f.Most here, or none.
	Runs(ctx context.Context, f Filter) (runs []Run, next string, err error)
	// Request returns what was asked for.
	Request(ctx context.Context, project, id string) ([]byte, error)
	// Chunks returns the chunks with events after a number, in order, until they have more than most bytes in all.
	Chunks(ctx context.Context, id string, after int64, most int) ([]Chunk, error)
	// ChunksButOutput is Chunks, except that those with Output come without their data and with Bytes 0: most of a long run is output.
	ChunksButOutput(ctx context.Context, id string, after int64, most int) ([]Chunk, error)
	// ChunksOfLines returns the chunks that have a part of the lines from first to last, in order, until they have more than most
	// bytes in all.
	ChunksOfLines(ctx context.Context, id string, first, last int64, most int) ([]Chunk, error)
}

// Run is a run in the history.
type Run struct {
	ID, Project, Tool  string
	Version            int
	Kind               string
	Status             run.State
	ExitCode           int
	Code               run.Code
	Reason             string
	Pool, Runner       string
	Attempt, Priority  int
	Labels             map[string]string
	Needs              []string // labels that its runner must have
	Size               Size
	Limits             []Limit
	Cancelling         bool
	Over               bool
	Accepted           time.Time
	AcceptedBy         string
	Started, Finished  time.Time
	Events, EventBytes int64
	Lines              int64 // how many lines it has printed
	LogRemoved         time.Time
	Parent             Parent
	Resumes            string
}

// Filter selects runs. A zero field selects all, except Parent.
type Filter struct {
	Project string
	Parent  string // the run of a workflow whose steps are selected; "" for runs that are of no step
	Tool    string
	Status  []run.State
	From    string // only runs with this id or larger ones
	Before  string // only runs with smaller ids

	// No index has the following fields.
	AcceptedBy string
	Runner     string            // a name, without pool and instance
	Labels     map[string]string // a run has all of them
	Text       string            // the tool, the reason or the id has it; upper and lower case of ASCII letters are the same
	// Look bounds at how many runs a list with one of those fields, or with Tool and Status, looks: of each of the states, or of the tool, or of
	// all. 0 is no bound.
	Look int

	Most int
}
