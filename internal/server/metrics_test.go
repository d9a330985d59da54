package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/archive"
	"github.com/mayfly-run/mayfly/internal/audit"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// scrape reads the metrics, as Prometheus does.
func (r *rig) scrape(t *testing.T) string {
	t.Helper()
	w := httptest.NewRecorder()
	r.Metrics().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	data, err := io.ReadAll(w.Body)
	if err != nil || w.Code != http.StatusOK {
		t.Fatalf("metrics: status %d, %v: %s", w.Code, err, data)
	}
	return string(data)
}

// TestMetrics has a server do something of everything that is counted.
func TestMetrics(t *testing.T) {
	r := newRig(t)
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	for _, one := range []struct{ id, pool string }{{"1", "default"}, {"2", "default"}, {"3", "name-of-a-client"}, {"4", "another"}} {
		if err := r.store.Accept(ctx, store.NewRun{ID: one.id, Project: "own", Pool: one.pool, Request: []byte("{}")}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.store.AddRunner(ctx, store.Runner{Holder: "default/b@1", Pool: "default", Name: "b", Slots: 3}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.store.Claim(ctx, store.Claim{Lessee: store.Lessee{Runner: "default/b@1", Lease: time.Millisecond}, Pool: "default", Most: 1}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method, path, token string
		want                int
	}{
		{http.MethodGet, "/runs", r.tokens[RoleAdmin], http.StatusOK},
		{http.MethodGet, "/runs/none", r.tokens[RoleAdmin], http.StatusNotFound},
		{http.MethodGet, "/runs", "", http.StatusUnauthorized},
		{http.MethodPut, "/contents/" + archive.Digest([]byte("x")), r.tokens[RoleAdmin], http.StatusNoContent},
	} {
		if status, _ := r.call(t, c.method, api.Prefix+"/projects/own"+c.path, c.token, "x"); status != c.want {
			t.Errorf("%s %s: status %d, want %d", c.method, c.path, status, c.want)
		}
	}
	for end := time.Now().Add(time.Minute); !strings.Contains(r.scrape(t), "mayfly_leases_lost_total 1"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the lost lease isn't counted")
		}
	}
	text := r.scrape(t)
	for _, want := range []string{
		`mayfly_http_requests_total{code="200",operation="list-runs"} 1`,
		`mayfly_http_requests_total{code="401",operation="list-runs"} 1`,
		`mayfly_http_requests_total{code="404",operation="get-run"} 1`,
		`mayfly_http_requests_total{code="204",operation="put-content"} 1`,
		`mayfly_http_request_duration_seconds_count{operation="list-runs"} 2`,
		`mayfly_queue_runs{pool="default"} 1`,
		`mayfly_queue_runs{pool="other"} 2`,
		`mayfly_runners{pool="default",state="ready"} 1`,
		`mayfly_runner_slots{pool="default",state="free"} 3`,
		`mayfly_runs_ended_total{status="lost"} 1`,
		`mayfly_runs_ended_total{status="succeeded"} 0`,
		`mayfly_streams_open{operation="follow-run"} 0`,
		`mayfly_database_write_failures_total 0`,
		`mayfly_build_info{version=""} 1`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("the metrics don't have %s", want)
		}
	}
	for _, pattern := range []string{`mayfly_database_write_duration_seconds_count [1-9]`, `mayfly_database_write_group_size_count [1-9]`, `mayfly_queue_oldest_age_seconds\{pool="default"\} 0?\.?[0-9]*[1-9]`} {
		if !regexp.MustCompile(pattern).MatchString(text) {
			t.Errorf("the metrics don't match %s", pattern)
		}
	}
	if strings.Contains(text, "name-of-a-client") {
		t.Error("a pool that a client has made up is a label")
	}
	// The names of operations are those of the API.
	known := map[string]bool{}
	for op := range operations(r.api.OpenAPI()) {
		known[op.OperationID] = true
	}
	for _, names := range []map[string]bool{streams, transfers} {
		for name := range names {
			if !known[name] {
				t.Errorf("%s is not an operation", name)
			}
		}
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
	documented(t, text)
	if status := r.status(t, "/metrics"); status != http.StatusNotFound {
		t.Errorf("the API's address answers to /metrics with %d", status)
	}
}

// documented compares metrics with the table in docs/OPERATIONS.md.
func documented(t *testing.T, text string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (mayfly_\S+) (\S+)$`).FindAllStringSubmatch(text, -1) {
		labels := map[string]bool{}
		for _, sample := range regexp.MustCompile(`(?m)^`+m[1]+`(_bucket)?\{([^}]*)\}`).FindAllStringSubmatch(text, -1) {
			for _, l := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(sample[2], -1) {
				labels[l[1]] = labels[l[1]] || l[1] != "le"
			}
		}
		delete(labels, "le")
		var names []string
		for name := range labels {
			names = append(names, name)
		}
		slices.Sort(names)
		got = append(got, m[1]+" "+m[2]+" "+strings.Join(names, ","))
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `(mayfly_\\w+)` \\| (\\w+) \\| ([\\w, ]*) ?\\|").FindAllStringSubmatch(string(page), -1) {
		names := strings.Split(strings.ReplaceAll(strings.TrimSpace(m[3]), " ", ""), ",")
		slices.Sort(names)
		want = append(want, m[1]+" "+m[2]+" "+strings.Join(names, ","))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the server has the metrics\n%s\nand docs/OPERATIONS.md\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// status is the answer to a request without a token.
func (r *rig) status(t *testing.T, path string) int {
	t.Helper()
	status, _ := r.call(t, http.MethodGet, path, "", "")
	return status
}

// TestWrongReports: a report with a state that is no end, or with a type of events that could be more than a word in a stream, is
// refused before anything is written.
func TestWrongReports(t *testing.T) {
	r := newRig(t)
	for name, report := range map[string]*api.Report{
		"running": {Result: &run.Result{Status: run.Running}}, "no status": {Result: &run.Result{}}, "made up": {Result: &run.Result{Status: "made-up"}},
		"two lines": {Events: []run.Event{{Other: &run.Other{Type: "x\ndata: {}"}}}}, "upper case": {Events: []run.Event{{Other: &run.Other{Type: "Result"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			report.Run, report.Attempt, report.First = "r", 1, 1
			var p *api.Problem
			if _, err := r.Report(t.Context(), "default/r@i", report); !errors.As(err, &p) || p.Status != http.StatusUnprocessableEntity || p.Remedy != "update the runner" {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestReady(t *testing.T) {
	r := newRig(t)
	again := func() int {
		t.Helper()
		r.readiness.looked = time.Time{}
		status, p := r.call(t, http.MethodGet, "/readyz", "", "")
		if status != http.StatusOK && (status != http.StatusServiceUnavailable || strings.Contains(p.Detail+p.Remedy, "/")) {
			t.Errorf("status %d, problem %+v", status, p)
		}
		return status
	}
	if status := again(); status != http.StatusOK {
		t.Errorf("a server that is ready: %d", status)
	}
	good := r.archive
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.archive = archive.Contents{In: archive.Dir(file)}
	if status := r.status(t, "/readyz"); status != http.StatusOK {
		t.Errorf("the last look is forgotten at once: %d", status)
	}
	if status := again(); status != http.StatusServiceUnavailable {
		t.Errorf("an archive that can't be written: %d", status)
	}
	r.archive = good
	if status := again(); status != http.StatusOK {
		t.Errorf("an archive that can be written again: %d", status)
	}
	was := r.store
	r.store = brokenAudit{was}
	if status := again(); status != http.StatusServiceUnavailable {
		t.Errorf("a database that doesn't answer: %d", status)
	}
	r.store = was
	r.Drain()
	if status := again(); status != http.StatusServiceUnavailable {
		t.Errorf("a server that ends: %d", status)
	}
	if status := r.status(t, "/healthz"); status != http.StatusOK {
		t.Errorf("it still serves: %d", status)
	}
}

// hung is an archive whose disk doesn't answer.
type hung struct {
	archive.Storage
	asked   atomic.Int64
	release chan struct{}
}

func (h *hung) Put(context.Context, string, io.Reader) error {
	h.asked.Add(1)
	<-h.release
	return nil
}

// TestReadyHungArchive asks a server whose archive doesn't answer whether it is ready, and has it drain: neither waits for the archive.
func TestReadyHungArchive(t *testing.T) {
	r := newRig(t)
	h := &hung{release: make(chan struct{})}
	r.archive = archive.Contents{In: h}
	released := make(chan struct{})
	var asking sync.WaitGroup
	ctx, leave := context.WithCancel(t.Context())
	for range 5 {
		asking.Go(func() {
			if r.notReady(ctx) == nil {
				t.Error("it is ready")
			}
		})
	}
	go func() {
		defer close(released)
		for h.asked.Load() == 0 {
			time.Sleep(time.Millisecond)
		}
		leave()
		asking.Wait()
		r.Drain()
		if r.notReady(t.Context()) == nil {
			t.Error("it is ready although it ends")
		}
	}()
	select {
	case <-released:
	case <-time.After(patience):
		t.Error("it waits for the archive")
	}
	close(h.release)
	<-released
	if n := h.asked.Load(); n != 1 {
		t.Errorf("%d looks at once", n)
	}
}

// brokenAudit is a database that doesn't answer.
type brokenAudit struct{ Store }

// AuditHead implements store.Audit.
func (brokenAudit) AuditHead(context.Context) (audit.Head, error) {
	return audit.Head{}, io.ErrUnexpectedEOF
}
