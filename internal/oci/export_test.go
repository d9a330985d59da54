//go:build linux

package oci

import (
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// EndWithin changes how long taking a sandbox down may take.
func (e *Engine) EndWithin(d time.Duration) { e.patience.end = d }

// KillWithin changes how long a process that was killed may take to end.
func (e *Engine) KillWithin(d time.Duration) { e.patience.kill = d }

// StuckRuns is what doctor says of runs that live.
func (e *Engine) StuckRuns() ([]string, error) { return e.stuckRuns() }

// Die is what a mayfly that dies does to a sandbox: its end of the socket is closed, and nothing is said.
func Die(s engine.Sandbox) error { return s.(*sandbox).control.Close() }
