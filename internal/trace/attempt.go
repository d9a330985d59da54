package trace

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/mayfly-run/mayfly/internal/run"
)

// Carried is what a runner carries out.
type Carried struct {
	Parent        string // what the server's Parent returned; empty if it sends no traces
	Run           string
	Project, Tool string // Tool may be empty
	Number        int    // of the attempt
	Runner        string
}

// Attempt is the span of an attempt with those of its states. A nil Attempt has none.
type Attempt struct {
	t    *Tracer
	span trace.Span

	mu    sync.Mutex
	state trace.Span // the one that it is in, or nil
}

// Attempt begins the span of an attempt.
func (t *Tracer) Attempt(c Carried) *Attempt {
	if t == nil {
		return nil
	}
	ctx := remote(context.Background(), propagation.MapCarrier{traceparent: c.Parent})
	_, span := t.tracer.Start(ctx, "attempt", trace.WithAttributes(
		runKey.String(c.Run), projectKey.String(c.Project), attemptKey.Int(c.Number), runnerKey.String(c.Runner)))
	if c.Tool != "" {
		span.SetAttributes(toolKey.String(c.Tool))
	}
	return &Attempt{t: t, span: span}
}

// Event takes note of an event of the attempt.
func (a *Attempt) Event(e run.Event) {
	if a == nil || e.State == nil || !a.span.IsRecording() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.endState(e.Time)
	switch e.State.State {
	case run.Pulling, run.Creating, run.Running:
		_, a.state = a.t.tracer.Start(trace.ContextWithSpan(context.Background(), a.span), string(e.State.State), trace.WithTimestamp(e.Time))
		if e.State.Attempt > 0 {
			a.state.SetAttributes(tryKey.Int(e.State.Attempt))
		}
	}
}

// endState ends the span of the present state. The caller holds a.mu.
func (a *Attempt) endState(at time.Time) {
	if a.state != nil {
		a.state.End(trace.WithTimestamp(at))
		a.state = nil
	}
}

// End ends the attempt.
func (a *Attempt) End(r *run.Result) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.endState(time.Now())
	result(a.span, r.Status, r.ExitCode, r.Code)
	a.span.End()
}
