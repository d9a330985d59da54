package run

import (
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/tool"
)

func TestLoopbackAdvice(t *testing.T) {
	const opens = "localhost is the sandbox itself; a service of this machine is at host.mayfly.internal, which network: {egress: [{host: host.mayfly.internal, ports: [%]}]} opens"
	rule := []network.Rule{{Host: network.HostName}}
	for _, c := range []struct {
		name, line, port string
		timedOut         bool
		given            string
		script           string
		rules            []network.Rule
		mocks            *engine.Mocks
	}{
		{name: "curl", line: "curl: (7) Failed to connect to localhost port 8080 after 0 ms: Couldn't connect to server", port: "8080"},
		{name: "old curl", line: "curl: (7) Failed to connect to 127.0.0.1 port 80: Connection refused", port: "80"},
		{name: "Go", line: `Get "http://[::1]:9090/": dial tcp [::1]:9090: connect: connection refused`, port: "9090"},
		{name: "requests", line: "HTTPConnectionPool(host='localhost', port=8080): Max retries exceeded with url: / (Connection refused'))", port: "8080"},
		{name: "psql", line: `psql: error: connection to server at "localhost" (::1), port 5432 failed: Connection refused`, port: "5432"},
		{name: "Node", line: "Error: connect ECONNREFUSED 127.0.0.1:3000", port: "3000"},
		{name: "busybox", line: "wget: can't connect to remote host (127.0.0.1): Connection refused", port: "PORT"},
		{name: "no port", line: "127.0.0.1:99999 refused", port: "PORT"},
		{name: "another host", line: "connect to localhost.example.com port 80: Connection refused"},
		{name: "another address", line: "dial tcp 10.127.0.0.1:80: connection refused"},
		{name: "no failure", line: "listening at localhost:8080"},
		{name: "a service that is given, silent", given: "http://localhost:8080/health"},
		{name: "waited for it", given: "http://localhost:8080/health", timedOut: true, port: "8080"},
		{name: "waited in a script", script: "until curl -s http://127.0.0.1:81; do :; done", timedOut: true, port: "81"},
		{name: "waited for another", given: "http://db.internal:8080", timedOut: true},
		{name: "mocked", line: "connect ECONNREFUSED 127.0.0.1:3000", mocks: &engine.Mocks{}},
		{name: "has a rule", line: "connect ECONNREFUSED 127.0.0.1:3000", rules: rule, port: "-"},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := ""
			switch c.port {
			case "":
			case "-":
				want, _, _ = strings.Cut(opens, ",")
			default:
				want = strings.Replace(opens, "%", c.port, 1)
			}
			spec := &engine.Spec{Network: network.Policy{Egress: c.rules}, Mocks: c.mocks}
			if c.given != "" {
				spec.Environment = []engine.Variable{{Name: "URL", Value: c.given}}
			}
			def := &tool.Tool{Script: &tool.Script{Text: c.script}}
			if got := loopbackAdvice(def, spec, []string{c.line, "more"}, c.timedOut); got != want {
				t.Errorf("%q", got)
			}
		})
	}
}
