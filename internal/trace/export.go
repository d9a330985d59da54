package trace

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// exporter sends spans, and says in the log if it can't. Spans that weren't sent are lost.
type exporter struct {
	sdktrace.SpanExporter
	log *slog.Logger

	mu   sync.Mutex
	said time.Time // when it last said so
	lost int       // how many spans since
}

// ExportSpans implements sdktrace.SpanExporter. It returns no error, since the caller only logs it, each one.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if err := e.SpanExporter.ExportSpans(ctx, spans); err != nil {
		e.warn("traces can't be sent", err, len(spans))
	}
	return nil
}

const (
	// warnEvery is how often the log says at most that something is wrong with traces.
	warnEvery = time.Minute
	// mostError bounds what it says, in bytes: the receiver's answer is in it.
	mostError = 300
)

func (e *exporter) warn(what string, err error, lost int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.lost += lost; !e.said.IsZero() && time.Since(e.said) < warnEvery {
		return
	}
	text := err.Error()
	if len(text) > mostError {
		text = strings.ToValidUTF8(text[:mostError], "") + "…"
	}
	e.log.Warn(what, "error", text, "lost_spans", e.lost)
	e.said, e.lost = time.Now(), 0
}
