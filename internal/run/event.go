package run

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// State is the state of a run. Only the first four are followed by another.
type State string

// These are the states of a run. Each run passes through queued, pulling (if the image must be fetched), creating and running
// in this order, as far as it gets, and ends in exactly one of the others.
const (
	Queued   State = "queued"
	Pulling  State = "pulling"
	Creating State = "creating"
	Running  State = "running"

	Succeeded   State = "succeeded"
	Failed      State = "failed"        // the tool's own non-zero exit status
	TimedOut    State = "timed_out"     // killed at its deadline
	Cancelled   State = "cancelled"     // ended by whoever started it
	OutOfMemory State = "out_of_memory" // killed for exceeding its memory limit, or for too many sockets or file locks
	Denied      State = "denied"        // refused by the operator's policy
	Error       State = "error"         // Mayfly's own failure
	Lost        State = "lost"          // its sandbox vanished
	Skipped     State = "skipped"       // a workflow's step whose condition was false
)

// Ends are the states in which a run ends. Skipped isn't one: that is a step that didn't run.
func Ends() []State {
	return []State{Succeeded, Failed, TimedOut, Cancelled, OutOfMemory, Denied, Error, Lost}
}

// States are the states of a run, in this order.
func States() []State { return append([]State{Queued, Pulling, Creating, Running}, Ends()...) }

// Event is one thing that happened in a run. Events of a run have consecutive Seq from 1. Exactly one of the pointers is set.
// In JSON its fields are beside the common fields, and "type" says which one it is.
type Event struct {
	Seq  int64
	Time time.Time // UTC
	Run  string
	Step string // the step of a workflow; empty for a tool

	State      *StateChange
	Log        *Log
	Metric     *engine.Usage
	Connection *engine.Connection
	Dropped    *Dropped
	Result     *Result
	Other      *Other // of a type that this version doesn't know
}

// eventHead has the fields that every event has in JSON.
type eventHead struct {
	Seq  int64     `json:"seq"`
	Time time.Time `json:"time"`
	Run  string    `json:"run"`
	Step string    `json:"step,omitempty"`
	Type string    `json:"type"`
}

// The types of events.
const (
	TypeState      = "state"
	TypeLog        = "log"
	TypeMetric     = "metric"
	TypeConnection = "connection"
	TypeDropped    = "dropped"
	TypeResult     = "result"
)

// These are types of events that only a run of tests has, as [Other]: package tooltest/report has their fields.
const (
	TypeTest     = "test"
	TypeRecorded = "recorded"
)

// payload returns the event's type and the pointer that is set.
func (e *Event) payload() (string, any) {
	switch {
	case e.State != nil:
		return TypeState, e.State
	case e.Log != nil:
		return TypeLog, e.Log
	case e.Metric != nil:
		return TypeMetric, e.Metric
	case e.Connection != nil:
		return TypeConnection, e.Connection
	case e.Dropped != nil:
		return TypeDropped, e.Dropped
	case e.Other != nil:
		return e.Other.Type, e.Other
	default:
		return TypeResult, e.Result
	}
}

// MarshalJSON writes the event flat, as `--json` prints it.
func (e Event) MarshalJSON() ([]byte, error) {
	kind, payload := e.payload()
	head, err := json.Marshal(eventHead{Seq: e.Seq, Time: e.Time, Run: e.Run, Step: e.Step, Type: kind})
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(payload)
	if err != nil {
		return nil, err
	}
	if string(body) == "null" {
		return nil, fmt.Errorf("event %d of run %s has no content", e.Seq, e.Run)
	}
	if string(body) == "{}" {
		return head, nil
	}
	// {"seq":…} and {"state":…} become {"seq":…,"state":…}.
	head[len(head)-1] = ','
	return append(head, body[1:]...), nil
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (e *Event) UnmarshalJSON(data []byte) error {
	var head eventHead
	if bytes.Contains(data, []byte(`"type":"log"`)) { // most events of a long run: they are read once
		var all struct {
			eventHead
			Log
		}
		if err := json.Unmarshal(data, &all); err == nil && all.Type == TypeLog {
			*e = Event{Seq: all.Seq, Time: all.Time, Run: all.Run, Step: all.Step, Log: &all.Log}
			return nil
		}
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return err
	}
	*e = Event{Seq: head.Seq, Time: head.Time, Run: head.Run, Step: head.Step}
	var into any
	switch head.Type {
	case TypeState:
		e.State = &StateChange{}
		into = e.State
	case TypeLog:
		e.Log = &Log{}
		into = e.Log
	case TypeMetric:
		e.Metric = &engine.Usage{}
		into = e.Metric
	case TypeConnection:
		e.Connection = &engine.Connection{}
		into = e.Connection
	case TypeDropped:
		e.Dropped = &Dropped{}
		into = e.Dropped
	case TypeResult:
		e.Result = &Result{}
		into = e.Result
	case "":
		return fmt.Errorf("event %d of run %s has no type", e.Seq, e.Run)
	default:
		e.Other = &Other{Type: head.Type}
		into = e.Other
	}
	return json.Unmarshal(data, into)
}

// Dropped stands for events that are missing in its place: there was no room for them until they could be sent to the server, or the runner
// that had them is lost. Nobody knows how many it had then, or whether it had any: Events and Bytes are zero.
type Dropped struct {
	Events int64 `json:"events"`
	Bytes  int64 `json:"bytes"` // of output
	// Reason says why, for people.
	Reason string `json:"reason"`
}

// Other is an event of a type that another version of Mayfly has. It is passed on as it is.
type Other struct {
	Type   string
	Fields map[string]json.RawMessage // without those that every event has
}

// MarshalJSON writes the fields.
func (o *Other) MarshalJSON() ([]byte, error) { return json.Marshal(o.Fields) }

// UnmarshalJSON reads the fields of an event.
func (o *Other) UnmarshalJSON(data []byte) error {
	o.Fields = map[string]json.RawMessage{} // of no earlier event
	if err := json.Unmarshal(data, &o.Fields); err != nil {
		return err
	}
	// Names are read without regard to their case, so another TYPE would take the place of the event's.
	for name := range o.Fields {
		same := func(own string) bool { return strings.EqualFold(own, name) } // as package json does: also seq and \u017feq
		if slices.ContainsFunc([]string{"seq", "time", "run", "step", "type"}, same) {
			delete(o.Fields, name)
		}
	}
	return nil
}

// StateChange is the entry into a state.
type StateChange struct {
	State State `json:"state"`
	// Detail has more for people: the image that is pulled, or when the next attempt begins, and why.
	Detail string `json:"detail,omitempty"`
	// Attempt is the number of the attempt, from 1, if the tool may be retried.
	Attempt int `json:"attempt,omitempty"`
}

// Log is a piece of the tool's output, with secrets masked. Pieces are in order. A piece need not be a line; all pieces of a
// stream together are its bytes.
type Log struct {
	Stream string `json:"stream"` // stdout or stderr
	// Exactly one is set: Data for UTF-8, DataBase64 (standard encoding) for
	// anything else.
	Data       string `json:"data,omitempty"`
	DataBase64 []byte `json:"data_base64,omitempty"`
}

// NewLog returns a piece with this content, which stays the caller's.
func NewLog(stream string, content []byte) *Log {
	if utf8.Valid(content) {
		return &Log{Stream: stream, Data: string(content)}
	}
	return &Log{Stream: stream, DataBase64: bytes.Clone(content)}
}

// Bytes returns the piece's content.
func (l *Log) Bytes() []byte {
	if l.DataBase64 != nil {
		return l.DataBase64
	}
	return []byte(l.Data)
}

// Timeline has the time of each state that the run reached.
type Timeline struct {
	Queued   time.Time `json:"queued,omitzero"`
	Pulling  time.Time `json:"pulling,omitzero"`
	Creating time.Time `json:"creating,omitzero"`
	Started  time.Time `json:"started,omitzero"`
	Finished time.Time `json:"finished,omitzero"`
}

// Result is how a run ended.
type Result struct {
	Status State `json:"status"`
	// ExitCode is the exit status of `mayfly run`: the tool's own, one of the constants Exit…, or the status for a signal
	// ([engine.ExitSignal]).
	ExitCode int `json:"exit_code"`
	// Code is the reason for programs, and Reason the reason for people; both are empty for a success.
	Code   Code   `json:"code,omitempty"`
	Reason string `json:"reason"`
	// Hint says what to do about it; it may be empty.
	Hint string `json:"hint,omitempty"`
	// Outputs have their secrets masked, except in the result of a single tool that was run on this machine.
	Outputs map[string]string `json:"outputs"`
	// Handed is a sealed [Handed] for later runs; nil if no secret can be in it. Events don't have it.
	Handed []byte `json:"handed,omitempty"`
	// Artifacts are the digests of a succeeded run's artifacts, by name. Events don't have them.
	Artifacts map[string]string `json:"artifacts,omitempty"`
	// Image is what ran: repository@sha256:….
	Image      string       `json:"image"`
	Timeline   Timeline     `json:"timeline"`
	Usage      engine.Usage `json:"usage"`
	DurationMS int64        `json:"duration_ms"` // from queued to finished
	// Attempts is the number of times that the tool was started, if it may be retried.
	Attempts int `json:"attempts,omitempty"`
	// DeniedConnections are the destinations that the network policy refused, without repeats, each with the rule that would allow it.
	DeniedConnections []engine.Connection `json:"denied_connections,omitempty"`
	// Kept says that the failed sandbox was kept, for mayfly shell KEPTID.
	Kept bool `json:"kept,omitempty"`
	// KeptID is the id of the kept sandbox: that of the run, or of its last attempt.
	KeptID string `json:"kept_id,omitempty"`
	// Trusting are the tool's own files and variables with certificates to which a test's authority was added.
	Trusting []string `json:"trusting,omitempty"`
	// MayRunItself are a test's mocked commands that the tool's shell may have built in, and so may not look for in PATH.
	MayRunItself []string `json:"may_run_itself,omitempty"`
	// Steps are the results of a workflow's steps, in the order of its definition, with those of finally last.
	Steps []StepResult `json:"steps,omitempty"`
}

// StepResult is how a step of a workflow ended.
type StepResult struct {
	Step     string    `json:"step"`
	Status   State     `json:"status"`
	ExitCode int       `json:"exit_code"`
	Code     Code      `json:"code,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	Started  time.Time `json:"started,omitzero"`
	Finished time.Time `json:"finished,omitzero"`
	// Items is the number of items of a step with for_each.
	Items int `json:"items,omitempty"`
	// Resumed says that the step had succeeded before this run was resumed.
	Resumed bool `json:"resumed,omitempty"`
}
