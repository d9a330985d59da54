// Package report is how tests of tools ended, as data: package tooltest makes it, and `mayfly test --json` prints it.
package report

import (
	"github.com/mayfly-run/mayfly/internal/commandmock"
	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/httpmock"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/shape"
)

// The statuses of a test.
const (
	Passed = "passed"
	Failed = "failed"
	// Errored is the status of a test that couldn't be run, without the tool being at fault.
	Errored = "error"
)

// Result says how one test ended. `mayfly test --json` prints it as one line.
type Result struct {
	Type string `json:"type"` // test
	Name string `json:"name"`
	// File and Line are the place of the test.
	File string `json:"file"`
	Line int    `json:"line"`
	// Tool or Workflow is the name of what was tested.
	Tool     string `json:"tool,omitempty"`
	Workflow string `json:"workflow,omitempty"`
	Status   string `json:"status"`
	// If Status is error, Error says why the test couldn't be run, Code says so for programs, and Problems are the places
	// in a definition that are wrong.
	Error      string          `json:"error,omitempty"`
	Code       run.Code        `json:"code,omitempty"`
	Problems   []shape.Problem `json:"problems,omitempty"`
	Failures   []Failure       `json:"failures"`
	Notes      []string        `json:"notes,omitempty"`
	DurationMS int64           `json:"duration_ms"`

	// Result is the result of the run; nil if there was no run.
	Result *run.Result `json:"result"`
	// Steps are the steps of a workflow, by their names.
	Steps map[string]StepResult `json:"steps,omitempty"`
	// Stdout and Stderr are what the tool printed, at most the first 8 MiB of each, with secrets masked. If that isn't
	// UTF-8, StdoutBase64 and StderrBase64 have it instead.
	Stdout          string `json:"stdout"`
	StdoutBase64    []byte `json:"stdout_base64,omitempty"`
	StdoutTruncated bool   `json:"stdout_truncated,omitempty"`
	Stderr          string `json:"stderr"`
	StderrBase64    []byte `json:"stderr_base64,omitempty"`
	StderrTruncated bool   `json:"stderr_truncated,omitempty"`

	Requests []httpmock.Request `json:"requests"`
	// Refused are connections on which no request came.
	Refused     []httpmock.Refusal  `json:"refused,omitempty"`
	Calls       []commandmock.Call  `json:"calls"`
	Connections []engine.Connection `json:"connections"`
	// UnusedMocks are the labels of the mocks that answered nothing.
	UnusedMocks []string `json:"unused_mocks"`
	// Recorded is the file of mocks that was written.
	Recorded string `json:"recorded,omitempty"`
}

// StepResult is how a step of a workflow ended.
type StepResult struct {
	Status   run.State         `json:"status"`
	ExitCode int               `json:"exit_code"`
	Outputs  map[string]string `json:"outputs,omitempty"`
	Code     run.Code          `json:"code,omitempty"`
	Reason   string            `json:"reason,omitempty"`
}

// The kinds of failures.
const (
	KindExitCode         = "exit_code"
	KindStatus           = "status"
	KindStdout           = "stdout"
	KindStderr           = "stderr"
	KindOutput           = "output"
	KindRequest          = "request"
	KindCommand          = "command"
	KindStep             = "step"
	KindUnmatchedRequest = "unmatched_request"
	KindUnmatchedCommand = "unmatched_command"
	KindUnusedMock       = "unused_mock"
)

// Failure is one difference from what the test expects.
type Failure struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
	// Diff is a unified diff from the expected text to the actual one, if one of them has several lines.
	Diff string `json:"diff,omitempty"`
}

// Summary is the count of all tests; `mayfly test --json` prints it as the last line.
type Summary struct {
	Type       string `json:"type"` // summary
	Tests      int    `json:"tests"`
	Passed     int    `json:"passed"`
	Failed     int    `json:"failed"`
	Errors     int    `json:"errors"`
	DurationMS int64  `json:"duration_ms"`
}

// Add counts a result.
func (s *Summary) Add(r *Result) {
	s.Tests++
	switch r.Status {
	case Passed:
		s.Passed++
	case Failed:
		s.Failed++
	default:
		s.Errors++
	}
}
