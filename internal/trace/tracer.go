package trace

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Options of a tracer.
type Options struct {
	// Service is the name of the service unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES has another one.
	Service string
	Version string // of the program
	Log     *slog.Logger
}

// Tracer makes spans and sends them in the background. Its methods may be called from several goroutines. A nil Tracer makes none.
type Tracer struct {
	tracer   trace.Tracer
	provider *sdktrace.TracerProvider
	exporter *exporter
}

// Open returns a tracer that sends to where the environment says, or nil if it says nothing. What is wrong with the environment is logged:
// it is no reason not to serve.
func Open(ctx context.Context, o Options) *Tracer {
	to, err := endpoint()
	if err == nil && to == "" {
		return nil
	}
	var t *Tracer
	if err == nil {
		t, err = open(ctx, o)
	}
	if err != nil {
		o.Log.Warn("no traces are sent", "error", err)
		return nil
	}
	o.Log.Info("traces", "to", to)
	return t
}

func open(ctx context.Context, o Options) (*Tracer, error) {
	out := &exporter{log: o.Log}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		out.mu.Lock()
		defer out.mu.Unlock()
		out.warn("OpenTelemetry", err, 0)
	}))
	otel.SetLogger(logr.FromSlogHandler(unnamed{o.Log.Handler()}))
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(attribute.String("service.name", o.Service), attribute.String("service.version", o.Version)),
		resource.WithFromEnv()) // the later one wins
	if err != nil {
		return nil, err
	}
	if out.SpanExporter, err = otlptracehttp.New(ctx); err != nil {
		return nil, err
	}
	most := mostWaiting()
	sending := &bounded{sdktrace.NewBatchSpanProcessor(out, sdktrace.WithMaxQueueSize(most)), out, most}
	p := sdktrace.NewTracerProvider(sdktrace.WithResource(about), sdktrace.WithIDGenerator(generator{}), sdktrace.WithSpanProcessor(sending))
	return &Tracer{tracer: p.Tracer("github.com/mayfly-run/mayfly"), provider: p, exporter: out}, nil
}

// unnamed leaves out what OpenTelemetry's own messages are about: the variables that it can't read may have tokens and passwords.
type unnamed struct{ slog.Handler }

func (u unnamed) Handle(ctx context.Context, r slog.Record) error {
	bare := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		if a.Key != "input" && a.Key != "value" && a.Key != "url" {
			bare.AddAttrs(a)
		}
		return true
	})
	return u.Handler.Handle(ctx, bare)
}

func (u unnamed) WithAttrs(attrs []slog.Attr) slog.Handler {
	return unnamed{u.Handler.WithAttrs(slices.DeleteFunc(slices.Clone(attrs), func(a slog.Attr) bool { return a.Key == "input" || a.Key == "value" || a.Key == "url" }))}
}

func (u unnamed) WithGroup(name string) slog.Handler { return unnamed{u.Handler.WithGroup(name)} }

// endpoint is where traces go, for people; it is empty if they are off. The exporter reads the same variables, and takes its default for
// what it can't read.
func endpoint() (string, error) {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") || os.Getenv("OTEL_TRACES_EXPORTER") == "none" {
		return "", nil
	}
	name, text := first("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
	if text == "" {
		return "", nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || !slices.Contains([]string{"http", "https"}, strings.ToLower(u.Scheme)) {
		return "", fmt.Errorf("%s is not an address such as http://localhost:4318", name) // without it: it may have a password
	}
	if name, protocol := first("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"); protocol == "grpc" {
		return "", fmt.Errorf("%s is grpc; set it to http/protobuf, and the port to that of OTLP over HTTP, 4318 as a rule", name)
	}
	return u.Scheme + "://" + u.Host, nil
}

// first returns the first of these variables that is set.
func first(names ...string) (name, value string) {
	for _, name := range names {
		if value := strings.TrimSpace(os.Getenv(name)); value != "" {
			return name, value
		}
	}
	return "", ""
}

// lastSpans is for how long a process that ends tries to send the spans that it still has.
const lastSpans = 3 * time.Second

// Close sends what is left, for a short while.
func (t *Tracer) Close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastSpans)
	defer cancel()
	if err := t.provider.Shutdown(ctx); errors.Is(err, context.DeadlineExceeded) {
		// The request that is under way ends with the exporter, and the next ones don't begin.
		_ = t.exporter.Shutdown(context.Background()) // it only says that ctx has ended
	}
	t.exporter.end()
}
