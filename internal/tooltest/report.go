package tooltest

import "github.com/mayfly-run/mayfly/internal/tooltest/report"

// What package report has, under the names that it has here.
type (
	Result     = report.Result
	StepResult = report.StepResult
	Failure    = report.Failure
	Summary    = report.Summary
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
