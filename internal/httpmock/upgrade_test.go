package httpmock

import (
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// TestUpgrades checks that a mock doesn't accept a protocol that it doesn't speak, and that a client that can continue
// without the upgrade gets its answer.
func TestUpgrades(t *testing.T) {
	b := listen(t, `
  - {path: /ok, body: answered}
  - {path: /refused, status: 403, body: no}
  - {path: /moved, status: 302}
`, engine.MockedConnection{Address: "127.0.0.1", Port: 80})
	upgrade := func(path, protocol string) string {
		return "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: " + protocol + "\r\n\r\n"
	}
	for text, want := range map[string]struct{ status, problem string }{
		upgrade("/ok", "websocket"):                                {"501", `GET http://x/ok: the tool asks for a websocket, which mocks don't speak; http[0] can only refuse it, with a status from 300 on`},
		upgrade("/ok", "WebSocket"):                                {"501", "the tool asks for a websocket"},
		upgrade("/ok", "SPDY/3.1"):                                 {"501", `the tool asks for another protocol, "SPDY/3.1", which mocks don't speak; http[0]`},
		upgrade("/none", "SPDY/3.1"):                               {"501", `GET http://x/none has no mock; the nearest, http[0], differs in path: /ok; the tool asks for another protocol, "SPDY/3.1"`},
		upgrade("/refused", "websocket"):                           {"403", ""},
		upgrade("/moved", "websocket"):                             {"302", ""},
		upgrade("/ok", "h2c"):                                      {"200", ""},
		upgrade("/ok", "TLS/1.2"):                                  {"200", ""},
		"GET /ok HTTP/1.1\r\nHost: x\r\nUpgrade: SPDY/3.1\r\n\r\n": {"200", ""},
		"GET /ok HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: \r\n\r\n": {"200", ""},
		"CONNECT /ok HTTP/1.1\r\nHost: x\r\n\r\n": {"501", "the tool uses a proxy (CONNECT)"},
	} {
		answer, _ := b.say(t, text, true)
		if !strings.HasPrefix(answer, "HTTP/1.1 "+want.status+" ") {
			t.Errorf("%.60q is answered %q", text, answer)
		}
		if r := b.last(t); !strings.Contains(r.Problem, want.problem) || (r.Problem == "") != (want.problem == "") {
			t.Errorf("%.60q is recorded as %+v", text, r)
		}
	}
}
