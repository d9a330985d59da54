package show

import (
	"fmt"
	"strings"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/run"
)

// This file has the words for what happens in a run, which all views share.

// noteText is what people need to know of a step's event, or "".
func noteText(e run.Event) string {
	switch {
	case e.Step == "":
		return ""
	case e.Connection != nil && !e.Connection.Allowed:
		return "refused: " + deniedText(e.Connection)
	case e.Dropped != nil:
		return droppedText(e.Dropped)
	case e.State == nil:
		return ""
	case e.State.State == run.Pulling:
		return "pulling " + e.State.Detail
	case e.State.State == run.Queued && e.State.Attempt > 1, e.State.State == run.Creating && e.State.Attempt > 1:
		return attemptText(e.State)
	case e.State.State == run.Running && e.State.Attempt <= 1:
		return strings.TrimSpace("started " + e.State.Detail)
	}
	return ""
}

// deniedText says which connection was refused, why, and what would allow it.
func deniedText(c *engine.Connection) string {
	target := c.Address
	if c.Host != "" && c.Host != c.Address {
		target = network.HostText(c.Host)
		if c.Address != "" {
			target += " (" + c.Address + ")"
		}
	}
	if c.Port != 0 {
		target = fmt.Sprintf("%s port %d", target, c.Port)
	}
	text := fmt.Sprintf("%s %s: %s", c.Protocol, target, c.Reason)
	if c.Remedy != "" {
		text += "; " + c.Remedy
	}
	return text
}

// droppedText says what is missing of a log, and why.
func droppedText(d *run.Dropped) string {
	if d.Events == 0 {
		return "events may be missing here: " + d.Reason
	}
	return fmt.Sprintf("%d events with %s of output are missing here: %s", d.Events, Size(d.Bytes), d.Reason)
}

// attemptText announces another attempt: when, and why.
func attemptText(s *run.StateChange) string {
	return strings.TrimSpace(fmt.Sprintf("attempt %d %s", s.Attempt, s.Detail))
}

// endText says how a step ended.
func endText(r *run.Result) string {
	text := string(r.Status)
	if r.DurationMS > 0 {
		text += " in " + durationText(time.Duration(r.DurationMS)*time.Millisecond)
	}
	if r.Reason != "" && r.Reason != string(r.Status) {
		text += ": " + r.Reason
	}
	if r.Hint != "" {
		text += "; " + r.Hint
	}
	if r.Kept {
		text += "; look inside with: mayfly shell " + r.KeptID
	}
	return text
}
