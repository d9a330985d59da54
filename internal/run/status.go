package run

import "github.com/mayfly-run/mayfly/internal/engine"

// These are the exit statuses of `mayfly` that aren't a tool's own. They and those of package engine are the only ones;
// TestExitStatuses finds numbers that are written in their place.
const (
	ExitFailed        = 1 // of mayfly test, validate and doctor: they found a problem
	ExitTimedOut      = 124
	ExitError         = engine.ExitFailure
	ExitNotExecutable = engine.ExitNotExecutable
	ExitNotFound      = engine.ExitNotFound
	ExitCancelled     = engine.ExitInterrupted // like a shell after Ctrl-C
	ExitOutOfMemory   = engine.ExitKilled      // the kernel kills processes that have no memory left
)
