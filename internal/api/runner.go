package api

import (
	"time"

	"github.com/mayfly-run/mayfly/internal/run"
)

// Protocol is the version of what a runner and a server say to each other. A server takes runners of its own version and of the
// versions next to it.
const Protocol = 1

// Hello is the first message of a runner. NAME is its name, and INSTANCE a random text of its process or state folder, which
// only it and the server know.
//
//	runner                                        server
//	POST /runner/NAME/INSTANCE/messages  Hello ->
//	                                           <- Message, Message, …    one JSON object a line, the first with a Session
//	POST /runner/NAME/INSTANCE/reports         ->  events of an attempt, and its result with the last ones;
//	                                               as ReportLines, if the Session says so
//	                                           <-  Receipt
//	POST /runner/NAME/INSTANCE/heartbeat       ->  what it still works on
//	                                           <-  Pulse
//	GET  /runner/NAME/INSTANCE/contents/DIGEST ->  that an attempt needs which it holds
//	PUT  /runner/NAME/INSTANCE/contents/DIGEST ->  an artifact, before the report with the result that names it
//	GET  /runner/NAME/INSTANCE/shells/ID       ->  a WebSocket, for the shell that a message with this ID asks for
type Hello struct {
	Protocol int      `json:"protocol"`
	Name     string   `json:"-"`
	Version  string   `json:"version"` // of mayfly
	Labels   []string `json:"labels,omitempty"`
	Slots    int      `json:"slots"` // how many attempts it takes at once
	// Capacity is what its machine has for runs.
	Capacity Capacity `json:"capacity,omitzero"`
	// Key is an age recipient (X25519): the secrets of its attempts are encrypted for it.
	Key string `json:"key"`
	// Tests says that it knows requests with tests. Another runner gets none: it has nothing to run of them.
	Tests bool `json:"tests,omitempty"`
	// Keeps says that it keeps sandboxes of failed tools, and opens shells in them. Another runner gets no runs that ask for that.
	Keeps bool `json:"keeps,omitempty"`
	// Kept are the sandboxes that it keeps now.
	Kept []KeptRun `json:"kept,omitempty"`
	// Holds are the attempts that it has from before, if it had lost its connection.
	Holds []Holding `json:"holds,omitempty"`
}

// Capacity is what a runner has for runs; 0 is any number. It gets no more runs at once than fit, by what their definitions ask for.
type Capacity struct {
	CPU    float64 `json:"cpu,omitempty" doc:"processors"`
	Memory int64   `json:"memory,omitempty" doc:"bytes"`
	Disk   int64   `json:"disk,omitempty" doc:"bytes that runs may write"`
}

// KeptRun is a run whose sandbox a runner keeps.
type KeptRun struct {
	Run   string    `json:"run"`
	Until time.Time `json:"until"`
}

// Session says how a runner keeps its attempts.
type Session struct {
	HeartbeatSeconds int `json:"heartbeat_seconds"` // how often it must say that it is alive
	LeaseSeconds     int `json:"lease_seconds"`     // how long it keeps its attempts without saying so
	// Lines says that the server also takes reports as ReportLines.
	Lines bool `json:"lines,omitempty"`
}

// Holding names an attempt that a runner holds.
type Holding struct {
	Run     string `json:"run"`
	Attempt int    `json:"attempt"`
}

// Message is what the server tells a runner. Exactly one of the fields is set.
type Message struct {
	Session *Session    `json:"session,omitempty"`
	Assign  *Assignment `json:"assign,omitempty"`
	Cancel  *Holding    `json:"cancel,omitempty" doc:"end the attempt: TERM, and KILL after its grace"`
	Drain   bool        `json:"drain,omitempty" doc:"take nothing new, and end when idle"`
	Shell   *OpenShell  `json:"shell,omitempty" doc:"open a shell in a sandbox that is kept"`
	Remove  string      `json:"remove,omitempty" doc:"remove the sandbox of this run that is kept"`
	Alive   bool        `json:"alive,omitempty" doc:"shows that the connection works"`
}

// Assignment is one attempt of a run, with all that a runner needs for it except contents, which it fetches by digest.
type Assignment struct {
	Holding
	Project string `json:"project"`
	// Tool is what the server knows the tool by; empty for a definition that came with its request.
	Tool string `json:"tool,omitempty"`
	// Policy is the project's, which the runner enforces beside that of its host.
	Policy *AssignedPolicy `json:"policy,omitempty"`
	// Request is the run; Sealed has it instead, as JSON that is encrypted for the runner's key (age), if it may have a secret.
	Request *run.Request `json:"request,omitempty"`
	Sealed  []byte       `json:"sealed,omitempty"`
	// SealFor, unless empty, is the key (age, X25519) for which the runner encrypts what the run hands on: it is a step of a workflow.
	SealFor string `json:"seal_for,omitempty"`
	// Secrets are the values of the tool's secrets by name, a JSON object of base64 that is encrypted for the runner's key (age).
	Secrets []byte `json:"secrets,omitempty"`
	// Traceparent, unless empty, is the W3C traceparent of the run, below which the runner's spans belong.
	Traceparent string `json:"traceparent,omitempty"`
	// Problem, if not empty, says why the attempt can't be carried out.
	Problem string `json:"problem,omitempty"`
}

// Report is a batch of an attempt's events, numbered within the attempt. It may be sent again.
type Report struct {
	Holding
	First  int64       `json:"first" minimum:"1" doc:"the number of the first event; with no events, of the next one"`
	Events []run.Event `json:"events,omitempty"`
	// Result is how the attempt ended; no report follows it.
	Result *run.Result `json:"result,omitempty"`
}

// ReportLines is the type of a report as lines of JSON: first the report without events, and then each event, as mayfly run --json prints
// it, with its number in the attempt.
const ReportLines = "application/x-ndjson"

// Receipt is the answer to a report.
type Receipt struct {
	// Last is the number of the last event of the attempt that the server has.
	Last int64 `json:"last"`
	// Ended says that the server has the result.
	Ended bool `json:"ended,omitempty"`
}

// Heartbeat says which attempts a runner works on.
type Heartbeat struct {
	Hello
	// Leaving says that the runner has drained and ends.
	Leaving bool `json:"leaving,omitempty"`
}

// Pulse is the answer to a heartbeat.
type Pulse struct {
	// Lost are the attempts that belong to the runner no longer.
	Lost []Holding `json:"lost,omitempty"`
	// Cancel are those whose end was asked for.
	Cancel []Holding `json:"cancel,omitempty"`
	Drain  bool      `json:"drain,omitempty"`
}

// Runner is a runner as the server knows it.
type Runner struct {
	Name     string    `json:"name"`
	Pool     string    `json:"pool"`
	Labels   []string  `json:"labels,omitempty"`
	Version  string    `json:"version"`
	Slots    int       `json:"slots"`
	Busy     int       `json:"busy"`
	Capacity Capacity  `json:"capacity,omitzero"`
	Used     Capacity  `json:"used,omitzero" doc:"what the runs that it has ask for"`
	Runs     []string  `json:"runs" doc:"the ids of the runs that it has; for a project, only its own"`
	State    string    `json:"state" enum:"ready,draining,away"`
	LastSeen time.Time `json:"last_seen"`
}
