package workflow

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/run"
)

// Header has what a run of a workflow started with: enough to resume it.
type Header struct {
	ID       string `json:"id"`
	Workflow string `json:"workflow"`
	// File is the definition's absolute path; Text is the definition itself if it came from standard input.
	File string `json:"file,omitempty"`
	Dir  string `json:"dir,omitempty"` // the working directory at the start
	Text string `json:"text,omitempty"`
	// Inputs, Environment and Secrets come from the command line; a secret is a reference such as NAME=env:VARIABLE.
	Inputs      map[string]any `json:"inputs,omitempty"`
	Environment []string       `json:"environment,omitempty"`
	Secrets     []string       `json:"secrets,omitempty"`
}

// Entry is one change in a journal.
type Entry struct {
	Type string    `json:"type"` // EntryRun, EntryStep, EntryResume, EntryEnding or EntryEnd
	Time time.Time `json:"time"`

	Run   *Header  `json:"run,omitempty"`
	Again []string `json:"again,omitempty"` // of EntryResume: steps that start from the beginning

	Step     string            `json:"step,omitempty"`
	Item     *int              `json:"item,omitempty"` // of a step with for_each
	Count    int               `json:"count,omitempty"`
	Items    string            `json:"items,omitempty"` // digest of the items, with Count
	Status   run.State         `json:"status,omitempty"`
	ExitCode int               `json:"exit_code,omitempty"`
	Code     run.Code          `json:"code,omitempty"`
	Reason   string            `json:"reason,omitempty"`
	Outputs  map[string]string `json:"outputs,omitempty"`
	// Artifacts are the digests of the step's artifacts, by name.
	Artifacts map[string]string `json:"artifacts,omitempty"`
	// StepRun is the run of the step's tool, if it begins.
	StepRun string `json:"step_run,omitempty"`
	// Usage is what the step's tool used. Only a run on a server has it, since nothing else remembers it there.
	Usage *engine.Usage `json:"usage,omitempty"`
	// Sealed is a sealed run.Handed, of a step whose outputs or artifacts may contain a secret.
	Sealed []byte `json:"sealed,omitempty"`
}

// The types of entries.
const (
	EntryRun    = "run"    // the run starts; only the first entry has this type
	EntryStep   = "step"   // the status of a step or item changes
	EntryResume = "resume" // the run is resumed
	EntryEnding = "ending" // only steps of finally start from here on: Status, Code and Reason say why
	EntryEnd    = "end"    // the run has ended
)

// Journal is the log of one run of a workflow. Each change of a step's state is appended to it: the start before the step
// starts, and the end when it has ended. A kill at any moment leaves a journal from which the run can be resumed: an entry is
// complete or missing. A journal can be open only once at a time, and only one goroutine may call its methods.
//
// The order of calls is Create or Open, then Entries and Append in any order, then Close. Package journaltest has the suite
// for implementations.
type Journal interface {
	// Append adds an entry with the current time. A durable entry survives a crash of the machine once Append has returned.
	// After an error the entry is complete or missing, and nothing more may be appended.
	Append(e Entry, durable bool) error
	// Entries returns all entries so far, in order. It stops after the first error.
	Entries() iter.Seq2[Entry, error]
	// Close releases the journal, so that it can be opened again. Nothing may be appended afterwards.
	Close() error
}

// Journals creates and opens the journals of runs.
type Journals interface {
	// Create starts the journal of a new run with an entry that has the header. If the id is already used, the error is fs.ErrExist.
	Create(h Header) (Journal, error)
	// Open opens the journal of a run to resume it. The error is [ErrRunning] if the journal is already open, in this or in
	// another process, and fs.ErrNotExist if there is no such journal.
	Open(id string) (Journal, error)
}

// ErrRunning is the error of opening the journal of a run that is in progress.
var ErrRunning = run.NewError(run.CodeRunning, "the run is in progress in another process")

// Past is the history of a run according to its journal.
type Past struct {
	Header Header
	// Status is how the run ended; empty if it was killed.
	Status run.State
	// Masked are the secrets that steps had and that outputs may contain.
	Masked [][]byte
	steps  map[string]*pastStep
}

// pastStep is the last state of a step in a journal.
type pastStep struct {
	StepState
	items string
	ended bool // the run has ended since, and didn't succeed
}

// Recall reads the history of a run from its journal. sealer unseals entries with secrets.
func Recall(ctx context.Context, id string, j Journal, sealer run.Sealer) (*Past, error) {
	return RecallFrom(ctx, id, j.Entries(), sealer)
}

// RecallFrom is [Recall] for the entries of a journal.
func RecallFrom(ctx context.Context, id string, entries iter.Seq2[Entry, error], sealer run.Sealer) (*Past, error) {
	past, err := recall(ctx, entries, sealer)
	if err == nil && past.Header.ID != id {
		err = fmt.Errorf("it belongs to run %q", past.Header.ID)
	}
	if err != nil {
		return nil, fmt.Errorf("read the journal of run %s: %w", id, err)
	}
	return past, nil
}

func recall(ctx context.Context, entries iter.Seq2[Entry, error], sealer run.Sealer) (*Past, error) {
	past := &Past{steps: map[string]*pastStep{}}
	number := 0
	for e, err := range entries {
		number++
		if err != nil {
			return nil, err
		}
		if number == 1 && (e.Type != EntryRun || e.Run == nil) {
			return nil, errors.New("its first line is not the start of a run")
		}
		if err := past.add(ctx, &e, sealer); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	if number == 0 {
		return nil, errEmpty
	}
	return past, nil
}

// errEmpty is the error of a journal without entries.
var errEmpty = errors.New("it is empty: the run was killed before it began; start the workflow again")

func (p *Past) add(ctx context.Context, e *Entry, sealer run.Sealer) error {
	switch e.Type {
	case EntryRun:
		if e.Run == nil || len(p.steps) > 0 {
			return errors.New("this is not a valid start of a run")
		}
		p.Header = *e.Run
	case EntryResume:
		p.Status = ""
		for _, name := range e.Again {
			delete(p.steps, name)
		}
	case EntryEnd:
		p.Status = e.Status
		for _, s := range p.steps {
			s.ended = e.Status != run.Succeeded
		}
	case EntryStep:
		return p.addStep(ctx, e, sealer)
	}
	return nil
}

// unsealError is the error of outputs that can't be opened, such as without the key.
type unsealError struct {
	step string
	err  error
}

func (e *unsealError) Error() string { return fmt.Sprintf("the outputs of step %s: %v", e.step, e.err) }

func (e *unsealError) Unwrap() error { return e.err }

func (p *Past) addStep(ctx context.Context, e *Entry, sealer run.Sealer) error {
	st := StepState{Status: e.Status, ExitCode: e.ExitCode, Code: e.Code, Reason: e.Reason, Outputs: e.Outputs, Artifacts: e.Artifacts}
	if e.Sealed != nil {
		handed, err := run.Unseal(ctx, sealer, e.Sealed)
		if err != nil {
			return &unsealError{e.Step, err}
		}
		st.Outputs = handed.Outputs
		p.Masked = append(p.Masked, handed.Masked...)
	}
	s := p.steps[e.Step]
	if s == nil {
		s = &pastStep{}
		p.steps[e.Step] = s
	}
	s.ended = false
	switch {
	case e.Item != nil:
		if *e.Item < 0 || *e.Item >= len(s.Items) {
			return fmt.Errorf("step %s has no item %d", e.Step, *e.Item)
		}
		s.Items[*e.Item] = st
	case e.Items != "":
		if e.Count < 0 || e.Count > maxReferencedItems {
			return fmt.Errorf("step %s has %d items", e.Step, e.Count)
		}
		if s.items != e.Items || len(s.Items) != e.Count {
			s.Items = make([]StepState, e.Count)
		}
		s.items, s.Status = e.Items, run.Running
	default:
		st.Items = s.Items
		s.StepState = st
	}
	return nil
}
