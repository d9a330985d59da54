package run

import (
	"time"

	"github.com/google/uuid"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// DefaultGrace is how long a tool has between TERM and KILL, unless somebody
// says otherwise.
const DefaultGrace = 10 * time.Second

// NewID returns a new run id: a UUIDv7, so that ids sort by time.
func NewID() string { return uuid.Must(uuid.NewV7()).String() }

// Request is what somebody asks to run.
type Request struct {
	// ID is the run's id; a new UUIDv7 when empty.
	ID   string     `json:"id,omitempty"`
	Tool *tool.Tool `json:"tool"`
	// Step is the step of a workflow that the tool runs for, if any.
	Step string `json:"step,omitempty"`
	// Project is whose caches the tool has, together with its name; when it is
	// empty, that of the tool's folder. Who runs tools for others, as a server
	// does, names theirs.
	Project string `json:"project,omitempty"`
	// Inputs are the values for the tool's args: text as it stands on a
	// command line, or typed values. They are sent with their types.
	Inputs Values `json:"inputs,omitempty"`
	// Shared overrides the tool's variables, and is overridden by inputs that are
	// given; Environment overrides all. Values are never read as references to
	// secrets.
	Shared      []tool.EnvVar `json:"shared,omitempty"`
	Environment []tool.EnvVar `json:"environment,omitempty"`
	// Artifacts are folders that the tool gets from runs before it, or hands to later ones.
	Artifacts []Artifact `json:"artifacts,omitempty"`
	// Masked are values that are masked beside the tool's own secrets, since they came from runs before it: a sealed
	// [Handed].
	Masked []byte `json:"masked,omitempty"`
	// Grace is the time between TERM and KILL; zero kills at once.
	Grace time.Duration `json:"grace"`
	// KeepFor keeps the sandbox of a failed tool; see engine.Spec.
	KeepFor  time.Duration `json:"keep_for,omitempty"`
	Terminal bool          `json:"terminal,omitempty"`
	Columns  uint16        `json:"columns,omitempty"`
	Rows     uint16        `json:"rows,omitempty"`
	// Mocks says what of a test's tool is mocked; Watch.Mocks answers.
	Mocks *engine.Mocks `json:"mocks,omitempty"`
}

// Artifact is a folder of a sandbox that outlives it: a run makes it, once it has succeeded, or gets one that is there.
type Artifact struct {
	Name   string `json:"name"`
	Target string `json:"target"` // in the sandbox
	Made   bool   `json:"made,omitempty"`
	// Digest says which one it gets, as sha256:HEX; the result has those of what was made.
	Digest string `json:"digest,omitempty"`
}
