//go:build linux

package tooltest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/sdk/go/tooltest"
)

// shell returns a tool that runs one command.
func shell(command string) map[string]any {
	return map[string]any{
		"name": "shelled", "image": "mayfly/shell", "command": command,
		"network": map[string]any{"egress": []any{map[string]any{"host": "*.example.com"}}},
	}
}

// get returns a tool that requests each path.
func get(paths ...string) map[string]any {
	var command strings.Builder
	for _, p := range paths {
		command.WriteString("curl -s 'http://localhost:8080" + p + "'; echo; ")
	}
	return shell(command.String() + "true")
}

// wants checks that exactly one text was reported, and that it matches the pattern.
func wants(t *testing.T, texts []string, pattern string) {
	t.Helper()
	if len(texts) != 1 || !regexp.MustCompile("(?s)"+pattern).MatchString(texts[0]) {
		t.Errorf("reported %q, want one that matches %q", texts, pattern)
	}
}

func TestAnswers(t *testing.T) {
	tool := tooltest.Inline(t, get("/a", "/a", "/b")).
		HTTP(tooltest.Request{}, tooltest.Response{Status: 500, Body: "any"}).
		HTTP(tooltest.Request{Path: "/b"}, tooltest.Response{Body: "never"}).
		HTTP(tooltest.Request{Method: "GET", Path: "/*", Times: 1}, tooltest.Response{Body: "once"}).
		HTTP(tooltest.Request{Host: "localhost", Port: 8080, Path: "/b"}, tooltest.Response{JSON: []int{1}})
	for range 2 { // each run starts afresh
		res := tool.Run(t.Context(), nil).WantExit(0).WantStatus("succeeded").WantStdout("once\nany\n[1]\n")
		res.NoRequest(tooltest.Request{Method: "POST"})
		found := res.WantRequest(tooltest.Request{Method: "get", URL: "http://localhost:8080/a", Headers: map[string]string{"user-agent": "curl/*"}, Times: 2})
		if len(found) != 2 || found[1].Status != 500 || !strings.HasPrefix(found[0].Mock, "HTTP(GET /*) at tooltest_test.go:") {
			t.Errorf("found %+v", found)
		}
		if len(res.UnusedMocks) != 1 || !strings.HasPrefix(res.UnusedMocks[0], "HTTP(/b) at") || res.Duration <= 0 || res.Usage.MemoryPeakBytes == 0 || !res.Connections[0].Mocked {
			t.Errorf("result %+v", res)
		}
	}
}

func TestBodies(t *testing.T) {
	long := strings.Repeat("a,b:{c}\u2028\U0001f600<&>", 5000)
	for name, c := range map[string]struct {
		response tooltest.Response
		want     []byte
		kind     string
	}{
		"text":   {tooltest.Response{Body: "x\u0085\ufeff\x7f"}, []byte("x\u0085\ufeff\x7f"), "text/plain; charset=utf-8"},
		"long":   {tooltest.Response{Body: long}, []byte(long), "text/plain; charset=utf-8"},
		"bytes":  {tooltest.Response{Bytes: []byte("\x00\xff")}, []byte("\x00\xff"), "application/octet-stream"},
		"null":   {tooltest.Response{JSON: json.RawMessage("null")}, []byte("null"), "application/json"},
		"xml":    {tooltest.Response{Body: "<a/>", Headers: http.Header{"Content-Type": {"application/xml"}}}, []byte("<a/>"), "application/xml"},
		"parts":  {tooltest.Response{Chunks: []tooltest.Chunk{{Body: "a"}, {Body: "b", Delay: time.Millisecond}}}, []byte("ab"), "text/plain; charset=utf-8"},
		"a file": {tooltest.Response{File: "testdata/workflows/release.yaml"}, nil, "application/yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			tool := tooltest.Inline(t, shell("curl -s -w '%{stderr}%{content_type}' http://localhost/body")).HTTP(tooltest.Request{}, c.response)
			res := tool.Run(t.Context(), nil).WantExit(0)
			if c.want == nil {
				c.want, _ = os.ReadFile(c.response.File)
			}
			if !bytes.Equal([]byte(res.Stdout), c.want) || res.Stderr != c.kind {
				t.Errorf("%d bytes of %s, want %d of %s", len(res.Stdout), res.Stderr, len(c.want), c.kind)
			}
		})
	}
}

func TestRequestsAndSequences(t *testing.T) {
	tool := tooltest.Inline(t, shell(`
		curl -s -w '%{http_code}\n' -H 'X-Token: s3' -d '{"name": "ann", "age": 7}' 'http://a.example.com/users/7?page=1&more=2'
		for i in 1 2 3; do curl -s -w '%{http_code}\n' https://a.example.com/flaky; done
		curl -s -m 0.5 http://a.example.com/slow; echo $?`)).
		HTTP(tooltest.Request{
			Method: "POST", PathRegex: `/users/\d+`, Query: map[string]string{"page": "1", "more": "*"}, Headers: map[string]string{"X-Token": "s*"},
			JSON: map[string]any{"name": "ann"}, BodyContains: "age",
		}, tooltest.Response{Status: 201, Headers: http.Header{"X-A": {"1", "2"}}}).
		HTTP(tooltest.Request{URL: "https://*.example.com/flaky"}, tooltest.Response{Status: 503}, tooltest.Response{Reset: true}, tooltest.Response{Body: "up", Delay: time.Millisecond}).
		HTTP(tooltest.Request{Path: "/slow"}, tooltest.Response{Timeout: true})
	res := tool.Run(t.Context(), nil).WantExit(0).WantStdout("201\n503\n000\nup200\n28\n")
	post := res.WantRequest(tooltest.Request{Path: "/users/*?page=1", JSON: map[string]any{"age": 7}, Body: `{"name": "ann", "age": 7}`, BodyContains: "ann", PathRegex: `/users/.`})
	if len(post) == 1 && post[0].BodySize != 25 {
		t.Errorf("request %+v", post[0])
	}
	res.WantRequest(tooltest.Request{URL: "https://a.example.com/flaky", Times: 3})
}

func TestUnmatched(t *testing.T) {
	var r recorder
	tool := tooltest.Inline(&r, shell("curl -s http://localhost:8080/helth; git pull; true")).
		HTTP(tooltest.Request{Path: "/health"}, tooltest.Response{}).
		Command(tooltest.Call{Command: "git", Args: []string{"push"}, Times: 2}, tooltest.Answer{})
	tool.Run(t.Context(), nil)
	wants(t, r.errors, `^GET http://localhost:8080/helth has no mock; the nearest, HTTP\(/health\) at tooltest_test\.go:\d+, differs in path: /health
git pull has no mock; the nearest, Command\(git push\) at tooltest_test\.go:\d+, differs in args: [^\n]*
Command\(git push\) at tooltest_test\.go:\d+ answered 0 of the 2 calls [^\n]*
shelled: succeeded
  note: mocks that answered nothing: HTTP\(/health\) at [^\n]*
  requests:
    GET http://localhost:8080/helth -> no answer
  commands:
    git pull -> no answer`)
	var quiet recorder
	res := tooltest.Inline(&quiet, get("/x")).HTTP(tooltest.Request{Path: "/health"}).Unchecked().Run(t.Context(), nil)
	if len(quiet.errors) != 0 || len(res.Failures) != 1 || res.Failures[0].Kind != "unmatched_request" {
		t.Errorf("errors %q, failures %v", quiet.errors, res.Failures)
	}
}

func TestWorld(t *testing.T) {
	definition := shell(`echo "$A|$REGION|$COUNT|$TOKEN"; test "$TOKEN" = correct-horse && echo "TAG=v1" >> "$MAYFLY_OUTPUT"; echo oops >&2; exit 3`)
	definition["args"] = []any{map[string]any{"name": "region", "required": true}, map[string]any{"name": "count", "type": "integer"}}
	definition["environment"] = map[string]any{"A": "old", "TOKEN": "/secrets/token"}
	definition["outputs"] = []string{"TAG"}
	tool := tooltest.Inline(t, definition).Env("A", "new \U0001f600").Env("REGION", "eu").Secret("token", "correct-horse")
	tool.Run(t.Context(), map[string]any{"count": 3}).WantExit(3).WantStatus("failed").WantStdout("new \U0001f600|eu|3|***\n").WantStderr("oops").WantOutput("TAG", "v1")
	tooltest.Inline(t, shell("exec sleep 60")).Timeout(300*time.Millisecond).Run(t.Context(), nil).WantStatus("timed_out").WantExit(124)
}

func TestCalls(t *testing.T) {
	tool := tooltest.Inline(t, shell(`kubectl get pods; for i in 1 2; do echo 'kind: Pod' | kubectl apply -f -; done; kubectl delete 'a b'; echo $?`)).
		Command(tooltest.Call{Command: "kubectl"}, tooltest.Answer{ExitCode: 9}).
		Command(tooltest.Call{Command: "kubectl", Args: []string{"get", "*"}}, tooltest.Answer{Stdout: "pod-1\n"}).
		Command(tooltest.Call{Command: "kubectl", Args: []string{"apply"}, Prefix: true, StdinContains: "Pod"}, tooltest.Answer{Stderr: "busy\n", ExitCode: 1}, tooltest.Answer{Stdout: "applied\n"})
	res := tool.Run(t.Context(), nil).WantStdout("pod-1\napplied\n9\n").WantStderr("busy")
	res.WantCall(tooltest.Call{Command: "kubectl", Times: 4})
	calls := res.WantCall(tooltest.Call{Command: "kubectl", Args: []string{"apply"}, Prefix: true, Stdin: "kind: Pod", Times: 2})
	if len(calls) == 2 && (calls[0].ExitCode != 1 || string(calls[1].Stdin) != "kind: Pod\n") {
		t.Errorf("calls %+v", calls)
	}
	res.NoCall(tooltest.Call{Command: "kubectl", Args: []string{"delete"}}).NoCall(tooltest.Call{Command: "git"})
}

func TestWants(t *testing.T) {
	var r recorder
	res := tooltest.Inline(&r, shell("curl -s http://localhost:8080/health; git push a; echo TAG=v1 >> $MAYFLY_OUTPUT; printf '\\033[31mred'; exit 2")).
		HTTP(tooltest.Request{}, tooltest.Response{}).Command(tooltest.Call{Command: "git"}, tooltest.Answer{}).Run(t.Context(), nil)
	for _, c := range []struct {
		want  func()
		wants string
	}{
		{func() { res.WantExit(0) }, "^exit status 2, want 0\nshelled: failed, exit status 2\n  requests:\n.*  stdout:\n    \ufffd\\[31mred$"},
		{func() { res.WantStatus("succeeded") }, "^status failed, want succeeded"},
		{func() { res.WantStdout("blue") }, `^stdout does not contain "blue"`},
		{func() { res.WantStderr("blue") }, `^stderr does not contain "blue"`},
		{func() { res.WantOutput("GAT", "") }, `^there is no output GAT`},
		{func() { res.WantStep("x", "failed") }, `^there is no step x`},
		{func() { res.WantRequest(tooltest.Request{Method: "POST", Path: "/health"}) }, `^POST /health: none came, want at least 1; the nearest, GET http://localhost:8080/health, differs in method: want POST\n`},
		{func() { res.WantRequest(tooltest.Request{Times: 2}) }, `^any request: 1 came, want 2\n`},
		{func() { res.NoRequest(tooltest.Request{}) }, `^any request: 1 came, want none\n`},
		{func() { res.WantRequest(tooltest.Request{URL: "https://localhost:8080/health?a=b"}) }, `differs in scheme: want https and query a: \[\] is not "b"`},
		{func() { res.WantRequest(tooltest.Request{Headers: map[string]string{"X-No": "*"}}) }, `differs in header X-No: \[\] is not`},
		{func() {
			res.WantRequest(tooltest.Request{Host: "x", Port: 1, PathRegex: "/", JSON: 1, Body: "a", BodyContains: "b"})
		}, `differs in host: .* and port: .* and path: .* and body: .* and body: .* and json: the body isn't JSON`},
		{func() { res.WantCall(tooltest.Call{Command: "git", Args: []string{"push"}}) }, `^git push: none came, want at least 1; the nearest, git push a, differs in args: word 2, "a", is one too many`},
		{func() { res.NoCall(tooltest.Call{Command: "git"}) }, `^git: 1 came, want none`},
	} {
		r.errors = nil
		c.want()
		wants(t, r.errors, c.wants)
	}
}

func TestErrors(t *testing.T) {
	for want, run := range map[string]func(t *testing.T, r *recorder){
		`^HTTP\(/x\) at tooltest_test.go:\d+: status .*999`: func(t *testing.T, r *recorder) {
			tooltest.Inline(r, shell("true")).HTTP(tooltest.Request{Path: "/x"}, tooltest.Response{Status: 999}).Run(t.Context(), nil)
		},
		`^HTTP\(any request\) at .*: a response has 2 of Body, Bytes, JSON, File and Chunks`: func(_ *testing.T, r *recorder) {
			tooltest.Inline(r, shell("true")).HTTP(tooltest.Request{}, tooltest.Response{Body: "x", JSON: 1})
		},
		`^Command\(a/b\) at tooltest_test.go:\d+: .*is a path`: func(t *testing.T, r *recorder) {
			tooltest.Inline(r, shell("true")).Command(tooltest.Call{Command: "a/b"}, tooltest.Answer{}).Run(t.Context(), nil)
		},
		`^tool "nowhere" is not found`: func(t *testing.T, r *recorder) { tooltest.New(r, "nowhere").Run(t.Context(), nil) },
		`^tool x/y.yaml is not found: there is no file`: func(_ *testing.T, r *recorder) {
			tooltest.New(r, "x/y.yaml")
		},
		`^Step\(biuld\) at tooltest_test.go:\d+: the workflow has no step`: func(t *testing.T, r *recorder) {
			tooltest.NewWorkflow(r, "testdata/workflows/release.yaml").Step("biuld", tooltest.Step{}).Run(t.Context(), nil)
		},
		`^MAYFLY is "/nowhere"`: func(t *testing.T, r *recorder) {
			t.Setenv("MAYFLY", "/nowhere")
			tooltest.Inline(r, shell("true")).Run(t.Context(), nil)
		},
		`^the mayfly command is not found in PATH.*make build`: func(t *testing.T, r *recorder) {
			t.Setenv("MAYFLY", "")
			t.Setenv("PATH", t.TempDir())
			tooltest.Inline(r, shell("true")).Run(t.Context(), nil)
		},
	} {
		t.Run(want, func(t *testing.T) {
			var r recorder
			run(t, &r)
			wants(t, r.fatal, want)
		})
	}
}

func TestWorkflow(t *testing.T) {
	t.Chdir("testdata")
	tool := tooltest.NewWorkflow(t, "release").Step("build", tooltest.Step{Outputs: map[string]string{"TAG": "v2"}, Stdout: "built"}).Step("check", tooltest.Step{})
	tool.HTTP(tooltest.Request{Method: "POST", Path: "/deploy", Body: "v2"}, tooltest.Response{Body: "deployed"})
	tool.Run(t.Context(), nil).WantStatus("succeeded").WantStep("deploy", "succeeded").WantStdout("built\n", "deployed")
	tool = tooltest.NewWorkflow(t, "workflows/release.yaml").Step("build", tooltest.Step{}).Step("check", tooltest.Step{ExitCode: 3})
	res := tool.Run(t.Context(), nil).WantStatus("failed").WantStep("check", "failed").WantStep("deploy", "skipped")
	if want := (tooltest.StepResult{Status: "failed", ExitCode: 3, Code: "tool_failed", Reason: res.Steps["check"].Reason}); !reflect.DeepEqual(res.Steps["check"], want) {
		t.Errorf("step %+v", res.Steps["check"])
	}
}

// TestNames checks that a name is searched for beside the test first, and then by mayfly.
func TestNames(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tool := func(says string) string { return "image: mayfly/shell\ncommand: echo " + says + "\n" }
	write("mayfly.yaml", "")
	t.Chdir(dir)
	write("tools/x/tool.yaml", tool("tools"))
	tooltest.New(t, "x").Run(t.Context(), nil).WantStdout("tools")
	write("x/tool.yaml", tool("below"))
	tooltest.New(t, "x").Run(t.Context(), nil).WantStdout("below")
	tooltest.New(t, "tools/x").Run(t.Context(), nil).WantStdout("tools")
	write("tool.yaml", "name: x # beside\n"+tool("beside"))
	tooltest.New(t, "x").Run(t.Context(), nil).WantStdout("beside")
	tooltest.New(t, "./x/tool.yaml").Run(t.Context(), nil).WantStdout("below")
}

// TestEnded checks that a context that is done ends the run, and that its sandbox has ended before Run returns.
func TestEnded(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var r recorder
	before := runs()
	tooltest.Inline(&r, shell("exec sleep 600")).Timeout(time.Hour).Run(ctx, nil)
	wants(t, r.fatal, "^the run was ended: context deadline exceeded$")
	for id := range runs() {
		if !before[id] {
			t.Errorf("run %s is left", id)
		}
	}
}

// TestKilled checks that the run ends when the test's process is killed, for example by go test -timeout.
func TestKilled(t *testing.T) {
	const seconds = "765.432"
	if os.Getenv("TOOLTEST_LONG") != "" {
		tooltest.Inline(t, shell("exec sleep "+seconds)).Timeout(time.Minute).Run(t.Context(), nil)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
	cmd.Env = append(os.Environ(), "TOOLTEST_LONG=yes")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, "the tool runs", func() bool { return sleeps(seconds) })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	await(t, "the tool has ended", func() bool { return !sleeps(seconds) })
}

// await fails the test unless the condition is met within two minutes.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if condition() {
			return
		}
	}
	t.Fatalf("not after two minutes: %s", what)
}

// sleeps reports whether a process of any sandbox sleeps for this time.
func sleeps(seconds string) bool {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		if data, err := os.ReadFile(file); err == nil && string(data) == "sleep\x00"+seconds+"\x00" {
			return true
		}
	}
	return false
}
