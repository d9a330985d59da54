package trace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/trace/tracetest"
)

// text is a log, which may be written while it is read.
type text struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (t *text) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.Write(p)
}

func (t *text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}

// environment sets the variables of OpenTelemetry, and no others.
func environment(t *testing.T, set map[string]string) {
	t.Helper()
	for _, one := range os.Environ() {
		if name, _, _ := strings.Cut(one, "="); strings.HasPrefix(name, "OTEL_") {
			t.Setenv(name, "")
		}
	}
	for name, value := range set {
		t.Setenv(name, value)
	}
}

// opened returns a tracer that sends soon, and its log.
func opened(t *testing.T, set map[string]string) (*Tracer, *text) {
	t.Helper()
	set["OTEL_BSP_SCHEDULE_DELAY"] = "20"
	environment(t, set)
	log := &text{}
	tr := Open(t.Context(), Options{Service: "svc", Version: "1.2.3", Log: slog.New(slog.NewTextHandler(log, nil))})
	if tr == nil {
		t.Fatalf("no tracer: %s", log)
	}
	t.Cleanup(tr.Close)
	return tr, log
}

// TestOff has an environment that asks for no traces: then there is no tracer, and nothing that is done with it costs anything.
func TestOff(t *testing.T) {
	for name, c := range map[string]struct {
		set map[string]string
		log string
	}{
		"nothing is set": {},
		"only others":    {set: map[string]string{"OTEL_SERVICE_NAME": "x", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://localhost:1"}},
		"disabled":       {set: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:1", "OTEL_SDK_DISABLED": "true"}},
		"no exporter":    {set: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:1", "OTEL_TRACES_EXPORTER": "none"}},
		"not an address": {
			set: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "me:secret@collector"},
			log: "OTEL_EXPORTER_OTLP_ENDPOINT is not an address such as http://localhost:4318",
		},
		"another one isn't": {
			set: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:1", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "ftp://me:secret@x"},
			log: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is not an address",
		},
		"gRPC": {
			set: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
			log: "OTEL_EXPORTER_OTLP_PROTOCOL is grpc; set it to http/protobuf",
		},
	} {
		t.Run(name, func(t *testing.T) {
			environment(t, c.set)
			before := goleak.IgnoreCurrent()
			log := &text{}
			tr := Open(t.Context(), Options{Service: "svc", Log: slog.New(slog.NewTextHandler(log, nil))})
			if tr != nil {
				t.Fatal("there is a tracer")
			}
			if said := log.String(); (c.log == "") != (said == "") || !strings.Contains(said, c.log) || strings.Contains(said, "secret") {
				t.Errorf("the log has %q, want %q", said, c.log)
			}
			ctx, event, result := t.Context(), run.Event{State: &run.StateChange{State: run.Running}}, &run.Result{}
			if n := testing.AllocsPerRun(100, func() {
				a := tr.Attempt(Carried{Run: "a"})
				a.Event(event)
				a.End(result)
				tr.Ended(Run{ID: "a"})
				InProject(ctx, "p")
				Accepted(ctx, "a")
				if tr.Parent("a", "") != "" {
					t.Error("there is a parent")
				}
			}); n != 0 {
				t.Errorf("%v allocations", n)
			}
			tr.Close()
			goleak.VerifyNone(t, before)
		})
	}
}

// TestSampling takes a part of all traces. The ids of runs are UUIDs, whose fixed bits must not decide; and whoever asks gets the same
// answer.
func TestSampling(t *testing.T) {
	sampler := sdktrace.TraceIDRatioBased(0.25)
	const all = 4000
	n := 0
	for range all {
		p := sdktrace.SamplingParameters{ParentContext: context.Background(), TraceID: idsOf(uuid.Must(uuid.NewV7()).String(), "").trace}
		if sampler.ShouldSample(p).Decision == sdktrace.RecordAndSample {
			n++
		}
	}
	if n < all/5 || n > all*3/10 {
		t.Errorf("%d of %d are sampled, want a quarter", n, all)
	}
	r := tracetest.New(t)
	set := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": r.URL, "OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"}
	here, _ := opened(t, set)
	there, _ := opened(t, set)
	want := map[string]bool{}
	for range 40 {
		id := run.NewID()
		parent := here.Parent(id, "")
		if other := there.Parent(id, ""); parent != other {
			t.Errorf("run %s: %s, and for another server %s", id, parent, other)
		}
		want[id] = strings.HasSuffix(parent, "-01")
		a := there.Attempt(Carried{Run: id, Parent: parent})
		a.End(&run.Result{Status: run.Succeeded})
		now := time.Now()
		here.Ended(Run{ID: id, Status: run.Succeeded, Accepted: now, Started: now, Finished: now})
	}
	here.Close()
	there.Close()
	got := map[string]string{}
	for _, s := range r.Spans() {
		if id := s.Attributes["mayfly.run"]; id != "" {
			got[id] += s.Name + " "
		}
	}
	sampled := 0
	for id, is := range want {
		if is {
			sampled++
		}
		if is != (got[id] == "attempt run " || got[id] == "run attempt ") || !is && got[id] != "" {
			t.Errorf("run %s is sampled: %v, and has the spans %q", id, is, got[id])
		}
	}
	if sampled == 0 || sampled == len(want) {
		t.Errorf("%d of %d are sampled", sampled, len(want))
	}
}

// TestSpans has spans of everything, with exactly these attributes.
func TestSpans(t *testing.T) {
	r := tracetest.New(t)
	tr, log := opened(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": r.URL, "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test"})
	base := time.Now().Add(-time.Second).Truncate(time.Millisecond)
	at := func(ms int) time.Time { return base.Add(time.Duration(ms) * time.Millisecond) }
	attempt := func(id, parent string, number int, res *run.Result) {
		a := tr.Attempt(Carried{Parent: parent, Run: id, Project: "p", Tool: "backup", Number: number, Runner: "build-7"})
		for i, s := range []run.StateChange{{State: run.Queued}, {State: run.Pulling, Detail: "canary"}, {State: run.Creating, Attempt: 1}, {State: run.Running, Attempt: 1}, {State: res.Status}} {
			a.Event(run.Event{Time: at(10 * i), State: &s})
			a.Event(run.Event{Time: at(10 * i), Log: &run.Log{Data: "canary"}})
		}
		a.Event(run.Event{Time: at(100), Result: res})
		a.End(res)
	}
	attempt("r1", tr.Parent("r1", ""), 2, &run.Result{Status: run.Failed, ExitCode: 7, Code: "tool_failed", Reason: "canary", Outputs: map[string]string{"A": "canary"}})
	tr.Ended(Run{ID: "r1", Project: "p", Tool: "backup", Attempt: 2, Status: run.Failed, ExitCode: 7, Code: "tool_failed", Accepted: at(-10), Started: at(-5), Finished: at(200)})
	tr.Ended(Run{ID: "s1", Parent: "w1", Step: "make[0]", Project: "p", Tool: "make", Attempt: 1, Status: run.Succeeded, Accepted: at(1), Started: at(2), Finished: at(3)})
	tr.Ended(Run{ID: "s2", Parent: "w1", Step: "use", Project: "p", Tool: "use", Status: run.Cancelled, ExitCode: 130, Code: "cancelled", Accepted: at(4), Finished: at(9)})
	tr.Ended(Run{ID: "w1", Project: "p", Tool: "flow", Workflow: true, Attempt: 1, Status: run.Cancelled, ExitCode: 130, Code: "cancelled", Accepted: at(0), Started: at(0), Finished: at(10)})
	spans := r.Wait("r1", `run (svc) failed
  queued (svc)
  attempt (svc) failed
    pulling (svc)
    creating (svc)
    running (svc)
`)
	flow := r.Wait("w1", `run (svc) cancelled
  run (svc) make[0] succeeded
    queued (svc)
  run (svc) use cancelled
    queued (svc)
`)
	attributes := map[string]map[string]string{
		"run":      {"mayfly.run": "r1", "mayfly.project": "p", "mayfly.tool": "backup", "mayfly.kind": "tool", "mayfly.attempt": "2", "mayfly.status": "failed", "mayfly.exit_code": "7", "mayfly.code": "tool_failed"},
		"queued":   {},
		"attempt":  {"mayfly.run": "r1", "mayfly.project": "p", "mayfly.tool": "backup", "mayfly.attempt": "2", "mayfly.runner": "build-7", "mayfly.status": "failed", "mayfly.exit_code": "7", "mayfly.code": "tool_failed"},
		"pulling":  {},
		"creating": {"mayfly.try": "1"},
		"running":  {"mayfly.try": "1"},
	}
	times := map[string][2]int{"run": {-10, 200}, "queued": {-10, -5}, "pulling": {10, 20}, "creating": {20, 30}, "running": {30, 40}}
	page, err := os.ReadFile("../../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range slices.Concat(spans, flow) {
		for _, name := range append(slices.Collect(maps.Keys(s.Attributes)), s.Name) {
			if !bytes.Contains(page, []byte("`"+name+"`")) {
				t.Errorf("docs/OPERATIONS.md doesn't have %s", name)
			}
		}
	}
	for _, s := range spans {
		if !maps.Equal(s.Attributes, attributes[s.Name]) {
			t.Errorf("%s has the attributes %v, want %v", s.Name, s.Attributes, attributes[s.Name])
		}
		if failed := s.Name == "run" || s.Name == "attempt"; s.Failed != failed || failed && s.Message != "tool_failed" {
			t.Errorf("%s: failed is %v, %q", s.Name, s.Failed, s.Message)
		}
		if want, ok := times[s.Name]; ok && (!s.Start.Equal(at(want[0])) || !s.End.Equal(at(want[1]))) {
			t.Errorf("%s is from %v to %v", s.Name, s.Start, s.End)
		}
		for _, want := range []string{"deployment.environment.name:test", "service.version:1.2.3", "telemetry.sdk.language:go"} {
			if !strings.Contains(s.ResourceText, want) {
				t.Errorf("the resource %s doesn't have %s", s.ResourceText, want)
			}
		}
	}
	if kind := flow[0].Attributes["mayfly.kind"]; kind != "workflow" {
		t.Errorf("the workflow is a %s", kind)
	}
	if !slices.ContainsFunc(flow, func(s tracetest.Span) bool { return s.Name == "queued" && s.Start.Equal(at(4)) && s.End.Equal(at(9)) }) {
		t.Error("a run that no runner had doesn't wait until its end")
	}
	if bytes.Contains(r.Raw(), []byte("canary")) {
		t.Error("a span has what it must not")
	}
	if want := `msg=traces to=` + r.URL; !strings.Contains(log.String(), want) || strings.Contains(log.String(), "WARN") {
		t.Errorf("the log has %q, want %s", log, want)
	}
}

// TestNames has other names for the service.
func TestNames(t *testing.T) {
	for name, set := range map[string]map[string]string{
		"OTEL_SERVICE_NAME":        {"OTEL_SERVICE_NAME": "mine"},
		"OTEL_RESOURCE_ATTRIBUTES": {"OTEL_RESOURCE_ATTRIBUTES": "service.name=mine"},
	} {
		t.Run(name, func(t *testing.T) {
			r := tracetest.New(t)
			set["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = r.URL + "/v1/traces"
			tr, _ := opened(t, set)
			tr.Ended(Run{ID: "a", Status: run.Succeeded, Accepted: time.Now(), Finished: time.Now()})
			r.Wait("a", "run (mine) succeeded\n  queued (mine)\n")
		})
	}
}

// TestWithoutTheServersTraces has a runner that sends traces although its server doesn't: an attempt is a trace of its own.
func TestWithoutTheServersTraces(t *testing.T) {
	for _, parent := range []string{"", "nonsense", "00-00000000000000000000000000000000-0000000000000000-01"} {
		r := tracetest.New(t)
		tr, _ := opened(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": r.URL})
		tr.Attempt(Carried{Run: "a", Parent: parent, Number: 1}).End(&run.Result{Status: run.Succeeded})
		tr.Close()
		if got := tracetest.Tree(r.Spans()); got != "attempt (svc) succeeded\n" {
			t.Errorf("%q: %s", parent, got)
		}
	}
}

// TestBrokenReceivers has receivers that don't take spans: nobody waits for them, the log says so once, and an end is soon.
func TestBrokenReceivers(t *testing.T) {
	for name, status := range map[string]int{"refuses": http.StatusInternalServerError, "asks to come again": http.StatusServiceUnavailable, "hangs": 0} {
		t.Run(name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			t.Cleanup(func() { goleak.VerifyNone(t, before) })
			url, asked := tracetest.Broken(t, status)
			tr, log := opened(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": url})
			const patience = 10 * time.Minute // the last resort: a broken receiver may hold nothing up
			began := time.Now()
			for i := range 20_000 {
				tr.Ended(Run{ID: fmt.Sprint(i), Status: run.Succeeded, Accepted: began, Started: began, Finished: began})
			}
			if took := time.Since(began); took > patience {
				t.Errorf("20,000 spans took %v", took)
			}
			<-asked
			closing := time.Now()
			tr.Close()
			if took := time.Since(closing); took > lastSpans+patience {
				t.Errorf("the end took %v", took)
			}
			// Each run is two spans. The log says of each that it is lost: now and then, and at the end.
			most := 2 + int(time.Since(began)/warnEvery)
			said, lost := log.String(), 0
			for _, n := range regexp.MustCompile(`lost_spans=(\d+)`).FindAllStringSubmatch(said, -1) {
				more, err := strconv.Atoi(n[1])
				if err != nil {
					t.Fatal(err)
				}
				lost += more
			}
			if strings.Count(said, "level=WARN") > most || lost != 40_000 {
				t.Errorf("%d spans are lost; the log has %s", lost, said)
			}
		})
	}
}

// TestWarnings says what is wrong once a minute, and not at length.
func TestWarnings(t *testing.T) {
	log := &text{}
	e := &exporter{log: slog.New(slog.NewTextHandler(log, nil))}
	for range 5 {
		e.warn("sent", errors.New(strings.Repeat("long", 1000)), 3)
	}
	if said := log.String(); strings.Count(said, "\n") != 1 || len(said) > 500 || !strings.Contains(said, "lost_spans=3") {
		t.Errorf("the log has %s", said)
	}
	e.said = e.said.Add(-warnEvery)
	e.warn("sent", errors.New("again"), 1)
	if said := log.String(); strings.Count(said, "\n") != 2 || !strings.HasSuffix(said, "error=again lost_spans=13\n") {
		t.Errorf("the log has %s", said)
	}
}

// TestRequests continues the trace of a client, and leaves its tracestate out.
func TestRequests(t *testing.T) {
	r := tracetest.New(t)
	tr, _ := opened(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": r.URL})
	h := http.Header{"Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, "Tracestate": {"vendor=canary"}, "Baggage": {"a=canary"}}
	ctx, end := tr.Request(t.Context(), h, http.MethodPost, "create-run")
	InProject(ctx, "p")
	Accepted(ctx, "r1")
	end(http.StatusCreated)
	_, end = tr.Request(t.Context(), http.Header{}, http.MethodGet, "get-run")
	end(http.StatusServiceUnavailable)
	_, end = tr.Request(t.Context(), http.Header{"Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"}}, http.MethodGet, "not-sampled")
	end(http.StatusOK)
	tr.Close()
	spans := r.Spans()
	if len(spans) != 2 {
		t.Fatalf("%d spans: %+v", len(spans), spans)
	}
	slices.SortFunc(spans, func(a, b tracetest.Span) int { return strings.Compare(a.Name, b.Name) })
	i := idsOf("r1", "")
	one, other := spans[0], spans[1]
	if one.Name != "create-run" || one.Kind != "server" || one.Trace != "0af7651916cd43dd8448eb211c80319c" || one.Parent != "b7ad6b7169203331" || one.State != "" || one.Failed ||
		!slices.Equal(one.Links, []string{i.trace.String() + "/" + i.span.String()}) ||
		!maps.Equal(one.Attributes, map[string]string{"http.request.method": "POST", "http.response.status_code": "201", "mayfly.project": "p", "mayfly.run": "r1"}) {
		t.Errorf("%+v", one)
	}
	if other.Name != "get-run" || other.Parent != "" || other.Trace == one.Trace || !other.Failed {
		t.Errorf("%+v", other)
	}
	if bytes.Contains(r.Raw(), []byte("canary")) {
		t.Error("a span has what the client says")
	}
}

// TestIDs are all different, and valid.
func TestIDs(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := run.NewID()
		i := idsOf(id, "")
		tid, sid := generator{}.NewIDs(t.Context())
		for _, one := range []string{i.trace.String(), i.span.String(), tid.String(), sid.String(), idsOf(id, "w").span.String() + "w"} {
			if seen[one] {
				t.Fatalf("%s is there twice", one)
			}
			seen[one] = true
		}
		if step := idsOf(id, "w"); step.trace != idsOf("w", "").trace || step.span != i.span || !trace.NewSpanContext(trace.SpanContextConfig{TraceID: step.trace, SpanID: step.span}).IsValid() {
			t.Errorf("a step has %v", step)
		}
	}
}
