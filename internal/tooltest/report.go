package tooltest

import "github.com/mayfly-run/mayfly/internal/tooltest/report"

// The results of tests are data of package report, which what shows them needs alone.
type (
	// Result is that of one test.
	Result = report.Result
	// StepResult is that of a workflow's step.
	StepResult = report.StepResult
	// Failure is one expectation that doesn't hold.
	Failure = report.Failure
	// Summary counts the results of a run of tests.
	Summary = report.Summary
)

// The statuses of a test.
const (
	Passed  = report.Passed
	Failed  = report.Failed
	Errored = report.Errored
)

// The kinds of failures.
const (
	KindExitCode         = report.KindExitCode
	KindStatus           = report.KindStatus
	KindStdout           = report.KindStdout
	KindStderr           = report.KindStderr
	KindOutput           = report.KindOutput
	KindRequest          = report.KindRequest
	KindCommand          = report.KindCommand
	KindStep             = report.KindStep
	KindUnmatchedRequest = report.KindUnmatchedRequest
	KindUnmatchedCommand = report.KindUnmatchedCommand
	KindUnusedMock       = report.KindUnusedMock
)
