// Package tracetest has a receiver of OpenTelemetry traces for tests.
package tracetest

import (
	"cmp"
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/protobuf/proto"
)

// Span is a span that was received. Ids are in hexadecimal digits, and a missing parent is empty.
type Span struct {
	Service             string
	Name                string
	Trace, ID, Parent   string
	State               string // the tracestate
	Kind                string
	Attributes          map[string]string
	Links               []string // TRACE/SPAN
	Failed              bool
	Message             string // of its status
	Start, End          time.Time
	Scope, ResourceText string
}

// Receiver receives traces by OTLP over HTTP.
type Receiver struct {
	URL string

	t        *testing.T
	mu       sync.Mutex
	spans    []Span
	raw      []byte // the bodies of all requests
	requests int
}

// New starts a receiver that ends with the test.
func New(t *testing.T) *Receiver {
	t.Helper()
	r := &Receiver{t: t}
	r.URL = serve(t, http.HandlerFunc(r.receive))
	return r
}

// Broken starts a receiver that answers with a status, or never if that is 0. asked is closed at the first request.
func Broken(t *testing.T, status int) (url string, asked <-chan struct{}) {
	t.Helper()
	first, once, ended := make(chan struct{}), sync.Once{}, make(chan struct{})
	url = serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		once.Do(func() { close(first) })
		if status == 0 {
			_, _ = io.Copy(io.Discard, r.Body) // so that the server notices when the client has gone
			select {
			case <-r.Context().Done():
			case <-ended:
			}
			return
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(func() { close(ended) })
	return url, first
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.SetKeepAlivesEnabled(false) // the exporter has no way to close its idle connections
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

func (r *Receiver) receive(w http.ResponseWriter, req *http.Request) {
	spans, raw, err := decode(req)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests++
	if err != nil {
		r.t.Errorf("%s %s: %v", req.Method, req.URL.Path, err)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.spans, r.raw = append(r.spans, spans...), append(r.raw, raw...)
	w.Header().Set("Content-Type", "application/x-protobuf") // an empty answer is one
}

func decode(req *http.Request) (spans []Span, raw []byte, err error) {
	if req.Method != http.MethodPost || req.URL.Path != "/v1/traces" || req.Header.Get("Content-Type") != "application/x-protobuf" {
		return nil, nil, fmt.Errorf("not a request of OTLP: %s", req.Header.Get("Content-Type"))
	}
	in := io.Reader(req.Body)
	if req.Header.Get("Content-Encoding") == "gzip" {
		if in, err = gzip.NewReader(in); err != nil {
			return nil, nil, err
		}
	}
	if raw, err = io.ReadAll(in); err != nil {
		return nil, nil, err
	}
	var m collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(raw, &m); err != nil {
		return nil, nil, err
	}
	for _, about := range m.ResourceSpans {
		attributes := texts(about.Resource.GetAttributes())
		for _, scope := range about.ScopeSpans {
			for _, s := range scope.Spans {
				one := Span{
					Service: attributes["service.name"], ResourceText: fmt.Sprint(attributes), Scope: scope.Scope.GetName(),
					Name: s.Name, Trace: hex.EncodeToString(s.TraceId), ID: hex.EncodeToString(s.SpanId), Parent: hex.EncodeToString(s.ParentSpanId),
					State: s.TraceState, Kind: strings.ToLower(strings.TrimPrefix(s.Kind.String(), "SPAN_KIND_")), Attributes: texts(s.Attributes),
					Failed: s.Status.GetCode() == 2, Message: s.Status.GetMessage(), Start: nanoseconds(s.StartTimeUnixNano), End: nanoseconds(s.EndTimeUnixNano),
				}
				for _, l := range s.Links {
					one.Links = append(one.Links, hex.EncodeToString(l.TraceId)+"/"+hex.EncodeToString(l.SpanId))
				}
				spans = append(spans, one)
			}
		}
	}
	return spans, raw, nil
}

func nanoseconds(n uint64) time.Time { return time.Unix(0, int64(n)) } //nolint:gosec // until 2262

func texts(all []*common.KeyValue) map[string]string {
	out := map[string]string{}
	for _, one := range all {
		switch v := one.Value.GetValue().(type) {
		case *common.AnyValue_StringValue:
			out[one.Key] = v.StringValue
		case *common.AnyValue_IntValue:
			out[one.Key] = fmt.Sprint(v.IntValue)
		default:
			out[one.Key] = fmt.Sprint(one.Value)
		}
	}
	return out
}

// Spans returns what was received so far.
func (r *Receiver) Spans() []Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.spans)
}

// Raw returns the bodies of all requests so far, not compressed.
func (r *Receiver) Raw() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.raw)
}

// Requests returns how many requests came so far, also wrong ones.
func (r *Receiver) Requests() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requests
}

// Of returns the spans of a run's trace in the order in which they began, its own first.
func (r *Receiver) Of(run string) []Span {
	all := r.Spans()
	var out []Span
	for _, s := range all {
		if s.Name == "run" && s.Attributes["mayfly.run"] == run {
			for _, other := range all {
				if other.Trace == s.Trace {
					out = append(out, other)
				}
			}
			break
		}
	}
	slices.SortStableFunc(out, func(a, b Span) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(min(1, len(a.Parent)), min(1, len(b.Parent))))
	})
	return out
}

// Tree draws spans with their names, and those below them indented. A span whose parent isn't among them is marked.
func Tree(spans []Span) string {
	var out strings.Builder
	ids := map[string]bool{}
	for _, s := range spans {
		ids[s.ID] = true
	}
	var draw func(parent, indent string)
	draw = func(parent, indent string) {
		for _, s := range spans {
			if s.Parent == parent {
				fmt.Fprintf(&out, "%s%s\n", indent, label(s))
				draw(s.ID, indent+"  ")
			}
		}
	}
	draw("", "")
	for _, s := range spans {
		if s.Parent != "" && !ids[s.Parent] {
			fmt.Fprintf(&out, "? %s\n", label(s))
			draw(s.ID, "    ")
		}
	}
	return out.String()
}

// label names a span, its service, and its step and status if it has them.
func label(s Span) string {
	text := s.Name + " (" + s.Service + ")"
	if step := s.Attributes["mayfly.step"]; step != "" {
		text += " " + step
	}
	if status := s.Attributes["mayfly.status"]; status != "" {
		text += " " + status
	}
	return text
}

// Wait waits until the spans of a run's trace make this tree, and returns them.
func (r *Receiver) Wait(run, tree string) []Span {
	r.t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		spans := r.Of(run)
		if Tree(spans) == tree {
			return spans
		}
		if time.Now().After(end) {
			r.t.Fatalf("the trace of run %s is\n%swant\n%sall spans:\n%s", run, Tree(spans), tree, Tree(r.Spans()))
		}
	}
}
