package local

import (
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
)

func TestLoopbackAdvice(t *testing.T) {
	const told = "localhost is the sandbox itself; this machine is host.mayfly.internal, which a rule of network.egress opens"
	for _, c := range []struct {
		name, line string
		told       bool
	}{
		{"curl", "curl: (7) Failed to connect to localhost port 8080 after 0 ms: Couldn't connect to server", true},
		{"old curl", "curl: (7) Failed to connect to 127.0.0.1 port 80: Connection refused", true},
		{"Go", `Get "http://[::1]:9090/": dial tcp [::1]:9090: connect: connection refused`, true},
		{"requests", "HTTPConnectionPool(host='localhost', port=8080): Max retries exceeded with url: / (Connection refused'))", true},
		{"psql", `psql: error: connection to server at "localhost" (::1), port 5432 failed: Connection refused`, true},
		{"redis", "Could not connect to Redis at 127.0.0.1:6379: timed out", true},
		{"Node", "Error: connect ECONNREFUSED 127.0.0.1:3000", true},
		{"Java", "failed to connect to ::ffff:127.0.0.1:80", true},
		{"socat", "E TCP:localhost:8080: Connection refused", true},
		{"wget", "Connecting to localhost (localhost)|127.0.0.1|:8080... failed: Connection refused.", true},
		{"busybox", "wget: can't connect to remote host (127.0.0.1): Connection refused", true},
		{"any address", "connect to 0.0.0.0:80: Connection refused", true},
		{"at the end", "failed to connect to localhost.", true},
		{"kubectl without a kubeconfig", "The connection to the server localhost:8080 was refused - did you specify the right host or port?", false},
		{"another refusal", "authentication refused for root@localhost", false},
		{"another host", "connect to localhost.example.com port 80: Connection refused", false},
		{"another address", "dial tcp 10.127.0.0.1:80: connection refused", false},
		{"no failure", "listening at localhost:8080", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := ""
			if c.told {
				want = told
			}
			if got := loopbackAdvice(&engine.Spec{}, []string{"before", c.line}); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			if got := loopbackAdvice(&engine.Spec{Mocks: &engine.Mocks{}}, []string{c.line}); got != "" {
				t.Errorf("with mocks: got %q, want no advice", got)
			}
			if got := loopbackAdvice(&engine.Spec{}, []string{c.line, "and went on"}); got != "" {
				t.Errorf("not the last line: got %q, want no advice", got)
			}
		})
	}
}
