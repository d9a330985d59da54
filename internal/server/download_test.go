package server

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// fetch gets a file, and how the answer ended.
func (r *rig) fetch(t *testing.T, path string) (text string, header http.Header, err error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/api/v1/projects/own/runs/"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.tokens[RoleViewer])
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return string(data), resp.Header, err
}

// TestDownload gets a log and events as files, also one that is read in several parts.
func TestDownload(t *testing.T) {
	r := newRig(t)
	var events []run.Event
	var text, errors strings.Builder
	for i := range 40 {
		one := out(strings.Repeat("x", 60_000) + "\n")
		if i%2 == 1 {
			one = run.Log{Stream: "stderr", DataBase64: []byte("\xff\x00\n")}
			errors.Write(one.Bytes())
		}
		text.Write(one.Bytes())
		events = append(events, run.Event{Log: &one})
	}
	result := &run.Result{Status: run.Succeeded}
	r.ran(t, store.NewRun{ID: "a"}, result, events...)
	got, header, err := r.fetch(t, "a/log.txt")
	if err != nil || got != text.String() || header.Get("Content-Type") != "text/plain; charset=utf-8" || header.Get("Content-Disposition") != `attachment; filename="a.txt"` {
		t.Errorf("%d bytes, want %d, %v, %v", len(got), text.Len(), header, err)
	}
	if got, _, err := r.fetch(t, "a/log.txt?stream=stderr"); err != nil || got != errors.String() {
		t.Errorf("%q, %v, want %q", got, err, errors.String())
	}
	got, header, err = r.fetch(t, "a/events.jsonl")
	lines := strings.Split(got, "\n")
	if err != nil || len(lines) != 42 || !strings.Contains(lines[40], `"type":"result"`) || lines[41] != "" || header.Get("Content-Disposition") != `attachment; filename="a.jsonl"` {
		t.Errorf("%d lines, %v, %v", len(lines), header, err)
	}
	if err := r.store.Accept(t.Context(), store.NewRun{ID: "new", Project: "own", Tool: "t", Kind: "tool", Pool: "none", Request: []byte("{}")}, nil); err != nil {
		t.Fatal(err)
	}
	if got, _, err := r.fetch(t, "new/log.txt"); err != nil || got != "" {
		t.Errorf("of a run that waits: %q, %v", got, err)
	}
}

// TestDownloadBreaksOff has a part of a log damaged that isn't the first one: what was sent doesn't look whole.
func TestDownloadBreaksOff(t *testing.T) {
	r := newRig(t)
	chatty(t, r.Server, "run-1", 400)
	if err := keeper(t, r.store, r.archive.In).archiveLogs(t.Context()); err != nil {
		t.Fatal(err)
	}
	paths := []string{"/projects/p/runs/run-1/log.txt", "/projects/p/runs/run-1/events.jsonl"}
	for _, path := range paths {
		if status, err := r.get(t, path); status != http.StatusOK || err != nil {
			t.Fatalf("%s: %d, %v", path, status, err)
		}
	}
	r.damage(t, func(data []byte) { data[len(data)-100] ^= 1 })
	for _, path := range paths {
		if status, err := r.get(t, path); status != http.StatusOK || err == nil {
			t.Errorf("%s: %d, %v; want what breaks off", path, status, err)
		}
	}
	metrics := r.scrape(t)
	for _, name := range []string{"download-log", "download-events"} {
		if !strings.Contains(metrics, `mayfly_http_requests_total{code="200",operation="`+name+`"} 2`) {
			t.Errorf("%s that broke off isn't counted", name)
		}
		if strings.Contains(metrics, `mayfly_http_request_duration_seconds_count{operation="`+name+`"}`) {
			t.Errorf("the time of %s is counted", name)
		}
	}
}
