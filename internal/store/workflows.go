package store

import (
	"context"
	"time"
)

// Workflows has the runs of workflows: their journals, and what has happened to those that haven't ended. The methods may be called
// from several goroutines; each is one transaction.
//
//	AcceptWorkflow  ->  Due  ->  Workflow, StepForward  ->  Due ...  ->  StepForward with an end
//
// Something happens to a workflow when a run of one of its steps ends, when its end is asked for, and at its deadline.
type Workflows interface {
	// AcceptWorkflow takes a run of a workflow with its first step forward.
	AcceptWorkflow(ctx context.Context, r NewRun, f StepForward) error
	// Due returns workflows to which something has happened that isn't in their journals.
	Due(ctx context.Context, most int) ([]string, error)
	// Workflow returns what is needed to take a workflow forward. The error is ErrNotFound if it has ended.
	Workflow(ctx context.Context, id string) (Workflow, error)
	// StepForward writes a step forward. The error is ErrNotHeld if another one was written since the workflow was read.
	StepForward(ctx context.Context, f StepForward) error
	// Journal returns the journal of a workflow, also of one that has ended. Without one it is empty.
	Journal(ctx context.Context, id string) ([][]byte, error)
	// Results returns the results of those of these runs that have ended.
	Results(ctx context.Context, ids []string) (map[string][]byte, error)
	// Steps returns the runs of a workflow's steps, in the order in which they were accepted.
	Steps(ctx context.Context, project, id string) ([]Run, error)
}

// Workflow is a run of a workflow that hasn't ended.
type Workflow struct {
	Run, Project string
	Tool         string
	Version      int
	Pool         string
	Needs        []string
	Priority     int
	Labels       map[string]string
	AcceptedBy   string
	Cancelling   bool
	Happened     int64 // how often something has happened to it
	// Accepted is when it was accepted, and Now when it was read, by the database's clock: those of servers may differ.
	Accepted, Now time.Time
	Request       []byte
	Journal       [][]byte // its entries
}

// StepForward is one step forward of a workflow.
type StepForward struct {
	Run string
	// After is how many entries the journal had when the workflow was read, and Seen how often something had happened to it.
	After, Seen int64
	Entries     [][]byte
	// Within is the time after which something happens to it even if nothing else does; zero for never.
	Within time.Duration
	// Encode returns the events of the workflow's run, as in a Report; nil for none.
	Encode func(before int64) (Chunk, error)
	Begin  []StepBegin
	// End has the runs of steps whose end is asked for, each with its result if no runner has it.
	End   []StepEnd
	Ended *Ended // without Encode
}

// StepBegin is a run of a step to accept. If To isn't nil, the run is that runner's at once.
type StepBegin struct {
	NewRun
	To *Lessee
}

// StepEnd asks for the end of a step's run.
type StepEnd struct {
	Run   string
	Ended Ended
}

// Parent is what a run belongs to that is a step of a workflow.
type Parent struct{ Run, Step string }
