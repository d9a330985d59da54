//go:build linux

package runner_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/engine/fake"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/runner"
	"github.com/mayfly-run/mayfly/internal/server"
	"github.com/mayfly-run/mayfly/internal/tooltest/report"
)

// tested are programs of tools that are tested.
func tested(began chan<- string) map[string]fake.Program {
	return map[string]fake.Program{
		"say": func(p *fake.Process) int {
			fmt.Fprintf(p.Stdout, "%s knows %s", p.Getenv("NAME"), p.Getenv("PASSWORD"))
			return 0
		},
		"wait": func(p *fake.Process) int {
			began <- p.Getenv("NAME")
			<-p.Context.Done()
			return 1
		},
	}
}

const (
	sayTool  = "name: say\nimage: i\ncommand: [say]\nargs: [{name: name, default: x}]\nenvironment: [PASSWORD=/secrets/password]\nretry: {attempts: 3}\n"
	sayTests = `tool: say
secrets: {password: s3cr3t-of-tests}
tests:
  - {name: right, inputs: {name: ada}, expect: {stdout: "ada knows ***"}}
  - {name: wrong, inputs: {name: bob}, expect: {stdout: "ada knows ***"}}
`
)

// testResults are those of a run.
func (s *site) testResults(id string) map[string]string {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.front.URL+api.Prefix+"/projects/p/runs/"+id+"/tests", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	answer, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	var got server.TestResults
	if err := json.NewDecoder(answer.Body).Decode(&got); err != nil || answer.StatusCode != http.StatusOK {
		s.t.Fatal(answer.Status, err)
	}
	all := map[string]string{}
	for _, one := range got.Tests {
		all[one.Name] = one.Status
		for _, f := range one.Failures {
			all[one.Name] += " " + f.Kind
		}
		if one.Type != run.TypeTest || one.File == "" || one.Line == 0 {
			s.t.Errorf("%+v", one)
		}
	}
	return all
}

// TestTests carries tests of a draft and of a published tool out, as mayfly test does. The runner gets their files over the network.
func TestTests(t *testing.T) {
	s := newSite(t, tested(nil))
	client, err := api.NewClient(api.ClientOptions{Server: s.front.URL, Token: s.runnerToken()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	s.startRunner("r", nil, client.Runner("r", "raaaaaaaaaaaaaaaaaaaaaaaa"))
	files := []string{"tool.yaml", sayTool, "deep/say_test.yaml", sayTests}
	s.push("published", files...)
	for name, c := range map[string]struct {
		run    *api.NewRun
		status run.State
		exit   int
		code   run.Code
		want   map[string]string
		log    string
	}{
		"a draft": {
			&api.NewRun{Bundle: s.bundle(files...), Test: &api.NewTest{File: "deep/say_test.yaml"}}, run.Failed, run.ExitFailed, run.CodeTestFailed,
			map[string]string{"right": report.Passed, "wrong": "failed stdout"},
			"::group::right\nada knows ***\n::endgroup::\ndeep/say_test.yaml\n  PASS  right (",
		},
		"a published tool": {
			&api.NewRun{Tool: "published", Version: 1, Test: &api.NewTest{File: "deep/say_test.yaml", Name: "right"}}, run.Succeeded, 0, "",
			map[string]string{"right": report.Passed},
			"1 passed in ",
		},
		"no secret": {
			&api.NewRun{
				Bundle: s.bundle("tool.yaml", sayTool, "tests.yaml", "tool: ./tool.yaml\ntests: [{name: a}, {name: b, secrets: {password: x}}]\n"),
				Test:   &api.NewTest{File: "tests.yaml"},
			}, run.Error, run.ExitError, run.CodeSecretNotFound, map[string]string{"a": report.Errored, "b": report.Passed}, "1 passed, 1 not finished in ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			one := s.begin(c.run)
			events, result := s.follow(one.ID)
			if one.Kind != "test" || result.Status != c.status || result.ExitCode != c.exit || result.Code != c.code {
				t.Errorf("a %s, %+v", one.Kind, result)
			}
			if got := s.testResults(one.ID); fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
			log := ""
			for _, e := range events {
				if e.Log != nil {
					log += string(e.Log.Bytes())
				}
			}
			if !strings.Contains(log, c.log) || strings.Contains(text(t, events), "s3cr3t") {
				t.Errorf("it says\n%s", log)
			}
			asked, err := s.client.Request(t.Context(), "p", one.ID)
			if err != nil || asked.Test == nil || asked.Test.File != c.run.Test.File || len(asked.Tests) != len(c.want) || asked.Definition.Name != "say" {
				t.Errorf("%+v, %v", asked, err)
			}
			again, err := s.client.Rerun(t.Context(), "p", one.ID, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, result := s.follow(again.ID); result.Status != c.status {
				t.Errorf("repeated, it ends as %s", result.Status)
			}
			if got := s.testResults(again.ID); fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("repeated: %v, want %v", got, c.want)
			}
			var p *api.Problem
			if _, err := s.client.Rerun(t.Context(), "p", one.ID, &api.Changes{Inputs: map[string]any{"name": "x"}}); !errors.As(err, &p) || p.Status != http.StatusUnprocessableEntity {
				t.Errorf("with other inputs: %v", err)
			}
		})
	}
}

// TestTestsCancel ends tests: that which runs, and those after it.
func TestTestsCancel(t *testing.T) {
	began := make(chan string, 1)
	s := newSite(t, tested(began))
	s.runner("r")
	one := s.begin(&api.NewRun{
		Bundle: s.bundle("tool.yaml", "name: x\nimage: i\ncommand: [wait]\n", "x_test.yaml", "tool: x\ntests: [{name: a}, {name: b}]\n"), Test: &api.NewTest{File: "x_test.yaml"},
	})
	next(t, began)
	if _, err := s.client.Cancel(t.Context(), "p", one.ID); err != nil {
		t.Fatal(err)
	}
	if _, result := s.follow(one.ID); result.Status != run.Cancelled || result.ExitCode != run.ExitCancelled || result.Code != run.CodeCancelled {
		t.Errorf("%+v", result)
	}
	if got := s.testResults(one.ID); got["a"] != report.Errored || got["b"] != report.Errored {
		t.Error(got)
	}
}

// earlier is a runner of a version that knows no tests.
type earlier struct {
	runner.Server
	took chan *api.Assignment
}

func (e earlier) Messages(ctx context.Context, h *api.Hello, take func(api.Message) error) error {
	h.Tests = false
	return e.Server.Messages(ctx, h, func(m api.Message) error {
		if m.Assign != nil {
			e.took <- m.Assign
		}
		return take(m)
	})
}

func (e earlier) Heartbeat(ctx context.Context, h *api.Heartbeat) (*api.Pulse, error) {
	h.Tests = false
	return e.Server.Heartbeat(ctx, h)
}

// TestTestsOfEarlierRunner gives tests only to runners that know them: an earlier one would carry the tool out, without mocks.
func TestTestsOfEarlierRunner(t *testing.T) {
	s := newSite(t, tested(nil))
	took := make(chan *api.Assignment, 10)
	s.startRunner("old", []string{"mayfly:tests"}, earlier{s.server.Link("default", "old", "oldaaaaaaaaaaaaaaaaaaaaaaaa"), took})
	waitFor(t, "the runner", func() bool {
		all, err := s.client.Runners(t.Context())
		return err == nil && len(all) == 1
	})
	test := &api.NewRun{Bundle: s.bundle("tool.yaml", sayTool, "say_test.yaml", sayTests), Test: &api.NewTest{File: "say_test.yaml", Name: "right"}}
	one := s.begin(test)
	const want = "no runner of the pool default is of a version that can carry the run out; update one"
	if one.Waiting != want || len(one.Needs) > 0 {
		t.Errorf("it waits for %q and needs %q", one.Waiting, one.Needs)
	}
	tool := s.begin(&api.NewRun{Bundle: s.bundle("x.yaml", "name: x\nimage: i\ncommand: [say]\n")})
	s.follow(tool.ID) // after it, a claim has passed the tests over
	if as := <-took; as.Run != tool.ID || len(took) > 0 {
		t.Errorf("it took %+v", as)
	}
	s.runner("new")
	if _, result := s.follow(one.ID); result.Status != run.Succeeded {
		t.Errorf("%+v", result)
	}
	all, err := s.client.Runners(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if len(r.Labels) > 0 {
			t.Errorf("%s has the labels %q", r.Name, r.Labels)
		}
	}
	// One that gets tests nevertheless has no tool to run.
	if kept, err := s.db.Request(t.Context(), "p", one.ID); err != nil || !strings.Contains(string(kept), `"tool":null,"tests":{`) {
		t.Errorf("%s, %v", kept, err)
	}
}
