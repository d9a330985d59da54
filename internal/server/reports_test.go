package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

var reporter = strings.Repeat("i", 26)

// held accepts a run that the reporter has.
func (r *rig) held(t *testing.T, id string, retries int) {
	t.Helper()
	err := r.store.Accept(t.Context(), store.NewRun{ID: id, Project: "p", Tool: "t", Kind: "tool", Pool: defaultPool, Request: []byte("{}"), Retries: retries},
		&store.Lessee{Runner: holder(defaultPool, "r", reporter), Lease: r.lease})
	if err != nil {
		t.Fatal(err)
	}
}

// asLines is a report as lines.
func asLines(t *testing.T, r api.Report) string {
	t.Helper()
	events := r.Events
	r.Events = nil
	head, err := json.Marshal(&r)
	if err != nil {
		t.Fatal(err)
	}
	text := string(head) + "\n"
	for i, e := range events {
		e.Seq, e.Run = r.First+int64(i), r.Run
		line, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		text += string(line) + "\n"
	}
	return text
}

// logOf is the log of a run as it is stored, and its number of lines.
func (r *rig) logOf(t *testing.T, id string) string {
	t.Helper()
	chunks, err := r.store.Chunks(t.Context(), id, 0, maxChunk)
	if err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	lines := int64(0)
	for _, c := range chunks {
		text, err := r.live.codec.text(c)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
		lines += c.Lines
	}
	return strings.ReplaceAll(all.String(), `"run":"`+id+`"`, `"run":"RUN"`) + fmt.Sprintf("%d lines", lines)
}

// TestReportLines has a log that is reported as lines be the same as one that is reported as a whole.
func TestReportLines(t *testing.T) {
	r := newRig(t)
	at := time.Date(2026, 11, 30, 1, 2, 3, 0, time.UTC)
	events := []run.Event{
		{Time: at, State: &run.StateChange{State: run.Running}},
		{Time: at, Log: &run.Log{Stream: "stdout", Data: "a\nb\n<\u2028>"}},
		{Time: at.Add(time.Nanosecond), Log: &run.Log{Stream: "stderr", Data: "\x00\"\\\n"}},
		{Time: at, Log: &run.Log{Stream: "stdout", DataBase64: []byte("\xff\n")}},
		{Time: at, Log: &run.Log{Stream: "stdout"}},
		{Time: at, Metric: &engine.Usage{}},
		{Time: at, Other: &run.Other{Type: "newer", Fields: map[string]json.RawMessage{"x": json.RawMessage("1")}}},
	}
	for range 100 { // several chunks
		events = append(events, run.Event{Time: at, Log: &run.Log{Stream: "stdout", Data: strings.Repeat("0123456789\n", 500)}})
	}
	path := "/api/v1/runner/r/" + reporter + "/reports"
	for kind, send := range map[string]func(api.Report) (int, *api.Problem){
		"whole": func(one api.Report) (int, *api.Problem) {
			data, err := json.Marshal(&one)
			if err != nil {
				t.Fatal(err)
			}
			return r.call(t, http.MethodPost, path, r.tokens[RoleRunner], string(data))
		},
		"lines": func(one api.Report) (int, *api.Problem) {
			return r.callAs(t, api.ReportLines, http.MethodPost, path, r.tokens[RoleRunner], asLines(t, one))
		},
	} {
		r.held(t, kind, 1)
		for attempt := 1; attempt <= 2; attempt++ {
			one := api.Report{Holding: api.Holding{Run: kind, Attempt: attempt}, First: 1, Events: events}
			if attempt == 2 {
				one.Result = &run.Result{Status: run.Succeeded}
			}
			if status, p := send(one); status != http.StatusOK {
				t.Fatalf("%s: %d %v", kind, status, p)
			}
			if attempt == 2 {
				continue
			}
			if got, err := r.store.Run(t.Context(), "p", kind); err != nil || got.Status != run.Running {
				t.Errorf("%s: the run is %s, %v", kind, got.Status, err)
			}
			r.again(t)
		}
	}
	given := regexp.MustCompile(`"time":"[^"]*"(.*"(?:state":"queued|type":"dropped)")`) // by the server, when the attempt was given up
	whole, lines := given.ReplaceAllString(r.logOf(t, "whole"), "$1"), given.ReplaceAllString(r.logOf(t, "lines"), "$1")
	if strings.Count(whole, "0123456789") != 2*100*500 {
		t.Errorf("the log has %d bytes", len(whole))
	}
	if whole != lines {
		t.Errorf("as a whole %.2000s\nas lines %.2000s", whole, lines)
	}
}

// again gives the attempts of the reporter up, and to it once more.
func (r *rig) again(t *testing.T) {
	t.Helper()
	runner := holder(defaultPool, "r", reporter)
	_, _, err := r.store.Reclaim(t.Context(), runner, nil, func(c store.Claimed) (store.Ended, error) { return r.lostResult(c, "x") })
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.store.Claim(t.Context(), store.Claim{Lessee: store.Lessee{Runner: runner, Lease: r.lease}, Pool: defaultPool, Free: store.Unbounded(), Most: 1})
	if err != nil || len(got) != 1 || got[0].Last == 0 {
		t.Fatalf("claimed %v, %v", got, err)
	}
}

// TestReportLinesOfAStep has the events of a step in the log of its workflow, too.
func TestReportLinesOfAStep(t *testing.T) {
	r := newRig(t)
	ctx := context.Background()
	err := r.store.AcceptWorkflow(ctx, store.NewRun{ID: "w", Project: "p", Tool: "w", Kind: "workflow", Request: []byte("{}")}, store.StepForward{Run: "w", Within: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	err = r.store.Accept(ctx, store.NewRun{ID: "s", Project: "p", Tool: "t", Kind: "tool", Pool: defaultPool, Request: []byte("{}"), Parent: store.Parent{Run: "w", Step: "first"}},
		&store.Lessee{Runner: holder(defaultPool, "r", reporter), Lease: r.lease})
	if err != nil {
		t.Fatal(err)
	}
	one := api.Report{Holding: api.Holding{Run: "s", Attempt: 1}, First: 1, Events: []run.Event{{Log: &run.Log{Stream: "stdout", Data: "a\n"}}}}
	if status, p := r.callAs(t, api.ReportLines, http.MethodPost, "/api/v1/runner/r/"+reporter+"/reports", r.tokens[RoleRunner], asLines(t, one)); status != http.StatusOK {
		t.Fatal(status, p)
	}
	if got := r.logOf(t, "w"); !strings.Contains(got, `"step":"first"`) || !strings.Contains(got, `"data":"a\n"`) {
		t.Errorf("the workflow's log is %s", got)
	}
	// An event isn't too long in the workflow's log, where it is longer.
	one.First, one.Events[0].Seq, one.Events[0].Run, one.Events[0].Log.Data = 2, 2, "s", "x"
	line, err := one.Events[0].MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	one.Events[0].Log.Data = strings.Repeat("x", maxEvent-len(line)+1)
	if status, p := r.callAs(t, api.ReportLines, http.MethodPost, "/api/v1/runner/r/"+reporter+"/reports", r.tokens[RoleRunner], asLines(t, one)); status != http.StatusOK {
		t.Fatal(status, p)
	}
	if got := r.logOf(t, "w"); len(got) < maxEvent {
		t.Errorf("the workflow's log has %d bytes", len(got))
	}
}

// TestBadReportLines has lines that no runner sends. Nothing of them is stored.
func TestBadReportLines(t *testing.T) {
	r := newRig(t)
	r.held(t, "run", 0)
	head := `{"run":"run","attempt":1,"first":1}` + "\n"
	line := func(seq int, id, text string) string {
		return fmt.Sprintf(`{"seq":%d,"time":"2026-11-30T01:02:03Z","run":"%s","type":"log","stream":"stdout","data":"%s"}`, seq, id, text) + "\n"
	}
	for name, c := range map[string]struct{ body, want string }{
		"nothing":         {"", "read the request: unexpected end of JSON input"},
		"no head":         {"x\n", "read the request: invalid character"},
		"an empty line":   {head + "\n", "read the request: unexpected end of JSON input"},
		"half a line":     {head + line(1, "run", "a")[:50], "read the request: unexpected end of JSON input"},
		"no type":         {head + "{}\n", "read the request: event 0 of run  has no type"},
		"another type":    {head + `{"type":"a b"}` + "\n", `"a b" is not a type of events`},
		"a long one":      {head + line(1, "run", strings.Repeat("x", maxEvent)), "event 1 of run run has "},
		"long as written": {head + line(1, "run", strings.Repeat("\u2028", maxEvent/4)), "event 1 of run run has "},
		"all too long":    {head + strings.Repeat(line(1, "run", strings.Repeat("<", maxEvent/8)), 25), "the events up to "},
		"more than one":   {head + `{"run":"run","attempt":1,"first":1}`, "read the request: event 0 of run run has no type"},
		"a long result":   {head + `{"type":"result","outputs":{"a":"` + strings.Repeat("<", maxReport/5) + `"}}` + "\n", "event 1 of run run has "},
		"after a result":  {head + `{"type":"result"}` + "\n" + line(2, "run", "a"), "an event comes after the result"},
		"many":            {head + strings.Repeat("\n", mostEvents+1), "a report has 10001 events; the most is 10000"},
		"an artifact":     {`{"run":"run","attempt":1,"first":1,"result":{"status":"succeeded","artifacts":{"../a":"sha256:0"}}}` + "\n", `the name of an artifact, "../a", is not a name`},
		"not a digest":    {`{"run":"run","attempt":1,"first":1,"result":{"status":"succeeded","artifacts":{"a":"sha256:0"}}}` + "\n", `the digest of the artifact a is not sha256:HEX`},
		"a wrong end":     {`{"run":"run","attempt":1,"first":1,"result":{"status":"running"}}` + "\n", `a run can't end as "running"`},
	} {
		t.Run(name, func(t *testing.T) {
			status, p := r.callAs(t, api.ReportLines, http.MethodPost, "/api/v1/runner/r/"+reporter+"/reports", r.tokens[RoleRunner], c.body)
			if status != http.StatusUnprocessableEntity || !strings.HasPrefix(p.Error(), c.want) {
				t.Errorf("got %d %v, want %s", status, p, c.want)
			}
		})
	}
	status, p := r.call(t, http.MethodPost, "/api/v1/runner/r/"+reporter+"/reports", r.tokens[RoleRunner], head+line(1, "run", "a"))
	if status != http.StatusUnprocessableEntity || !strings.HasPrefix(p.Error(), "read the request: invalid character '{' after top-level value") {
		t.Errorf("lines that aren't called lines: %d %v", status, p)
	}
	if got := r.logOf(t, "run"); got != "0 lines" {
		t.Errorf("the log is %s", got)
	}
	// What it says of its number and its run is corrected.
	body := head + line(7, "other", "a") + line(1, "run", "b")
	if status, p := r.callAs(t, "Application/X-NDJSON; charset=utf-8", http.MethodPost, "/api/v1/runner/r/"+reporter+"/reports", r.tokens[RoleRunner], body); status != http.StatusOK {
		t.Fatal(status, p)
	}
	if got, want := r.logOf(t, "run"), line(1, "RUN", "a")+line(2, "RUN", "b")+"0 lines"; got != want {
		t.Errorf("the log is %s, want %s", got, want)
	}
}

// TestLargeReports has large reports for which there is no place: others are worked on, or others of their pool are coming. They get one
// as soon as it is free.
func TestLargeReports(t *testing.T) {
	for name, places := range map[string]func(r *rig) large{
		"worked on": func(r *rig) large { return r.large },
		"coming":    func(r *rig) large { return r.coming.of(defaultPool) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.held(t, "run", 0)
			one := api.Report{Holding: api.Holding{Run: "run", Attempt: 1}, First: 1}
			for range 4 {
				one.Events = append(one.Events, run.Event{Log: &run.Log{Stream: "stdout", Data: strings.Repeat("x", maxEvent-1000)}})
			}
			send := func(one api.Report) (int, *api.Problem) {
				return r.callAs(t, api.ReportLines, http.MethodPost, "/api/v1/runner/r/"+reporter+"/reports", r.tokens[RoleRunner], asLines(t, one))
			}
			l := places(r)
			for range cap(l) {
				l <- struct{}{}
			}
			r.deadlines.place = time.Millisecond
			if status, p := send(one); status != http.StatusServiceUnavailable || p.Reason != run.CodeBusy || p.Detail != "the server works on other large reports" || p.Remedy != "send it again" {
				t.Errorf("a large one: %d %+v", status, p)
			}
			small := one
			small.Events = one.Events[:1]
			if status, p := send(small); status != http.StatusOK {
				t.Errorf("a small one: %d %+v", status, p)
			}
			r.deadlines.place = time.Hour
			done := make(chan int, 1)
			go func() {
				one.First, one.Events = 2, one.Events[1:]
				status, _ := send(one)
				done <- status
			}()
			for range cap(l) {
				<-l
			}
			if status := <-done; status != http.StatusOK {
				t.Error(status)
			}
			if len(l) != 0 {
				t.Errorf("%d places are taken afterwards", len(l))
			}
		})
	}
}
