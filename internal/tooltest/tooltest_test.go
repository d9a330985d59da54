package tooltest

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mayfly-run/mayfly/internal/condition/cel"
	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/engine/fake"
	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/run/local"
	"github.com/mayfly-run/mayfly/internal/secret"
	"github.com/mayfly-run/mayfly/internal/suite"
	"github.com/mayfly-run/mayfly/internal/tooltest/report"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// images is a store that has every image.
type images struct{}

func (images) Lookup(ref string) (*image.Image, error) {
	return &image.Image{Reference: ref, Digest: "example/" + ref + "@sha256:0"}, nil
}

func (images) Pull(context.Context, string, image.PullOptions) (*image.Image, error) {
	return nil, image.ErrNotFound
}

func (images) Hold(context.Context, *image.Image, string) (func() error, error) {
	return func() error { return nil }, nil
}

type values map[string]string

func (v values) Get(_ context.Context, name string) ([]byte, error) {
	value, ok := v[name]
	if !ok {
		return nil, &secret.NotFoundError{Name: name, Searched: []string{"this machine"}}
	}
	return []byte(value), nil
}

// process is a running program of a test.
type process struct{ *fake.Process }

// newTester returns a tester whose tools all run program.
func newTester(program func(p *process) int) *Tester {
	e := &fake.Engine{Programs: map[string]fake.Program{"go": func(p *fake.Process) int { return program(&process{p}) }}}
	return &Tester{Runner: &local.Runner{Engine: e, Images: images{}, Secrets: values{"real": "machine-secret-1"}}}
}

// answer is the answer to a request.
type answer struct {
	StatusCode int
	Header     http.Header
	Body       string
}

// get sends one request and returns its answer. It does the engine's and the client's part.
func (p *process) get(method, host string, port uint16, target, body string, header ...string) (*answer, error) {
	c, err := net.Dial("unix", p.Local.Connections)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	line, _ := json.Marshal(engine.MockedConnection{Names: []string{host}, Address: "198.19.0.1", Port: port})
	text := fmt.Sprintf("%s\n%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\nConnection: close\r\n", line, method, target, host, len(body))
	for i := 0; i < len(header); i += 2 {
		text += header[i] + ": " + header[i+1] + "\r\n"
	}
	if _, err := io.WriteString(c, text+"\r\n"+body); err != nil {
		return nil, err
	}
	var data strings.Builder
	for {
		var head [4]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return nil, err
		}
		n := binary.BigEndian.Uint32(head[:])
		if n == 0xffffffff {
			return nil, fmt.Errorf("reset")
		}
		if n == 0 {
			break
		}
		if _, err := io.CopyN(&data, c, int64(n)); err != nil {
			return nil, err
		}
	}
	resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(data.String())), nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	return &answer{resp.StatusCode, resp.Header, string(content)}, err
}

// call calls a mocked command.
func (p *process) call(args ...string) {
	_, _, _, _ = p.Call("", args...) // the responder records the call
}

func parse(t *testing.T, tests string) *suite.Suite {
	t.Helper()
	s, err := suite.Parse("a_test.yaml", []byte(tests))
	if err != nil {
		t.Fatal(err)
	}
	s.SetDir(t.TempDir())
	return s
}

// one runs the only test of a suite. rest is the test without its name, indented.
func one(t *testing.T, rest string, program func(p *process) int) *report.Result {
	t.Helper()
	return oneOf(t, newTester(program), rest)
}

func oneOf(t *testing.T, r *Tester, rest string) *report.Result {
	t.Helper()
	s := parse(t, "tool: {name: it, image: an-image, command: [go, a], environment: {TOKEN: /secrets/token, REAL: /secrets/real}, args: [{name: service_url, required: true}, {name: n, type: integer}]}\n"+
		"secrets: {token: test-secret-1}\ninputs: {service_url: x}\ntests:\n- name: a\n"+rest)
	return r.Run(t.Context(), s, &s.Tests[0])
}

func messages(r *report.Result) string {
	text := ""
	for _, f := range r.Failures {
		text += f.Kind + ": " + f.Message + "\n" + f.Diff
	}
	return text
}

func TestExpectations(t *testing.T) {
	const mocks = `  http: [{path: /a, body: x}]
  commands: [{command: git, args: [status]}]
`
	busy := func(p *process) int {
		for range 2 {
			if _, err := p.get("GET", "h.example.com", 80, "/a?x=1", "", "X-Token", p.Getenv("TOKEN")); err != nil {
				fmt.Fprintln(p.Stderr, err)
			}
		}
		p.call("git", "status")
		fmt.Fprintln(p.Stdout, "one\ntwo\nthree "+p.Getenv("TOKEN"))
		p.Output = []byte("OUT=value\n")
		return 3
	}
	for name, c := range map[string]struct{ expect, want string }{
		"nothing":      {"", "exit_code: exit status 3, want 0\n"},
		"any":          {"{exit_code: any}", ""},
		"exit":         {"{exit_code: 3, status: failed}", ""},
		"status alone": {"{status: failed}", ""},
		"other exit":   {"{exit_code: 4}", "exit_code: exit status 3, want 4\n"},
		"other status": {"{status: succeeded}", "status: status failed, want succeeded: exit status 3\n"},
		"stdout":       {`{exit_code: 3, stdout: "one\ntwo\nthree ***"}`, ""},
		"stdout parts": {`{exit_code: 3, stdout: {contains: [one, two], matches: "^two$"}}`, ""},
		"other part":   {`{exit_code: 3, stdout: {contains: four}}`, "stdout: stdout does not contain \"four\"\n"},
		"other stdout": {`{exit_code: 3, stdout: "one\n2\nthree ***"}`, "stdout: stdout differs from what the test expects\n--- expected\n+++ got\n@@ -1,3 +1,3 @@\n one\n-2\n+two\n three ***\n"},
		"stderr":       {`{exit_code: 3, stderr: ""}`, ""},
		"output":       {`{exit_code: 3, outputs: {OUT: value}}`, ""},
		"other output": {`{exit_code: 3, outputs: {OUT: x}}`, "output: output OUT, \"value\", is not \"x\"\n"},
		"no output":    {`{exit_code: 3, outputs: {NONE: x}}`, "output: there is no output NONE; there are OUT\n"},
		"requests":     {`{exit_code: 3, requests: [{path: /a, count: 2, query: {x: "1"}, headers: {x-token: test-secret-1}}, {path: /b, count: 0}]}`, ""},
		"other count":  {`{exit_code: 3, requests: [{path: /a, count: 1}]}`, "request: expect.requests[0], /a: 2 came, want 1\n"},
		"no request":   {`{exit_code: 3, requests: [{method: POST, path: /a}]}`, "request: expect.requests[0], POST /a: none came, want at least 1; the nearest, GET http://h.example.com/a?x=1, differs in method: POST\n"},
		"order":        {`{exit_code: 3, in_order: true, requests: [{path: /a}, {path: /a}]}`, ""},
		"not in order": {`{exit_code: 3, in_order: true, requests: [{path: /a}, {path: /a}, {path: /a}]}`, "request: expect.requests[2], /a: it came, but not after expect.requests[1]\n"},
		"calls":        {`{exit_code: 3, commands: [{command: git, args: {prefix: []}, count: 1}]}`, ""},
		"other call":   {`{exit_code: 3, commands: [{command: git, args: [log]}]}`, "command: expect.commands[0], git log: none came, want at least 1; the nearest, git status, differs in args: word 1: log\n"},
		"too many":     {`{exit_code: 3, commands: [{command: git, count: 0}]}`, "command: expect.commands[0], git: 1 came, want none\n"},
		"all used":     {`{exit_code: 3, all_mocks_used: true}`, ""},
	} {
		text := mocks
		if c.expect != "" {
			text += "  expect: " + c.expect + "\n"
		}
		r := one(t, text, busy)
		status := report.Passed
		if c.want != "" {
			status = report.Failed
		}
		if got := messages(r); got != c.want || r.Status != status {
			t.Errorf("%s: %s %s\n%s\nwant\n%s", name, r.Status, r.Error, got, c.want)
		}
	}
}

// TestUnmatched checks that requests and calls without a mock fail a test whatever it expects, each with one message.
func TestUnmatched(t *testing.T) {
	r := one(t, "  http: [{path: /a}]\n  commands: [{command: git, args: [status]}]\n  expect: {exit_code: any}\n", func(p *process) int {
		for range 3 {
			_, _ = p.get("GET", "h.example.com", 443, "/b", "")
		}
		p.call("git", "log")
		c, err := net.Dial("unix", p.Local.Connections)
		if err != nil {
			return 9
		}
		defer c.Close()
		_, _ = io.WriteString(c, `{"names":["db.example.com"],"address":"198.19.0.1","port":5432}`+"\nSSH-2.0-x\r\n")
		_, _ = io.Copy(io.Discard, c)
		for range 2 {
			c, err := net.Dial("unix", p.Local.Commands)
			if err != nil {
				return 9
			}
			_, _ = io.WriteString(c, "\x7f\xff\xff\xffgarbage")
			_, _ = io.Copy(io.Discard, c)
			c.Close()
		}
		return 0
	})
	want := `unmatched_request: GET http://h.example.com:443/b has no mock; the nearest, http[0], differs in path: /a (3 times)
unmatched_request: connection to db.example.com port 5432: the tool sent "SSH-2.0-x\r\n", which isn't HTTP; mocks speak HTTP
unmatched_command: git log has no mock; the nearest, commands[0], differs in args: word 1: status
unmatched_command: connection to the mocked commands: what connects isn't a mocked command: it sends more arguments than Linux takes (2 times)
`
	if got := messages(r); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if len(r.Notes) != 1 || r.Notes[0] != "mocks that answered nothing: http[0], commands[0]" {
		t.Errorf("notes %q", r.Notes)
	}
}

// TestUnmatchedBeyondTheRecord checks that a request without a mock fails the test even if there were too many to record it.
func TestUnmatchedBeyondTheRecord(t *testing.T) {
	r := one(t, "  http: [{path: /a}]\n  expect: {exit_code: any}\n", func(p *process) int {
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				c, err := net.Dial("unix", p.Local.Connections)
				if err != nil {
					return
				}
				defer c.Close()
				_, _ = io.WriteString(c, `{"address":"127.0.0.1","port":80}`+"\n")
				go func() {
					text := strings.Repeat("GET /a HTTP/1.1\r\nHost: x\r\n\r\n", 500) + "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
					_, _ = io.WriteString(c, text)
				}()
				_, _ = io.Copy(io.Discard, c) // until all are answered
			})
		}
		all.Wait()
		_, _ = p.get("GET", "x", 80, "/b", "")
		return 0
	})
	if got := messages(r); r.Status != report.Failed || !strings.Contains(got, "a request or connection without a mock, which was not recorded because there were too many") {
		t.Errorf("%s: %d requests, %s", r.Status, len(r.Requests), got)
	}
}

// TestInterruptedSaysWhatHasNoMock checks that a test that is interrupted names the request without a mock: a client may try
// again for minutes if nothing answers.
func TestInterruptedSaysWhatHasNoMock(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := newTester(func(p *process) int {
		_, _ = p.get("GET", "api.example.com", 80, "/x", "")
		cancel()
		<-p.Context.Done()
		return 0
	})
	s := parse(t, "tool: {image: i, command: [go, a]}\ntests: [{name: a, expect: {exit_code: 3}}]\n")
	res := r.Run(ctx, s, &s.Tests[0])
	if got := messages(res); res.Status != report.Errored || got != "unmatched_request: GET http://api.example.com/x has no mock; there are none\n" {
		t.Errorf("%s %s: %s", res.Status, res.Error, got)
	}
}

func TestTimes(t *testing.T) {
	once := func(p *process) int {
		_, _ = p.get("GET", "h.example.com", 80, "/a", "")
		return 0
	}
	if r := one(t, "  http: [{path: /a}, {path: /b}]\n", once); r.Status != report.Passed || len(r.UnusedMocks) != 1 {
		t.Errorf("an unused mock: %s", messages(r))
	}
	if r := one(t, "  http: [{path: /a, times: 2}]\n", once); messages(r) != "unused_mock: http[0] (a_test.yaml:6:10) answered 1 of the 2 requests that times requires\n" {
		t.Errorf("times: %s", messages(r))
	}
	if r := one(t, "  http: [{path: /a}]\n  commands: [{command: git}]\n  expect: {all_mocks_used: true}\n", once); messages(r) != "unused_mock: commands[0] (a_test.yaml:7:14) answered nothing\n" {
		t.Errorf("all_mocks_used: %s", messages(r))
	}
}

// TestRefusedByItsOwnNetwork checks that a refusal by the tool's own network is noted with a failure.
func TestRefusedByItsOwnNetwork(t *testing.T) {
	r := one(t, "  expect: {}\n", func(p *process) int {
		p.Report(engine.Event{Connection: &engine.Connection{Host: "x.example.com", Port: 443, Protocol: "tcp", Reason: "no egress rule allows it", Suggest: `{host: "x.example.com"}`}})
		p.Report(engine.Event{Connection: &engine.Connection{Host: "y.example.com", Port: 80, Protocol: "tcp", Allowed: true, Reason: "connection refused"}})
		p.Report(engine.Event{Connection: &engine.Connection{Host: "z.example.com", Port: 80, Protocol: "tcp", Allowed: true, Mocked: true, Reason: "reset"}})
		return 1
	})
	want := `the tool's own network refuses tcp x.example.com port 443: no egress rule allows it; to allow it, list everything that the tool needs under network.egress, with {host: "x.example.com"}`
	if len(r.Notes) != 2 || r.Notes[0] != want || r.Notes[1] != "not reached: tcp y.example.com port 80: connection refused" {
		t.Errorf("notes %q", r.Notes)
	}
	if len(r.Connections) != 3 {
		t.Errorf("connections %+v", r.Connections)
	}
}

func TestSecrets(t *testing.T) {
	r := one(t, "  http: [{path: /a}]\n", func(p *process) int {
		fmt.Fprintln(p.Stdout, p.Getenv("TOKEN"), p.Getenv("REAL"))
		_, _ = p.get("POST", "h.example.com", 80, "/a?k="+p.Getenv("REAL"), p.Getenv("REAL")+p.Getenv("TOKEN"), "X-Real", p.Getenv("REAL"), "X-Token", p.Getenv("TOKEN"))
		p.call("curl", p.Getenv("REAL"))
		p.Output = []byte("OUT=" + p.Getenv("REAL") + "\n")
		return 0
	})
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), "machine-secret-1") {
		t.Errorf("this machine's secret is in %s", data)
	}
	if r.Stdout != "*** ***\n" {
		t.Errorf("stdout %q", r.Stdout)
	}
	// The test's own secret is in its file, and its author compares with it.
	if h := r.Requests[0].Headers["X-Token"]; len(h) != 1 || h[0] != "test-secret-1" {
		t.Errorf("header %q", h)
	}
	none := &Tester{Runner: &local.Runner{Engine: &fake.Engine{}, Images: images{}}}
	if r := oneOf(t, none, "  secrets: {token: x}\n"); r.Status != report.Errored || !strings.Contains(r.Error, `secret "real" not found; looked in: the test's secrets; give the test a value: secrets: {real: VALUE}`) {
		t.Errorf("a missing secret: %s %s", r.Status, r.Error)
	}
}

// TestExpectedSecret checks that a test that expects a secret in the output is told that secrets are masked.
func TestExpectedSecret(t *testing.T) {
	prints := func(p *process) int {
		fmt.Fprintln(p.Stdout, "token "+p.Getenv("TOKEN")+"\nmore")
		return 0
	}
	const told = "; secrets are printed as ***: expect that instead\n"
	for _, c := range []struct {
		expect string
		told   bool
	}{
		{`"token test-secret-1\nmore\n"`, true},
		{`{glob: "*test-secret-1*"}`, true},
		{`{contains: test-secret-1}`, true},
		{`{contains: another}`, false},
		{`{contains: "***"}`, false},
	} {
		got := messages(one(t, "  expect: {stdout: "+c.expect+"}\n", prints))
		if strings.Contains(got, told) != c.told {
			t.Errorf("%s: %q", c.expect, got)
		}
	}
}

func TestWorld(t *testing.T) {
	r := one(t, `  environment: {SERVICE_URL: "http://localhost:8080", N: "5", OTHER: x}
  http: [{path: /a, port: 8080}]
  commands: [{command: git}]
  allow_network: ["api.example.com:443"]
  timeout: 7s
`, func(p *process) int {
		m := p.Spec.Mocks
		fmt.Fprintln(p.Stdout, p.Getenv("SERVICE_URL"), p.Getenv("N"), p.Getenv("OTHER"))
		fmt.Fprintln(p.Stdout, m.Loopback, m.Commands, m.Allow.Mode, m.Allow.Egress, len(m.Authority) > 100)
		return 0
	})
	want := "http://localhost:8080 5 x\n[8080] [git] list [{host: \"api.example.com\", ports: [443]}] true\n"
	if r.Stdout != want || r.Status != report.Passed {
		t.Errorf("%s %q, want %q (%s)", r.Status, r.Stdout, want, r.Error)
	}
	// An argument that the test doesn't give is still required.
	s := parse(t, "tool: {image: i, command: [go, a], args: [{name: service_url, required: true}]}\ntests: [{name: a}, {name: b, environment: {SERVICE_URL: x}}, {name: c, timeout: 100ms, environment: {SERVICE_URL: x}}]\n")
	slow := newTester(func(p *process) int {
		<-p.Context.Done()
		return 0
	})
	if r := slow.Run(t.Context(), s, &s.Tests[0]); r.Status != report.Errored || !strings.Contains(r.Error, `argument "service_url" (string) is required but not given`) {
		t.Errorf("%s %s", r.Status, r.Error)
	}
	if r := slow.Run(t.Context(), s, &s.Tests[2]); messages(r) != "exit_code: exit status 124, want 0: timed out after 100ms\n" {
		t.Errorf("%s", messages(r))
	}
}

// TestAllInOrder checks that results come in the order of the tests, whichever ends first, and that no more tests run at
// once than are asked for.
func TestAllInOrder(t *testing.T) {
	const atOnce = 4
	var mu sync.Mutex
	running, most := 0, 0
	full, last := make(chan struct{}), make(chan struct{}) // closed when atOnce tests run, and when the last test ends
	closeFull := sync.OnceFunc(func() { close(full) })
	r := newTester(func(p *process) int {
		mu.Lock()
		running++
		if most = max(most, running); running == atOnce {
			closeFull()
		}
		mu.Unlock()
		var n int
		_, _ = fmt.Sscan(p.Getenv("N"), &n)
		until := full
		switch n {
		case 0:
			until = last
		case 9:
			defer close(last)
		}
		select {
		case <-until:
			time.Sleep(5 * time.Millisecond) // for more
		case <-time.After(time.Minute):
		}
		mu.Lock()
		running--
		mu.Unlock()
		return n % 2
	})
	text := "tool: {image: i, command: [go, a]}\ntests:\n"
	for i := range 10 {
		text += fmt.Sprintf("- {name: t%d, environment: {N: %d}}\n", i, i)
	}
	s := parse(t, text)
	var jobs []Job
	for i := range s.Tests {
		jobs = append(jobs, Job{Suite: s, Test: &s.Tests[i]})
	}
	names, ended := "", 0
	sum := r.All(t.Context(), jobs, atOnce, func(n int) { ended = n }, func(r *report.Result) { names += r.Name })
	if names != "t0t1t2t3t4t5t6t7t8t9" || ended != 10 || most != atOnce || sum.Tests != 10 || sum.Passed != 5 || sum.Failed != 5 {
		t.Errorf("%s, %d ended, %d at once, %+v", names, ended, most, sum)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	sum = r.All(ctx, jobs, 4, func(int) {}, func(r *report.Result) {
		if r.Error != "not run: the tests were interrupted" {
			t.Errorf("%s: %s", r.Name, r.Error)
		}
	})
	if sum.Errors != 10 {
		t.Errorf("%+v", sum)
	}
}

func TestWorkflow(t *testing.T) {
	s := parse(t, "workflow: flow.yaml\ntests:\n- name: a\n  inputs: {x: one}\n  steps: {build: {outputs: {TAG: v1}, stdout: built}}\n  expect: {status: succeeded, stdout: \"built\\nv1 one\", steps: {build: succeeded, deploy: succeeded, undo: failed}}\n- name: b\n  inputs: {x: one}\n  steps: {build: {exit_code: 4}}\n  expect: {exit_code: 4, status: failed, steps: {build: failed, deploy: skipped, undo: succeeded}}\n- {name: d}\n")
	dir := t.TempDir()
	s.SetDir(dir)
	flow := `
inputs: [{name: x, required: true}]
workflow:
- {name: build, tool: {image: i, command: [go, fail]}, outputs: [TAG]}
- {name: deploy, tool: {image: i, command: [go, deploy]}, inputs: {TAG: "${build.TAG} ${inputs.x}"}}
- {name: undo, tool: {image: i, command: [go, nothing]}, condition: "${deploy.status} == 'skipped' || always()"}
`
	if err := os.WriteFile(filepath.Join(dir, "flow.yaml"), []byte(flow), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newTester(func(p *process) int {
		if v := p.Getenv("TAG"); v != "" {
			fmt.Fprintln(p.Stdout, v)
		}
		return 0
	})
	r.Conditions = &cel.Evaluator{}
	res := r.Run(t.Context(), s, &s.Tests[0])
	if got, want := messages(res), "step: step undo ended as succeeded, want failed\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if res := r.Run(t.Context(), s, &s.Tests[1]); res.Status != report.Passed {
		t.Errorf("%s: %s%s", res.Status, res.Error, messages(res))
	}
	if res := r.Run(t.Context(), s, &s.Tests[2]); res.Status != report.Errored || !strings.Contains(res.Error, `argument "x" (string) is required but not given`) {
		t.Errorf("%s %s", res.Status, res.Error)
	}
	for text, want := range map[string]string{
		"{name: c, steps: {biuld: {}}}":                    `the workflow has no step "biuld"; did you mean "build"?`,
		"{name: c, expect: {steps: {nothing: succeeded}}}": `the workflow has no step "nothing"; its steps are build, deploy or undo`,
	} {
		s := parse(t, "workflow: flow.yaml\ntests: ["+text+"]\n")
		s.SetDir(dir)
		if res := r.Run(t.Context(), s, &s.Tests[0]); res.Status != report.Errored || !strings.Contains(res.Error, want) {
			t.Errorf("%s %s, want %s", res.Status, res.Error, want)
		}
	}
}

// TestMockedStdout checks that a mocked step prints once for each time it runs, and nothing if it is skipped.
func TestMockedStdout(t *testing.T) {
	dir := t.TempDir()
	flow := `
workflow:
- {name: one, tool: {image: i, command: [go, a]}, outputs: [TAG]}
- {name: two, tool: {image: i, command: [go, a]}, condition: "${one.TAG} == 'v1'"}
- {name: all, tool: {image: i, command: [go, a]}, for_each: [a, b], condition: always()}
- {name: none, tool: {image: i, command: [go, a]}, for_each: [], condition: always()}
`
	if err := os.WriteFile(filepath.Join(dir, "flow.yaml"), []byte(flow), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newTester(func(*process) int { return 0 })
	r.Conditions = &cel.Evaluator{}
	for tag, want := range map[string]string{"v1": "two\nall\nall\n", "v2": "all\nall\n"} {
		s := parse(t, "workflow: flow.yaml\ntests:\n- name: a\n  steps: {one: {outputs: {TAG: "+tag+"}}, two: {stdout: two}, all: {stdout: all}, none: {stdout: none}}\n")
		s.SetDir(dir)
		if res := r.Run(t.Context(), s, &s.Tests[0]); res.Stdout != want {
			t.Errorf("with %s: %q, want %q; %s%s", tag, res.Stdout, want, res.Error, messages(res))
		}
	}
}

func TestOutputIsBounded(t *testing.T) {
	r := one(t, "", func(p *process) int {
		block := []byte(strings.Repeat("x", 1<<20))
		for range 10 {
			_, _ = p.Stdout.Write(block)
		}
		_, _ = p.Stderr.Write([]byte{0xff})
		return 0
	})
	if len(r.Stdout) != maxOutput || !r.StdoutTruncated || r.Stderr != "" || string(r.StderrBase64) != "\xff" {
		t.Errorf("%d bytes of output (%v), %q", len(r.Stdout), r.StdoutTruncated, r.StderrBase64)
	}
}
