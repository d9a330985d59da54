package run

import (
	"time"

	"github.com/google/uuid"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// DefaultGrace is the default time between TERM and KILL.
const DefaultGrace = 10 * time.Second

// NewID returns a new run id: a UUIDv7, so that ids sort by time.
func NewID() string { return uuid.Must(uuid.NewV7()).String() }

// Request is a request to run a tool.
type Request struct {
	// ID is the run's id; if empty, the runner makes a new UUIDv7.
	ID   string     `json:"id,omitempty"`
	Tool *tool.Tool `json:"tool"`
	// Tests, unless nil, are carried out instead of Tool, which is nil then. Only package testrun knows them.
	Tests *Tests `json:"tests,omitempty"`
	// Step is the step of a workflow that the tool runs for, if any.
	Step string `json:"step,omitempty"`
	// Project is the owner of the tool's caches, together with the tool's name. If it is empty, the owner is the tool's
	// folder. A caller that runs tools for others, such as a server, must set it.
	Project string `json:"project,omitempty"`
	// Inputs are the values for the tool's args: text as on a command line, or typed values. JSON keeps their types.
	Inputs Values `json:"inputs,omitempty"`
	// Shared overrides the tool's variables, given inputs override Shared, and Environment overrides everything. Their values
	// never refer to secrets.
	Shared      []tool.EnvVar `json:"shared,omitempty"`
	Environment []tool.EnvVar `json:"environment,omitempty"`
	// Artifacts are folders that the tool gets from earlier runs, or makes for later ones.
	Artifacts []Artifact `json:"artifacts,omitempty"`
	// Masked is a sealed [Handed] with secrets of earlier runs, which are masked in addition to the tool's own.
	Masked []byte `json:"masked,omitempty"`
	// Given are the names of the secrets that this run alone was given, instead of those of its project.
	Given []string `json:"given,omitempty"`
	// Grace is the time between TERM and KILL; zero kills immediately.
	Grace time.Duration `json:"grace"`
	// KeepFor keeps the sandbox of a failed tool; see engine.Spec.
	KeepFor  time.Duration `json:"keep_for,omitempty"`
	Terminal bool          `json:"terminal,omitempty"`
	Columns  uint16        `json:"columns,omitempty"`
	Rows     uint16        `json:"rows,omitempty"`
	// Mocks says what is mocked for a test's tool; Watch.Mocks answers.
	Mocks *engine.Mocks `json:"mocks,omitempty"`
}

// Artifact is a folder of a sandbox that outlives it. A run makes it when it succeeds, or gets an existing one.
type Artifact struct {
	Name   string `json:"name"`
	Target string `json:"target"` // in the sandbox
	Made   bool   `json:"made,omitempty"`
	// Digest identifies the one it gets, as sha256:HEX. The digests of those it makes are in the result.
	Digest string `json:"digest,omitempty"`
}
