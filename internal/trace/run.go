package trace

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/mayfly-run/mayfly/internal/run"
)

// The attributes of spans.
const (
	runKey     = attribute.Key("mayfly.run")
	projectKey = attribute.Key("mayfly.project")
	toolKey    = attribute.Key("mayfly.tool")
	kindKey    = attribute.Key("mayfly.kind")
	stepKey    = attribute.Key("mayfly.step")
	attemptKey = attribute.Key("mayfly.attempt")
	tryKey     = attribute.Key("mayfly.try")
	runnerKey  = attribute.Key("mayfly.runner")
	statusKey  = attribute.Key("mayfly.status")
	exitKey    = attribute.Key("mayfly.exit_code")
	codeKey    = attribute.Key("mayfly.code")
)

// Run is a run that has ended.
type Run struct {
	ID            string
	Parent, Step  string // of a step of a workflow: its run, and the step
	Project, Tool string
	Workflow      bool
	Attempt       int // the last one
	Status        run.State
	ExitCode      int
	Code          run.Code
	Accepted      time.Time
	Started       time.Time // when a runner had it first; zero if none has
	Finished      time.Time
}

// Ended sends the span of a run that has ended, and that of its time in the queue.
func (t *Tracer) Ended(r Run) {
	if t == nil {
		return
	}
	span := t.begin(r.ID, r.Parent, trace.WithTimestamp(r.Accepted), trace.WithAttributes(
		runKey.String(r.ID), projectKey.String(r.Project), toolKey.String(r.Tool), kindKey.String("tool"), attemptKey.Int(r.Attempt)))
	if !span.IsRecording() {
		return
	}
	if r.Step != "" {
		span.SetAttributes(stepKey.String(r.Step))
	}
	if r.Workflow { // which doesn't wait
		span.SetAttributes(kindKey.String("workflow"))
	} else {
		until := r.Started
		if until.IsZero() {
			until = r.Finished
		}
		_, queued := t.tracer.Start(trace.ContextWithSpan(context.Background(), span), "queued", trace.WithTimestamp(r.Accepted))
		queued.End(trace.WithTimestamp(until))
	}
	result(span, r.Status, r.ExitCode, r.Code)
	span.End(trace.WithTimestamp(r.Finished))
}

// begin begins the span of a run. One that isn't ended isn't sent.
func (t *Tracer) begin(id, parent string, o ...trace.SpanStartOption) trace.Span {
	ctx := context.WithValue(context.Background(), idsKey{}, idsOf(id, parent))
	if parent != "" {
		ctx = trace.ContextWithRemoteSpanContext(ctx, t.begin(parent, "").SpanContext())
	}
	_, span := t.tracer.Start(ctx, "run", o...)
	return span
}

// result says in a span how what it stands for has ended.
func result(span trace.Span, status run.State, exitCode int, code run.Code) {
	span.SetAttributes(statusKey.String(string(status)), exitKey.Int(exitCode))
	if code != "" {
		span.SetAttributes(codeKey.String(string(code)))
	}
	if status != run.Succeeded {
		span.SetStatus(codes.Error, string(code))
	}
}

// traceparent is the header of that name, and what a server tells a runner.
const traceparent = "traceparent"

// Parent returns the W3C traceparent of a run, for the runner that gets it. parent is the workflow's run if it is a step.
func (t *Tracer) Parent(id, parent string) string {
	if t == nil {
		return ""
	}
	c := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(trace.ContextWithSpan(context.Background(), t.begin(id, parent)), c)
	return c[traceparent]
}
