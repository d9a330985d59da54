package trace

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Request begins the span of a request of the API, in the trace that its headers name, if any. end ends it.
func (t *Tracer) Request(ctx context.Context, h http.Header, method, operation string) (_ context.Context, end func(status int)) {
	if t == nil {
		return ctx, func(int) {}
	}
	ctx, span := t.tracer.Start(remote(ctx, propagation.HeaderCarrier(h)), operation, trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String("http.request.method", method)))
	return ctx, func(status int) {
		span.SetAttributes(attribute.Int("http.response.status_code", status))
		if status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}

// remote returns ctx with the parent that a traceparent names. A tracestate is left out: it has any text, and nothing is sent on to others.
func remote(ctx context.Context, c propagation.TextMapCarrier) context.Context {
	parent := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), c))
	if !parent.IsValid() {
		return ctx
	}
	return trace.ContextWithRemoteSpanContext(ctx, parent.WithTraceState(trace.TraceState{}))
}

// InProject says in the span of a request which project it is about. It is called for requests that may be made, so that nobody else
// chooses what a span has.
func InProject(ctx context.Context, project string) {
	if span := trace.SpanFromContext(ctx); project != "" && span.IsRecording() {
		span.SetAttributes(projectKey.String(project))
	}
}

// Accepted says in the span of a request that it has made a run.
func Accepted(ctx context.Context, run string) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	i := idsOf(run, "")
	span.SetAttributes(runKey.String(run))
	span.AddLink(trace.Link{SpanContext: trace.NewSpanContext(trace.SpanContextConfig{TraceID: i.trace, SpanID: i.span, Remote: true})})
}
