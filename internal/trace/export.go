package trace

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// exporter sends spans, and says in the log if it can't. Spans that weren't sent are lost.
type exporter struct {
	sdktrace.SpanExporter
	log *slog.Logger

	mu      sync.Mutex
	waiting int       // spans that have ended and weren't sent
	said    time.Time // when it last said so
	lost    int       // how many spans since
	over    bool      // all was said
}

// ExportSpans implements sdktrace.SpanExporter. It returns no error, since the caller only logs it, each one.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.waiting -= len(spans)
	if err != nil {
		e.warn("traces can't be sent", err, len(spans))
	}
	return nil
}

// bounded has an exporter say so of spans for which there is no room: the processor behind it, which has room for as many, drops them without
// a word.
type bounded struct {
	sdktrace.SpanProcessor
	exporter *exporter
	most     int
}

var errFull = errors.New("more spans end than can be sent; set OTEL_BSP_MAX_QUEUE_SIZE, or record fewer of them")

// OnEnd implements sdktrace.SpanProcessor.
func (b *bounded) OnEnd(s sdktrace.ReadOnlySpan) {
	if !s.SpanContext().IsSampled() {
		return
	}
	if b.exporter.mayWait(b.most) {
		b.SpanProcessor.OnEnd(s)
	}
}

func (e *exporter) mayWait(most int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.waiting == most {
		e.warn("traces are lost", errFull, 1)
		return false
	}
	e.waiting++
	return true
}

// mostWaiting is how many spans may wait.
func mostWaiting() int {
	if n, err := strconv.Atoi(os.Getenv("OTEL_BSP_MAX_QUEUE_SIZE")); err == nil && n > 0 {
		return n
	}
	return sdktrace.DefaultMaxQueueSize
}

const (
	// warnEvery is how often the log says at most that something is wrong with traces.
	warnEvery = time.Minute
	// mostError bounds what it says, in bytes: the receiver's answer is in it.
	mostError = 300
)

// warn is called with the lock.
func (e *exporter) warn(what string, err error, lost int) {
	if e.lost += lost; e.over || !e.said.IsZero() && time.Since(e.said) < warnEvery {
		return
	}
	text := err.Error()
	if len(text) > mostError {
		text = strings.ToValidUTF8(text[:mostError], "") + "…"
	}
	e.log.Warn(what, "error", text, "lost_spans", e.lost)
	e.said, e.lost = time.Now(), 0
}

// end says how many spans were lost since it was said last, with those that still wait.
func (e *exporter) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if lost := e.lost + e.waiting; lost > 0 {
		e.log.Warn("traces were not sent", "lost_spans", lost)
	}
	e.over = true
}
