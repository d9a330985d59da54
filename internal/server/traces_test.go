package server

import (
	"bytes"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/trace"
	"github.com/mayfly-run/mayfly/internal/trace/tracetest"
)

// newTracer returns a tracer that sends to a receiver soon.
func newTracer(t *testing.T, url string) *trace.Tracer {
	t.Helper()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
	tr := trace.Open(t.Context(), trace.Options{Service: "server", Log: slog.New(slog.DiscardHandler)})
	if tr == nil {
		t.Fatal("no tracer")
	}
	t.Cleanup(tr.Close)
	return tr
}

// TestRequestTraces has a span for each request of the API, with what the API's description and the server say and nothing of what the
// client sends, except a project that it may ask for.
func TestRequestTraces(t *testing.T) {
	got := tracetest.New(t)
	traces := newTracer(t, got.URL)
	r := newRigWith(t, Options{Traces: traces})
	call := func(method, path, token, body string, header ...string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, r.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if _, err := io.ReadAll(resp.Body); err != nil {
			t.Fatal(err)
		}
	}
	own, canaryToken := r.tokens["own "+RoleAdmin], "mfly_canary"
	at := api.Prefix + "/projects/own"
	call(http.MethodGet, at+"/runs?tool=canary&cursor=canary", own, "", "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate", "a=canary", "user-agent", "canary")
	call(http.MethodGet, api.Prefix+"/projects/canary/runs", own, "")         // not its project
	call(http.MethodGet, api.Prefix+"/projects/canary/runs", canaryToken, "") // no token of this server
	call(http.MethodPost, at+"/runs", own, `{"tool":"canary"}`, api.KeyHeader, "canary")
	call(http.MethodPut, at+"/secrets/db", own, `{"value":"Y2FuYXJ5"}`)
	call(http.MethodGet, api.Prefix+"/nothing/canary", own, "") // no operation
	call(http.MethodGet, "/readyz", "", "")
	traces.Close()
	spans := got.Spans()
	var all []string
	for _, s := range spans {
		all = append(all, s.Name+" "+s.Attributes["http.request.method"]+" "+s.Attributes["http.response.status_code"]+" "+s.Attributes["mayfly.project"])
		if more := slices.DeleteFunc(slices.Collect(maps.Keys(s.Attributes)), func(key string) bool {
			return slices.Contains([]string{"http.request.method", "http.response.status_code", "mayfly.project"}, key)
		}); len(more) > 0 || s.Kind != "server" {
			t.Errorf("%s is of the kind %s and has %v", s.Name, s.Kind, more)
		}
	}
	if want := []string{"list-runs GET 200 own", "list-runs GET 403 ", "list-runs GET 401 ", "create-run POST 404 own", "set-secret PUT 200 own"}; !slices.Equal(all, want) {
		t.Errorf("the requests are %q, want %q", all, want)
	}
	if one := spans[0]; one.Trace != "0af7651916cd43dd8448eb211c80319c" || one.Parent != "b7ad6b7169203331" {
		t.Errorf("%+v", one)
	}
	for _, text := range []string{"canary", "Y2FuYXJ5", own} {
		if bytes.Contains(got.Raw(), []byte(text)) {
			t.Errorf("a span has %q", text)
		}
	}
}

// TestEndsAreTraced has runs end in each way in which no runner ends them.
func TestEndsAreTraced(t *testing.T) {
	got := tracetest.New(t)
	traces := newTracer(t, got.URL)
	r := newRigWith(t, Options{Traces: traces, Lease: time.Second})
	ctx := t.Context()
	accept := func(pool string) string {
		id := run.NewID()
		if err := r.store.Accept(ctx, store.NewRun{ID: id, Project: "own", Tool: "t", Kind: "tool", Pool: pool, Request: []byte("{}")}, nil); err != nil {
			t.Fatal(err)
		}
		return id
	}
	cancelled, lost := accept("nobody"), accept("default")
	if status, _ := r.call(t, http.MethodPost, api.Prefix+"/projects/own/runs/"+cancelled+"/cancel", r.tokens[RoleAdmin], ""); status != http.StatusOK {
		t.Fatalf("cancel: status %d", status)
	}
	if _, err := r.store.Claim(ctx, store.Claim{Lessee: store.Lessee{Runner: "default/b@1", Lease: time.Millisecond}, Pool: "default", Most: 1}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Millisecond)
	if ids, err := r.store.Expire(ctx, 10, r.lost); err != nil || !slices.Equal(ids, []string{lost}) {
		t.Fatalf("expire: %v, %v", ids, err)
	}
	got.Wait(cancelled, "run (server) cancelled\n  queued (server)\n")
	spans := got.Wait(lost, "run (server) lost\n  queued (server)\n")
	if one := spans[0]; one.Attributes["mayfly.code"] != "runner_lost" || !one.Failed || one.Attributes["mayfly.attempt"] != "1" {
		t.Errorf("%+v", one)
	}
}
