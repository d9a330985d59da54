package server

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
)

// TestSecureHeaders looks at every kind of answer: no browser guesses its type, shows it in a frame, keeps it, or loads anything for it.
func TestSecureHeaders(t *testing.T) {
	r := newRigWith(t, Options{Lease: time.Hour})
	f := newFuzzer(t, r)
	const nothing = "default-src 'none'; frame-ancestors 'none'"
	_, page := r.page()
	secure := httptest.NewTLSServer(r.Handler())
	defer secure.Close()
	client := secure.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	own := "/api/v1/projects/own"
	hello, err := json.Marshal(api.Hello{Protocol: api.Protocol, Slots: 1, Key: someKey})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		method, path, role, body string
		status                   int
		policy                   string
	}{
		"an answer":            {"GET", own + "/runs", RoleAdmin, "", 200, nothing},
		"one without a body":   {"DELETE", own + "/tokens/spare", RoleAdmin, "", 204, nothing},
		"a content":            {"GET", own + "/tools/t/versions/1/files/t.yaml", RoleAdmin, "", 200, nothing},
		"an artifact":          {"GET", own + "/runs/" + f.values["run"] + "/artifacts/out", RoleAdmin, "", 200, nothing},
		"events":               {"GET", own + "/runs/" + f.values["run"] + "/events", RoleAdmin, "", 200, nothing},
		"messages":             {"POST", "/api/v1/runner/q/" + reporter + "/messages", RoleRunner, string(hello), 200, nothing},
		"no token":             {"GET", own + "/runs", "", "", 401, nothing},
		"a wrong role":         {"GET", "/api/v1/audit", RoleViewer, "", 403, nothing},
		"a wrong request":      {"POST", own + "/runs", RoleAdmin, "{", 400, nothing},
		"nothing there":        {"GET", "/nothing", "", "", 404, nothing},
		"another address":      {"GET", "/api//v1/docs", "", "", 307, nothing},
		"the description":      {"GET", "/api/v1/openapi.json", "", "", 200, nothing},
		"the description, 3.0": {"GET", "/api/v1/openapi-3.0.yaml", "", "", 200, nothing},
		"a schema":             {"GET", "/api/v1/schemas/Run.json", "", "", 200, nothing},
		"a file's schema":      {"GET", "/api/v1/schemas/tool.json", "", "", 200, nothing},
		"the page":             {"GET", "/api/v1/docs", "", "", 200, page},
		"health":               {"GET", "/healthz", "", "", 200, nothing},
		"readiness":            {"GET", "/readyz", "", "", 200, nothing},
	} {
		for at, server := range map[string]string{"TLS": secure.URL, "plain": r.url} {
			t.Run(name+"/"+at, func(t *testing.T) {
				path := c.path
				if at == "plain" && c.method == http.MethodDelete {
					path += "2" // another one
				}
				req, err := http.NewRequestWithContext(t.Context(), c.method, server+path, strings.NewReader(c.body))
				if err != nil {
					t.Fatal(err)
				}
				if c.role != "" {
					req.Header.Set("Authorization", "Bearer "+r.tokens[c.role])
				}
				req.Header.Set("Content-Type", "application/json")
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode != c.status {
					t.Errorf("the status is %d, want %d", resp.StatusCode, c.status)
				}
				want := map[string]string{
					"X-Content-Type-Options": "nosniff", "Content-Security-Policy": c.policy, "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
					"Strict-Transport-Security": "", // it would be for all ports of the host
				}
				if name == "the page" || name == "a file's schema" { // they are the same for everybody
					want["Cache-Control"] = "no-cache"
				}
				for header, value := range want {
					if got := strings.Join(resp.Header.Values(header), ", "); got != value {
						t.Errorf("%s is %q, want %q", header, got, value)
					}
				}
			})
		}
	}
}
