package trace

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"

	"go.opentelemetry.io/otel/trace"
)

// ids are those of a span.
type ids struct {
	trace trace.TraceID
	span  trace.SpanID
}

// idsOf returns the ids of the span of a run, which is a step of the run parent unless that is empty.
func idsOf(run, parent string) ids {
	own := hashed(run)
	if parent != "" {
		own.trace = hashed(parent).trace
	}
	return own
}

func hashed(run string) (i ids) {
	sum := sha256.Sum256([]byte("mayfly run " + run))
	copy(i.trace[:], sum[:16])
	copy(i.span[:], sum[16:])
	return i
}

// generator gives a span the ids of its context, and any other one random ids.
type generator struct{}

type idsKey struct{}

// NewIDs implements sdktrace.IDGenerator.
func (g generator) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	if i, ok := ctx.Value(idsKey{}).(ids); ok {
		return i.trace, i.span
	}
	var i ids
	for !i.trace.IsValid() {
		binary.NativeEndian.PutUint64(i.trace[:8], rand.Uint64())
		binary.NativeEndian.PutUint64(i.trace[8:], rand.Uint64())
	}
	return i.trace, g.NewSpanID(ctx, i.trace)
}

// NewSpanID implements sdktrace.IDGenerator.
func (g generator) NewSpanID(ctx context.Context, _ trace.TraceID) (id trace.SpanID) {
	if i, ok := ctx.Value(idsKey{}).(ids); ok {
		return i.span
	}
	for !id.IsValid() {
		binary.NativeEndian.PutUint64(id[:], rand.Uint64())
	}
	return id
}
