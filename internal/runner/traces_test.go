//go:build linux

package runner_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/engine/fake"
	"github.com/mayfly-run/mayfly/internal/trace"
	"github.com/mayfly-run/mayfly/internal/trace/tracetest"
)

// tracer returns a tracer that sends to a receiver soon.
func tracer(t *testing.T, service, url string) *trace.Tracer {
	t.Helper()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
	tr := trace.Open(t.Context(), trace.Options{Service: service, Log: slog.New(slog.DiscardHandler)})
	if tr == nil {
		t.Fatal("no tracer")
	}
	t.Cleanup(tr.Close)
	return tr
}

// traced is a site whose server and runners send traces to a receiver.
func traced(t *testing.T, programs map[string]fake.Program) (*site, *tracetest.Receiver) {
	t.Helper()
	s := newSite(t, programs)
	got := tracetest.New(t) // it ends before the site looks for what is left
	s.trace(got.URL)
	return s, got
}

// trace has the server, and runners from now on, send traces.
func (s *site) trace(url string) {
	s.t.Helper()
	s.down()
	s.traces, s.spans = tracer(s.t, "server", url), tracer(s.t, "runner", url)
	s.up()
}

// TestTraces has a run carried out by a runner in the server's process, and by one that is connected over HTTP: each is one trace of
// both, without anything that the run is given or says.
func TestTraces(t *testing.T) {
	const canary = "canary-f00d-1b3a"
	s, got := traced(t, map[string]fake.Program{"x": func(p *fake.Process) int {
		fmt.Fprintln(p.Stdout, "canary-log", p.Getenv("TOKEN"), p.Getenv("WHO"), p.Getenv("VAR"))
		return 7
	}})
	encoded := "Y2FuYXJ5LWYwMGQtMWIzYQ=="
	if _, err := s.client.SetSecret(t.Context(), "p", "token", "", &api.SetSecret{Value: &encoded}); err != nil {
		t.Fatal(err)
	}
	s.push("tool", "tool.yaml", "name: tool\nimage: i\ncommand: [x]\nargs: [{name: who}]\nenvironment: [TOKEN=/secrets/token, VAR=canary-variable]\n")
	s.runner("here", "here")
	client, err := api.NewClient(api.ClientOptions{Server: s.front.URL, Token: s.runnerToken()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	s.startRunner("there", []string{"there"}, client.Runner("there", "thereaaaaaaaaaaaaaaaaaaaaaaaa"))
	var links []string
	for _, where := range []string{"here", "there"} {
		t.Run(where, func(t *testing.T) {
			r := s.begin(&api.NewRun{Tool: "tool", Runner: []string{where}, Inputs: map[string]any{"who": "canary-input"}, Environment: map[string]string{"MORE": "canary-more"}})
			_, result := s.follow(r.ID)
			want(t, result, " -> failed 7")
			spans := got.Wait(r.ID, `run (server) failed
  queued (server)
  attempt (runner) failed
    creating (runner)
    running (runner)
`)
			about := map[string]string{"mayfly.run": r.ID, "mayfly.project": "p", "mayfly.tool": "tool", "mayfly.attempt": "1", "mayfly.status": "failed", "mayfly.exit_code": "7", "mayfly.code": string(result.Code)}
			for _, one := range spans {
				want := map[string]string{}
				switch one.Name {
				case "run":
					want = maps.Clone(about)
					want["mayfly.kind"] = "tool"
				case "attempt":
					want = maps.Clone(about)
					want["mayfly.runner"] = where
				}
				if !maps.Equal(one.Attributes, want) || one.Failed != (len(want) > 0) || one.End.Before(one.Start) {
					t.Errorf("%s has %v from %v to %v, want %v", one.Name, one.Attributes, one.Start, one.End, want)
				}
			}
			links = append(links, spans[0].Trace+"/"+spans[0].ID)
		})
	}
	s.spans.Close()
	s.traces.Close()
	for _, text := range []string{"canary", canary, encoded, s.token} {
		if bytes.Contains(got.Raw(), []byte(text)) {
			t.Errorf("a span has %q", text)
		}
	}
	for _, one := range got.Spans() {
		if one.Name == "create-run" {
			links = slices.DeleteFunc(links, func(link string) bool { return slices.Equal(one.Links, []string{link}) })
		}
		if one.Kind == "server" && one.Service != "server" {
			t.Errorf("%+v", one)
		}
	}
	if len(links) > 0 {
		t.Errorf("no requests have links to the runs %v", links)
	}
}

// TestTraceOfAWorkflow has a workflow whose server ends between its steps. Another one, which knows nothing of it, makes the rest of the same
// trace.
func TestTraceOfAWorkflow(t *testing.T) {
	began, goOn := make(chan struct{}), make(chan struct{})
	s, got := traced(t, map[string]fake.Program{
		"make": func(p *fake.Process) int {
			close(began)
			<-goOn
			return output(p, "WORD", "canary")
		},
		"use": func(*fake.Process) int { return 0 },
	})
	client, err := api.NewClient(api.ClientOptions{Server: s.front.URL, Token: s.runnerToken()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	s.startRunner("r", nil, client.Runner("r", "raaaaaaaaaaaaaaaaaaaaaaaa"))
	s.push("flow", "flow.yaml", `
name: flow
workflow:
  - {name: make, tool: {image: i, command: [make], outputs: [WORD]}}
  - {name: use, tool: {image: i, command: [use], args: [{name: word}]}, inputs: {word: "${make.WORD}"}}
`)
	r := s.begin(&api.NewRun{Tool: "flow"})
	<-began
	s.down()
	s.traces.Close()
	s.traces = tracer(t, "another", got.URL)
	s.up()
	close(goOn)
	_, result := s.follow(r.ID)
	want(t, result, "make=succeeded use=succeeded -> succeeded 0")
	const step = `    queued (another)
    attempt (runner) succeeded
      creating (runner)
      running (runner)
`
	spans := got.Wait(r.ID, "run (another) succeeded\n  run (another) make succeeded\n"+step+"  run (another) use succeeded\n"+step)
	if spans[0].Attributes["mayfly.kind"] != "workflow" || spans[0].Attributes["mayfly.run"] != r.ID {
		t.Errorf("%+v", spans[0])
	}
	if bytes.Contains(got.Raw(), []byte("canary")) {
		t.Error("a span has an output")
	}
}

// TestABrokenReceiverDelaysNothing has runs while nobody takes their spans.
func TestABrokenReceiverDelaysNothing(t *testing.T) {
	for name, status := range map[string]int{"refuses": http.StatusInternalServerError, "hangs": 0} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "3600000") // so that who waits for it is noticed on any machine
			t.Setenv("OTEL_BSP_EXPORT_TIMEOUT", "3600000")
			s := newSite(t, map[string]fake.Program{"x": func(*fake.Process) int { return 0 }})
			url, asked := tracetest.Broken(t, status)
			s.trace(url)
			s.push("tool", "tool.yaml", "name: tool\nimage: i\ncommand: [x]\n")
			<-asked // of the request that has pushed it
			stop := s.runner("r")
			began := time.Now()
			for range 5 {
				_, result := s.follow(s.begin(&api.NewRun{Tool: "tool"}).ID)
				want(t, result, " -> succeeded 0")
			}
			if took := time.Since(began); took > patience {
				t.Errorf("five runs took %v", took)
			}
			stop()
			began = time.Now()
			s.spans.Close()
			s.traces.Close()
			if took := time.Since(began); took > 15*time.Second {
				t.Errorf("the end took %v", took)
			}
		})
	}
}
