package run

import "github.com/mayfly-run/mayfly/internal/engine"

// Exit statuses of `mayfly` that aren't a tool's own. They and those of package engine are the only ones; TestExitStatuses
// finds numbers that are written instead of them.
const (
	ExitFailed        = 1 // of mayfly test, validate and doctor: what they look at isn't as it should be
	ExitTimedOut      = 124
	ExitError         = engine.ExitFailure
	ExitNotExecutable = engine.ExitNotExecutable
	ExitNotFound      = engine.ExitNotFound
	ExitCancelled     = engine.ExitInterrupted // as a shell's after Ctrl-C
	ExitOutOfMemory   = engine.ExitKilled      // the kernel kills what has no memory left
)
