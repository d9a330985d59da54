package run

import (
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/tool"
)

func TestLoopbackAdvice(t *testing.T) {
	for _, c := range []struct{ name, line, port string }{
		{"curl", "curl: (7) Failed to connect to localhost port 8080 after 0 ms: Couldn't connect to server", "8080"},
		{"old curl", "curl: (7) Failed to connect to 127.0.0.1 port 80: Connection refused", "80"},
		{"Go", `Get "http://[::1]:9090/": dial tcp [::1]:9090: connect: connection refused`, "9090"},
		{"requests", "HTTPConnectionPool(host='localhost', port=8080): Max retries exceeded with url: / (Connection refused'))", "8080"},
		{"psql", `psql: error: connection to server at "localhost" (::1), port 5432 failed: Connection refused`, "5432"},
		{"redis", "Could not connect to Redis at 127.0.0.1:6379: timed out", "6379"},
		{"Node", "Error: connect ECONNREFUSED 127.0.0.1:3000", "3000"},
		{"Node's properties", "address: '127.0.0.1', port: 3000, code: 'ECONNREFUSED'", "3000"},
		{"Java", "failed to connect to ::ffff:127.0.0.1:80", "80"},
		{"socat", "E TCP:localhost:8080: Connection refused", "8080"},
		{"wget", "Connecting to localhost (localhost)|127.0.0.1|:8080... failed: Connection refused.", "8080"},
		{"busybox", "wget: can't connect to remote host (127.0.0.1): Connection refused", "PORT"},
		{"another number", "connect to localhost:8080 at 12:34 refused", "8080"},
		{"a time", "localhost at 12:34: refused", "PORT"},
		{"a password", "localhost/?pw:12345 refused", "PORT"},
		{"no port", "127.0.0.1:99999 refused", "PORT"},
		{"at the end", "failed to connect to localhost.", "PORT"},
		{"kubectl without a kubeconfig", "The connection to the server localhost:8080 was refused - did you specify the right host or port?", ""},
		{"another host", "connect to localhost.example.com port 80: Connection refused", ""},
		{"another address", "dial tcp 10.127.0.0.1:80: connection refused", ""},
		{"no failure", "listening at localhost:8080", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := ""
			if c.port != "" {
				want = "localhost is the sandbox itself; a service on this machine is at host.mayfly.internal; " +
					"to allow it, add to network.egress: {host: host.mayfly.internal, ports: [" + c.port + "]}"
			}
			spec := &engine.Spec{Network: network.Policy{Mode: network.ModeList}}
			if got := loopbackAdvice(spec, []string{c.line, "more"}); got != want {
				t.Errorf("%q", got)
			}
			spec.Mocks = &engine.Mocks{}
			if got := loopbackAdvice(spec, []string{c.line}); got != "" {
				t.Errorf("with mocks: %q", got)
			}
		})
	}
}

// A tool that is refused or waits is told of localhost by how its network is.
func TestAdviseOnLocalhost(t *testing.T) {
	const refused, raise = "connect ECONNREFUSED 127.0.0.1:3000", "raise timeout in the tool, or --timeout"
	const itself = "localhost is the sandbox itself; a service on this machine is at host.mayfly.internal"
	rule := []network.Rule{{Host: network.HostName}}
	for _, c := range []struct {
		name, line, given, script string
		status                    State
		network                   network.Policy
		want                      string
	}{
		{"no list", refused, "", "", Failed, network.Policy{Mode: network.ModeOpen}, itself + "; to allow it, list all that the tool needs under network.egress, with {host: host.mayfly.internal, ports: [3000]}"},
		{"a list", refused, "", "", Failed, network.Policy{Mode: network.ModeList}, itself + "; to allow it, add to network.egress: {host: host.mayfly.internal, ports: [3000]}"},
		{"a rule", refused, "", "", Failed, network.Policy{Mode: network.ModeList, Egress: rule}, itself},
		{"given, and failed otherwise", "no", "http://localhost:8080/", "", Failed, network.Policy{}, ""},
		{"waited and says so", refused, "", "", TimedOut, network.Policy{Mode: network.ModeList, Egress: rule}, itself},
		{"waited for it", "", "http://localhost:8080/", "", TimedOut, network.Policy{Mode: network.ModeList, Egress: rule}, raise + "; if it waits for localhost: " + itself},
		{"waited in its script", "", "", "until curl -s http://127.0.0.1:81; do :; done", TimedOut, network.Policy{Mode: network.ModeList, Egress: rule}, raise + "; if it waits for localhost: " + itself},
		{"waited for another", "", "http://db.internal:8080", "", TimedOut, network.Policy{}, raise},
		{"no proxy for it", "", "localhost,127.0.0.1", "", TimedOut, network.Policy{}, raise},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &run{result: Result{Status: c.status}}
			if c.status == TimedOut {
				r.result.Hint = raise
			}
			spec := &engine.Spec{Network: c.network, Environment: []engine.Variable{{Name: "GIVEN", Value: c.given}}}
			r.advise(&tool.Tool{Script: &tool.Script{Text: c.script}}, spec, []string{c.line}, 1)
			if r.result.Hint != c.want {
				t.Errorf("%q", r.result.Hint)
			}
		})
	}
}
