//go:build linux

package mocks

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/httpmock"
	"github.com/mayfly-run/mayfly/internal/tooltest/report"
)

// webFeature is something that HTTP clients do, and how to check it: the outcome that the client prints, and what the test's
// result records.
type webFeature struct {
	name, outcome string
	// url is the address that the mocks must record, and protocol, unless "", the protocol of that request.
	url, protocol string
	// connections is how many connections to host must be recorded, unless host is "".
	host        string
	connections int
	// request, unless nil, checks the request with the url, and says what is wrong or "".
	request func(*httpmock.Request) string
}

// hasJSON returns a check of a request with JSON: recorded decoded if it came encoded, otherwise sent without a length.
func hasJSON(encoding bool) func(*httpmock.Request) string {
	return func(r *httpmock.Request) string {
		switch {
		case encoding && (r.Headers["Content-Encoding"] == nil || strings.HasPrefix(r.Body, "\x1f")):
			return "it isn't recorded decoded"
		case !encoding && r.Headers["Content-Length"] != nil:
			return "it came with a length"
		}
		return ""
	}
}

func method(want string) func(*httpmock.Request) string {
	return func(r *httpmock.Request) string {
		if r.Method != want {
			return "its method is " + r.Method
		}
		return ""
	}
}

// expects checks a request with Expect: 100-continue and a body.
func expects(r *httpmock.Request) string {
	if !slices.Contains(r.Headers["Expect"], "100-continue") || r.BodySize == 0 {
		return fmt.Sprintf("headers %v, a body of %d bytes", r.Headers, r.BodySize)
	}
	return ""
}

var webFeatures = []webFeature{
	{name: "http-name", outcome: "200 hello", url: "http://no.such.example/hello"},
	{name: "https-name", outcome: "200 hello", url: "https://no.such.example/hello"},
	{name: "localhost", outcome: "200 hello", url: "http://localhost:8080/hello"},
	{name: "127.0.0.1", outcome: "200 hello", url: "http://127.0.0.1:8081/hello"},
	{name: "::1", outcome: "200 hello", url: "http://[::1]:8082/hello"},
	{name: "localhost-tls", outcome: "200 hello", url: "https://localhost:8443/hello"},
	{name: "ipv4", outcome: "200 hello", url: "http://93.184.216.34/hello"},
	{name: "ipv4-tls", outcome: "200 hello", url: "https://93.184.216.34/hello"},
	{name: "ipv6", outcome: "200 hello", url: "http://[2001:db8::1]/hello"},
	{name: "ipv6-tls", outcome: "200 hello", url: "https://[2001:db8::1]/hello"},
	{name: "resolve", outcome: "200 hello", url: "http://pinned.example/hello"},
	{name: "resolve-tls", outcome: "200 hello", url: "https://pinned.example/hello"},
	{name: "resolve-local", outcome: "200 hello", url: "http://pinned.example:8080/hello"},
	{name: "keep-alive", outcome: "200 200 200", url: "http://keep.example/hello", protocol: "HTTP/1.1", host: "keep.example", connections: 1},
	{name: "http2", outcome: "200 hello", url: "https://h2.example/hello", protocol: "HTTP/2.0"},
	{name: "http2-plain", outcome: "200 hello", url: "http://h2c.example/hello", protocol: "HTTP/2.0"},
	{name: "http2-upgrade", outcome: "200 hello", url: "http://upgrade.example/hello", protocol: "HTTP/1.1"},
	{name: "chunked", outcome: "200 chunked", url: "http://api.example/chunked", request: hasJSON(false)},
	{name: "gzip", outcome: `200 {"zipped":true}`, url: "http://api.example/zipped"},
	{name: "gzip-request", outcome: "200 unzipped", url: "http://api.example/unzipped", request: hasJSON(true)},
	{name: "redirects", outcome: "200 hello", url: "http://localhost:8083/hello"},
	{name: "redirect", outcome: "200 hello", url: "http://new.example/hello"},
	{name: "redirect-post", outcome: "200 posted", url: "http://other.example/posted"},
	{name: "head", outcome: "200", url: "http://api.example/hello", request: method("HEAD")},
	{name: "no-content", outcome: "204", url: "http://api.example/none"},
	{name: "delay", outcome: "200 late", url: "http://api.example/late"},
	{name: "reset", outcome: "reset", url: "http://api.example/reset"},
	{name: "never", outcome: "timed out", url: "http://api.example/never"},
	{name: "continue", outcome: "200 continued", url: "http://api.example/continued", request: expects},
	{name: "sequence", outcome: "503 500 200", url: "http://api.example/sequence"},
	{name: "parallel", outcome: "50", url: "http://together.example/together", host: "together.example", connections: 50},
	{name: "own-server", outcome: "200 own"}, // no request is recorded
	{name: "other-port", outcome: "200 hello", url: "http://127.0.0.1:9001/hello"},
}

// check compares the outcome of a feature, and what is recorded of it, with what is wanted.
func (f *webFeature) check(t *testing.T, res *report.Result) {
	t.Helper()
	if got := outcomes(res)[f.name]; got != f.outcome {
		t.Errorf("got %q, want %q", got, f.outcome)
	}
	var at *httpmock.Request
	for i := range res.Requests {
		if r := &res.Requests[i]; r.URL == f.url && (f.request == nil || f.request(r) == "" || at == nil) {
			at = r
		}
	}
	switch {
	case f.url == "":
	case at == nil:
		t.Errorf("no request of %s is recorded", f.url)
	case f.protocol != "" && at.Protocol != f.protocol:
		t.Errorf("it came by %s, want %s", at.Protocol, f.protocol)
	case f.request != nil && f.request(at) != "":
		t.Errorf("%s: %s", at, f.request(at))
	}
	n := 0
	for _, c := range res.Connections {
		if c.Host == f.host && c.Mocked {
			n++
		}
	}
	if f.host != "" && n != f.connections {
		t.Errorf("%d connections to %s, want %d", n, f.host, f.connections)
	}
}

// webClient is a client in a tool, with the features that it can't do.
type webClient struct {
	name, command string
	files         []string // files of the tool, which it gets in /tools
	lacks         string   // names of the features that it can't do, separated by spaces
}

const (
	curlOnly   = "redirect resolve resolve-tls resolve-local http2-upgrade ipv6"
	noHTTP2    = " http2 http2-plain"
	noContinue = " continue"
	noTLS      = " https-name localhost-tls ipv4-tls ipv6-tls"
)

var webClients = []webClient{
	{"curl", "bash /tools/curl.sh", []string{"curl.sh", "own.txt"}, "ipv6 redirect"},
	{"wget", "bash /tools/wget.sh", []string{"wget.sh", "own.txt"}, curlOnly + noHTTP2 + noContinue + " chunked"},
	{"busybox-wget", "sh /tools/busybox.sh", []string{"busybox.sh", "own.txt"}, "redirects head resolve resolve-tls resolve-local http2-upgrade keep-alive chunked gzip gzip-request redirect-post no-content" + noTLS + noHTTP2 + noContinue},
	{"python-requests", "python3 /tools/python.py requests", []string{"python.py"}, curlOnly + noHTTP2 + noContinue},
	{"python-urllib", "python3 /tools/python.py urllib", []string{"python.py"}, curlOnly + noHTTP2 + noContinue + " keep-alive"},
	{"python-http", "python3 /tools/python.py http.client", []string{"python.py"}, curlOnly + noHTTP2 + noContinue + " redirects redirect-post"},
	{"python-aiohttp", "python3 /tools/python.py aiohttp", []string{"python.py"}, curlOnly + noHTTP2 + noContinue},
	{"node-fetch", "node /tools/node.mjs", []string{"node.mjs"}, curlOnly + noContinue},
	{"go-dynamic", "/tools/go-dynamic", []string{"go-dynamic"}, curlOnly},
	{"go-static", "/tools/go-static", []string{"go-static"}, curlOnly},
	{"c-static", "/tools/c-static", []string{"c-static"}, "redirect resolve resolve-tls resolve-local http2-upgrade gzip gzip-request redirects redirect-post" + noTLS + noHTTP2 + noContinue},
}

func (c *webClient) has(feature string) bool {
	return !slices.Contains(strings.Fields(c.lacks), feature)
}

// tool returns the definition of the client's tool. The keys of more are added, or replace others.
func (c *webClient) tool(more map[string]any) map[string]any {
	volumes := []any{}
	for i, f := range c.files {
		volumes = append(volumes, map[string]any{"name": fmt.Sprint("file", i), "file": f, "mount_path": "/tools/" + f})
	}
	out := map[string]any{
		"name": c.name, "image": "mayfly/clients", "command": "exec " + c.command + " $FEATURES", "volumes": volumes,
		"resources": map[string]any{"cpu": "2", "memory": "1Gi"},
	}
	for key, value := range more {
		out[key] = value
	}
	return out
}

// programs builds the clients that aren't scripts.
func (s *suites) programs() {
	s.t.Helper()
	for _, c := range []struct {
		name string
		env  string
		args []string
	}{
		{"go-static", "CGO_ENABLED=0", []string{"go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(s.dir, "go-static"), "./webclient"}},
		// netcgo makes the C library look up names.
		{"go-dynamic", "CGO_ENABLED=1", []string{"go", "build", "-trimpath", "-ldflags=-s -w", "-tags=netcgo", "-o", filepath.Join(s.dir, "go-dynamic"), "./webclient"}},
		{"c-static", "LC_ALL=C", []string{"gcc", "-static", "-O1", "-D_GNU_SOURCE", "-o", filepath.Join(s.dir, "c-static"), "testdata/clients/plain.c"}},
	} {
		cmd := exec.Command(c.args[0], c.args[1:]...)
		cmd.Env = append(os.Environ(), c.env)
		if text, err := cmd.CombinedOutput(); err != nil {
			s.t.Fatalf("build %s: %v\n%s", c.name, err, text)
		}
	}
	if text, err := exec.Command("ldd", filepath.Join(s.dir, "go-dynamic")).CombinedOutput(); err != nil || !strings.Contains(string(text), "libc.so") {
		s.t.Fatalf("go-dynamic doesn't use the C library: %v %s", err, text)
	}
}

// TestClients runs real clients against mocks, in real sandboxes. Its subtests are the table in docs/TESTING.md.
func TestClients(t *testing.T) {
	s := newSuites(t)
	s.programs()
	for i := range webClients {
		c := &webClients[i]
		var names []string
		for _, f := range webFeatures {
			if c.has(f.name) {
				names = append(names, f.name)
			}
		}
		one := func(name, features string, tool map[string]any, expect map[string]any) {
			if expect == nil {
				expect = map[string]any{}
			}
			s.add(strings.ReplaceAll(name, " ", "-"), map[string]any{
				"tool": c.tool(tool), "mocks": "world.mocks.yaml",
				"tests": []any{map[string]any{"name": name, "environment": map[string]any{"FEATURES": features}, "expect": expect}},
			})
		}
		one(c.name, strings.Join(names, " "), nil, nil)
		one(c.name+" none", "localhost 127.0.0.1 ::1", map[string]any{"network": "none"}, nil)
		secure := "https-name"
		if !c.has(secure) {
			secure = ""
		}
		egress := []any{map[string]any{"host": "no.such.example"}}
		one(c.name+" list", "http-name "+secure+" denied localhost", map[string]any{"network": egress}, nil)
		unmatched := "unmatched"
		if secure != "" {
			unmatched += " unmatched-tls"
		}
		one(c.name+" unmatched", unmatched, nil, nil)
	}
	r := s.run("--parallel", "3")
	t.Logf("%d tests took %v, mayfly had at most %d MB", len(r.results), r.took, r.peak>>10)
	for i := range webClients {
		c := &webClients[i]
		t.Run(c.name, func(t *testing.T) { c.judge(t, r) })
	}
}

// judge checks the results of one client.
func (c *webClient) judge(t *testing.T, r *ran) {
	all := r.result(t, c.name)
	for i := range webFeatures {
		if f := &webFeatures[i]; c.has(f.name) {
			t.Run(f.name, func(t *testing.T) { f.check(t, all) })
		}
	}
	t.Run("passes", func(t *testing.T) {
		if all.Status != report.Passed || all.Stderr != "" {
			t.Errorf("%s, %s %v\n%s%s", all.Status, all.Error, all.Failures, all.Stdout, all.Stderr)
		}
		for _, r := range all.Requests {
			if strings.HasPrefix(r.URL, "http://127.0.0.1:9000/") {
				t.Errorf("a request to the tool's own server was mocked: %s", &r)
			}
		}
	})
	t.Run("network-none", func(t *testing.T) {
		res := r.result(t, c.name+" none")
		for _, f := range webFeatures[2:5] {
			f.check(t, res)
		}
		if res.Status != report.Passed {
			t.Errorf("%s: %v\n%s", res.Status, res.Failures, res.Stderr)
		}
	})
	t.Run("egress-list", func(t *testing.T) {
		res := r.result(t, c.name+" list")
		for _, i := range []int{0, 1, 2} {
			if f := webFeatures[i]; c.has(f.name) {
				f.check(t, res)
			}
		}
		if got := outcomes(res)["denied"]; got != "refused" {
			t.Errorf("a host that isn't in the list: got %q, want refused", got)
		}
		if !slices.ContainsFunc(res.Result.DeniedConnections, func(c engine.Connection) bool { return c.Host == "denied.example" }) {
			t.Errorf("the refusal isn't reported: %+v", res.Result)
		}
	})
	t.Run("no-mock", func(t *testing.T) {
		res := r.result(t, c.name+" unmatched")
		schemes := []string{"http"}
		if c.has("https-name") {
			schemes = append(schemes, "https")
		}
		for name, got := range outcomes(res) {
			// With TLS, some libraries report only that the connection ended without TLS's close message.
			if got != "reset" && (name == "unmatched" || got != "cut") {
				t.Errorf("%s: %q", name, got)
			}
		}
		if res.Status != report.Failed || len(outcomes(res)) != len(schemes) {
			t.Errorf("%s: %q", res.Status, res.Stdout)
		}
		for _, scheme := range schemes {
			want := scheme + "://no.such.example/hallo has no mock; the nearest, world.mocks.yaml http[0], differs in path: /hello"
			if !slices.ContainsFunc(res.Failures, func(f report.Failure) bool {
				return f.Kind == report.KindUnmatchedRequest && f.Message == "GET "+want
			}) {
				t.Errorf("no failure says %s: %v", want, res.Failures)
			}
		}
	})
}
