//go:build linux

package server

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/archive"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/tooltest/report"
)

// draft sends files, the first of which is the definition.
func draft(t *testing.T, c *api.Client, files ...string) *api.Bundle {
	t.Helper()
	b := &api.Bundle{Definition: files[0]}
	for i := 0; i+1 < len(files); i += 2 {
		digest := archive.Digest([]byte(files[i+1]))
		if err := c.PutContent(t.Context(), "default", digest, strings.NewReader(files[i+1])); err != nil {
			t.Fatal(err)
		}
		b.Files = append(b.Files, api.File{Path: files[i], Digest: digest, Size: int64(len(files[i+1]))})
	}
	return b
}

// testRun is what a run of tests says.
type testRun struct {
	run.Result
	log      string
	tests    []report.Event
	recorded map[string]string
}

func runTests(t *testing.T, c *api.Client, n *api.NewRun) testRun {
	t.Helper()
	one, err := c.CreateRun(t.Context(), "default", n)
	if err != nil {
		t.Fatal(err)
	}
	out := testRun{recorded: map[string]string{}}
	err = c.Follow(t.Context(), "default", one.ID, 0, func(e run.Event) {
		switch {
		case e.Log != nil:
			out.log += string(e.Log.Bytes())
		case e.Result != nil:
			out.Result = *e.Result
		case e.Other != nil:
			data, err := json.Marshal(e.Other)
			if err != nil {
				t.Error(err)
			}
			if e.Other.Type == run.TypeTest {
				out.tests = append(out.tests, report.Event{})
				err = json.Unmarshal(data, &out.tests[len(out.tests)-1])
			} else {
				var file report.Recorded
				err = json.Unmarshal(data, &file)
				out.recorded[file.Path] = file.Data
			}
			if err != nil {
				t.Error(err)
			}
		}
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestTests carries out tests of a draft in real sandboxes: with mocks of requests and commands, and with nothing of the network.
func TestTests(t *testing.T) {
	s := newSite(t)
	c := s.client()
	const tool = `name: checker
image: busybox
environment: {URL: "http://service.internal:8080", TOKEN: /secrets/token}
script: |
  #!/bin/sh
  echo "checking as $TOKEN"
  kubectl get pods || exit 3
  wget -q -O - "$URL/health" || exit 4
`
	const tests = `tool: checker
secrets: {token: t0ken-of-tests}
commands: [{command: kubectl, args: [get, pods], stdout: "pod-1\n"}]
tests:
  - name: healthy
    http: [{path: /health, file: health.txt}]
    expect: {stdout: "checking as ***\npod-1\nup\n", requests: [{path: /health, count: 1}]}
  - name: down
    http: [{path: /health, status: 503}]
    expect: {exit_code: 4}
  - name: no mock
  - name: not expected
    http: [{path: /health, body: up}]
    expect: {stdout: {contains: green}}
`
	b := draft(t, c, "tool.yaml", tool, "tests/checker_test.yaml", tests, "tests/health.txt", "up\n")
	got := runTests(t, c, &api.NewRun{Bundle: b, Test: &api.NewTest{File: "tests/checker_test.yaml"}})
	if got.Status != run.Failed || got.ExitCode != 1 || got.Code != run.CodeTestFailed || got.Reason != "2 of 4 tests failed; the first is no mock" {
		t.Errorf("%+v", got.Result)
	}
	for i, want := range []struct{ name, status, failure string }{
		{"healthy", report.Passed, ""}, {"down", report.Passed, ""}, {"no mock", report.Failed, report.KindUnmatchedRequest}, {"not expected", report.Failed, report.KindStdout},
	} {
		one := got.tests[i]
		failure := ""
		if len(one.Failures) > 0 {
			failure = one.Failures[0].Kind
		}
		if one.Name != want.name || one.Status != want.status || failure != want.failure || len(one.Requests) != 1 || len(one.Calls) != 1 || one.File != "tests/checker_test.yaml" || one.Line == 0 {
			t.Errorf("test %d is %+v", i, one)
		}
	}
	if !strings.Contains(got.log, "::group::healthy\nchecking as ***\npod-1\nup\n::endgroup::\n") || !strings.Contains(got.log, "\n  PASS  healthy (") || strings.Contains(got.log, "t0ken") {
		t.Errorf("it says\n%s", got.log)
	}
	s.write("d/tool.yaml", tool)
	s.write("d/tests/checker_test.yaml", tests)
	s.write("d/tests/health.txt", "up\n")
	s.must("tool", "push", "d")
	got = runTests(t, c, &api.NewRun{Tool: "checker", Test: &api.NewTest{File: "tests/checker_test.yaml", Name: "down"}})
	if got.Status != run.Succeeded || len(got.tests) != 1 || got.tests[0].Status != report.Passed {
		t.Errorf("a version: %+v, %+v", got.Result, got.tests)
	}
}

// TestRecording records what the network answers, as far as the tool may reach it, and replays it.
func TestRecording(t *testing.T) {
	s := newSite(t)
	c := s.client()
	set := s.mayfly("secret", "set", "token")
	set.Stdin = strings.NewReader("t0ken-of-project")
	if out, err := set.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	asked := 0
	real := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		fmt.Fprintf(w, "hello %s at %s\n", r.URL.Query().Get("token"), r.URL.Path)
	}))
	defer real.Close()
	_, port, err := net.SplitHostPort(real.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	tool := fmt.Sprintf(`name: asker
image: busybox
environment: {TOKEN: /secrets/token}
command: [sh, -c, 'wget -q -O - "http://host.mayfly.internal:%[1]s/a?token=$TOKEN"; wget -q -O - "http://other.internal:%[1]s/"; true']
network: [{host: host.mayfly.internal, ports: [%[1]s]}]
`, port)
	const tests = "tool: asker\nmocks: asker.mocks.yaml\ntests: [{name: asks}]\n"
	b := draft(t, c, "tool.yaml", tool, "asker_test.yaml", tests)
	got := runTests(t, c, &api.NewRun{Bundle: b, Test: &api.NewTest{File: "asker_test.yaml", Record: true}})
	mocks := got.recorded["asker.mocks.yaml"]
	if asked != 1 || len(got.recorded) != 1 || !strings.Contains(mocks, "/a?token=***") || !strings.Contains(mocks, "hello *** at /a") || strings.Contains(mocks, "t0ken") {
		t.Fatalf("asked %d times; %+v recorded %q\n%s", asked, got.Result, got.recorded, got.log)
	}
	if got.tests[0].Recorded != "asker.mocks.yaml" || strings.Contains(mocks, "other.internal") {
		t.Errorf("%+v", got.tests[0])
	}
	real.Close()
	b = draft(t, c, "tool.yaml", tool, "asker_test.yaml", tests, "asker.mocks.yaml", mocks)
	got = runTests(t, c, &api.NewRun{Bundle: b, Test: &api.NewTest{File: "asker_test.yaml"}})
	if got.Status != run.Succeeded || got.tests[0].Stdout != "hello *** at /a\n" || len(got.recorded) != 0 {
		t.Errorf("%+v\n%s", got.Result, got.log)
	}
}
