package server

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// browsed is a request of a browser.
type browsed struct {
	method, path string
	cookie       string // name=value
	token        string
	header       map[string]string
	body         string
}

// visited is the head of an answer.
type visited struct {
	StatusCode int
	Header     http.Header
	cookies    []*http.Cookie
}

func (v visited) Cookies() []*http.Cookie { return v.cookies }

// browse sends a request of a browser, and returns the answer with its body.
func (r *rig) browse(t *testing.T, b browsed) (visited, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), b.method, r.url+api.Prefix+b.path, strings.NewReader(b.body))
	if err != nil {
		t.Fatal(err)
	}
	if b.cookie != "" {
		req.Header.Set("Cookie", b.cookie)
	}
	if b.token != "" {
		req.Header.Set("Authorization", "Bearer "+b.token)
	}
	for name, value := range b.header {
		req.Header.Set(name, value)
	}
	if b.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return visited{resp.StatusCode, resp.Header, resp.Cookies()}, string(body)
}

// codeIn is the code of a problem, or "".
func codeIn(body string) run.Code {
	var p api.Problem
	_ = json.Unmarshal([]byte(body), &p)
	return p.Reason
}

// signIn makes a session of a token, and returns its cookie as name=value.
func (r *rig) signIn(t *testing.T, token string) string {
	t.Helper()
	resp, body := r.browse(t, browsed{method: "POST", path: "/session", token: token})
	if resp.StatusCode != http.StatusOK || len(resp.Cookies()) != 1 {
		t.Fatalf("%d, %s", resp.StatusCode, body)
	}
	c := resp.Cookies()[0]
	if !c.HttpOnly || c.Secure || c.SameSite != http.SameSiteStrictMode || c.Path != api.Prefix || c.Domain != "" || c.MaxAge != int(sessionAge/time.Second) {
		t.Errorf("the cookie is %+v", c)
	}
	if strings.Contains(body, c.Value) {
		t.Errorf("the answer has the session: %s", body)
	}
	return c.Name + "=" + c.Value
}

// own is what a page of the server sends with a request that changes something.
var own = map[string]string{api.SessionHeader: "1", "Sec-Fetch-Site": "same-origin"}

func TestMe(t *testing.T) {
	r := newRig(t)
	for name, c := range map[string]struct {
		roles    string
		may, not []string
	}{
		"viewer":       {"viewer", []string{"get-me", "list-runs", "list-runners"}, []string{"create-run", "drain-runner", "runner-report"}},
		"own viewer":   {"viewer", []string{"get-me", "list-runs", "begin-session"}, []string{"create-run", "list-runners"}},
		"own operator": {"viewer operator", []string{"create-run", "end-session"}, []string{"create-version"}},
		"own admin":    {"viewer operator author admin", []string{"create-project-token", "list-project-audit"}, []string{"create-token", "rotate-keys"}},
		"admin":        {"viewer operator author admin", []string{"create-project-token", "create-token", "rotate-keys"}, []string{"runner-report"}},
		"runner":       {"runner", []string{"get-me", "runner-report"}, []string{"list-runs", "begin-session"}},
	} {
		t.Run(name, func(t *testing.T) {
			resp, body := r.browse(t, browsed{method: "GET", path: "/me", token: r.tokens[name]})
			var me api.Me
			if err := json.Unmarshal([]byte(body), &me); err != nil || resp.StatusCode != http.StatusOK {
				t.Fatalf("%d, %s, %v", resp.StatusCode, body, err)
			}
			role, project := strings.CutPrefix(name, "own ")
			if me.Name != role || me.Role != role || (me.Project == "own") != project || strings.Join(me.Roles, " ") != c.roles || me.Session != nil {
				t.Errorf("I am %+v", me)
			}
			for _, op := range c.may {
				if !slices.Contains(me.Operations, op) {
					t.Errorf("I may not %s", op)
				}
			}
			for _, op := range c.not {
				if slices.Contains(me.Operations, op) {
					t.Errorf("I may %s", op)
				}
			}
		})
	}
}

// TestSession goes the way of a page: sign in, read, change, sign out.
func TestSession(t *testing.T) {
	r := newRig(t)
	before := len(r.log(t))
	cookie := r.signIn(t, r.tokens["own admin"])
	_, body := r.browse(t, browsed{method: "GET", path: "/me", cookie: cookie})
	var me api.Me
	if err := json.Unmarshal([]byte(body), &me); err != nil || me.Name != "admin" || me.Project != "own" || me.Session == nil || me.Session.IdleSeconds != 12*60*60 ||
		time.Until(me.Session.Expires) < 6*24*time.Hour {
		t.Errorf("I am %s, %v", body, err)
	}
	for name, c := range map[string]struct {
		method, path, token, body string
		want                      int
	}{
		"read":               {"GET", "/projects/own/runs", "", "", http.StatusOK},
		"change":             {"POST", "/projects/own/tokens", "", `{"name":"ci","role":"viewer"}`, http.StatusCreated},
		"another project":    {"GET", "/projects/foreign/runs", "", "", http.StatusForbidden},
		"a token goes first": {"GET", "/projects/foreign/runs", r.tokens[RoleViewer], "", http.StatusOK},
		"a wrong token too":  {"GET", "/projects/own/runs", "mfly_wrong", "", http.StatusUnauthorized},
		"another session":    {"POST", "/session", "", "", http.StatusForbidden},
		"a runner's session": {"POST", "/session", r.tokens[RoleRunner], "", http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			resp, body := r.browse(t, browsed{method: c.method, path: c.path, cookie: cookie, token: c.token, body: c.body, header: own})
			if resp.StatusCode != c.want {
				t.Errorf("%d, want %d: %s", resp.StatusCode, c.want, body)
			}
		})
	}
	resp, _ := r.browse(t, browsed{method: "DELETE", path: "/session", cookie: cookie, header: own})
	if resp.StatusCode != http.StatusNoContent || len(resp.Cookies()) != 1 || resp.Cookies()[0].MaxAge >= 0 {
		t.Errorf("sign out: %d, %v", resp.StatusCode, resp.Cookies())
	}
	resp, body = r.browse(t, browsed{method: "GET", path: "/me", cookie: cookie})
	if resp.StatusCode != http.StatusUnauthorized || len(resp.Cookies()) != 1 || resp.Cookies()[0].MaxAge >= 0 || !strings.Contains(body, "sign in again") {
		t.Errorf("after that: %d, %v, %s", resp.StatusCode, resp.Cookies(), body)
	}
	log := r.since(t, before)
	for _, want := range []string{"admin begin-session  session ok map[]", "admin end-session  session ok map[]", "admin create-project-token own tokens/ci ok map[role:viewer]"} {
		if !slices.Contains(log, want) {
			t.Errorf("the audit log has no %q: %q", want, log)
		}
	}
}

// TestCrossSite sends what a page of another site can make a browser send.
func TestCrossSite(t *testing.T) {
	r := newRig(t)
	cookie := r.signIn(t, r.tokens[RoleAdmin])
	with := func(more ...string) map[string]string {
		h := map[string]string{api.SessionHeader: "1"}
		for i := 0; i < len(more); i += 2 {
			h[more[i]] = more[i+1]
		}
		return h
	}
	for name, c := range map[string]struct {
		header map[string]string
		passes bool
	}{
		"no header":           {map[string]string{"Sec-Fetch-Site": "same-origin"}, false},
		"another header":      {map[string]string{api.SessionHeader: "true", "Sec-Fetch-Site": "same-origin"}, false},
		"cross-site":          {with("Sec-Fetch-Site", "cross-site"), false},
		"same-site":           {with("Sec-Fetch-Site", "same-site"), false},
		"a foreign origin":    {with("Origin", "https://evil.example"), false},
		"another port":        {with("Origin", "http://127.0.0.1:1"), false},
		"no origin":           {with("Origin", "null"), false},
		"the same origin":     {with("Origin", r.url), true},
		"from the same page":  {with("Sec-Fetch-Site", "same-origin"), true},
		"neither of the two":  {with(), true}, // another site can't set the header
		"lies about its site": {with("Sec-Fetch-Site", "cross-site", "Origin", r.url), false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, b := range []browsed{
				{method: "POST", path: "/projects/own/runs/none/cancel"},
				{method: "PUT", path: "/projects/own/secrets/a", body: `{"value":"eA=="}`},
				{method: "DELETE", path: "/projects/own/secrets/none"},
			} {
				b.cookie, b.header = cookie, c.header
				before := len(r.log(t))
				resp, body := r.browse(t, b)
				if refused := resp.StatusCode == http.StatusForbidden && codeIn(body) == run.CodeCrossSite; refused == c.passes {
					t.Errorf("%s %s: %d, %s", b.method, b.path, resp.StatusCode, body)
				}
				if log := r.since(t, before); len(log) != 1 || !strings.HasPrefix(log[0], "admin ") || strings.Contains(log[0], " cross_site ") == c.passes {
					t.Errorf("%s %s: the audit log has %q", b.method, b.path, log)
				}
			}
		})
	}
	for _, method := range []string{"GET", "HEAD"} { // what reads may come from anywhere
		if resp, _ := r.browse(t, browsed{method: method, path: "/projects/own/runs", cookie: cookie}); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", method, resp.StatusCode)
		}
	}
	if resp, _ := r.browse(t, browsed{method: "POST", path: "/projects/own/runs/none/cancel", token: r.tokens[RoleAdmin], header: map[string]string{"Sec-Fetch-Site": "cross-site"}}); resp.StatusCode != http.StatusNotFound {
		t.Errorf("with a token, from anywhere: %d", resp.StatusCode)
	}
}

// TestEveryChangeIsGuarded has a session without the header try each operation that isn't a GET.
func TestEveryChangeIsGuarded(t *testing.T) {
	r := newRig(t)
	cookie := r.signIn(t, r.tokens[RoleAdmin])
	for op := range operations(r.api.OpenAPI()) {
		if op.Method == http.MethodGet {
			continue
		}
		path := strings.NewReplacer("{project}", "own", "{", "", "}", "").Replace(strings.TrimPrefix(op.Path, api.Prefix))
		if resp, body := r.browse(t, browsed{method: op.Method, path: path, cookie: cookie}); codeIn(body) != run.CodeCrossSite {
			t.Errorf("%s: %d, %s", op.OperationID, resp.StatusCode, body)
		}
	}
}

// TestForgedSessions sends cookies that the server didn't make.
func TestForgedSessions(t *testing.T) {
	r := newRig(t)
	token := r.tokens[RoleAdmin]
	cookie := r.signIn(t, token)
	_, text, _ := strings.Cut(cookie, "=")
	stored := hex.EncodeToString(hashOf(text))
	for name, forged := range map[string]string{
		"empty": plainCookie + "=", "unknown": plainCookie + "=mflys_x", "a token": plainCookie + "=" + token, "cut": cookie[:len(cookie)-1], "longer": cookie + "A",
		"what the server keeps": plainCookie + "=" + stored, "another name": "session=" + text, "the name with TLS": secureCookie + "=" + text, "case": strings.ToLower(cookie),
		"long": plainCookie + "=" + strings.Repeat("x", 5000), "before the real one": plainCookie + "=x; " + cookie,
	} {
		if resp, body := r.browse(t, browsed{method: "GET", path: "/me", cookie: forged}); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %d, %s", name, resp.StatusCode, body)
		}
	}
	// The session isn't a token.
	if resp, _ := r.browse(t, browsed{method: "GET", path: "/me", token: text}); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("as a token: %d", resp.StatusCode)
	}
	// A session that an attacker has planted isn't taken over by who signs in.
	planted := r.signIn(t, r.tokens["own viewer"])
	resp, _ := r.browse(t, browsed{method: "POST", path: "/session", token: token, cookie: planted})
	if got := resp.Cookies(); len(got) != 1 || got[0].Name+"="+got[0].Value == planted || got[0].Name+"="+got[0].Value == cookie {
		t.Errorf("after a sign-in, the cookie is %v", got)
	}
	if _, body := r.browse(t, browsed{method: "GET", path: "/me", cookie: planted}); !strings.Contains(body, `"role":"viewer"`) {
		t.Errorf("the planted session is now %s", body)
	}
}

// TestSessionsEnd ends sessions with their token, and the oldest of too many.
func TestSessionsEnd(t *testing.T) {
	r := newRig(t)
	first := r.signIn(t, r.tokens["own admin"])
	other := r.signIn(t, r.tokens["own author"])
	status := func(cookie string) int {
		resp, _ := r.browse(t, browsed{method: "GET", path: "/me", cookie: cookie})
		return resp.StatusCode
	}
	if got := []int{status(first), status(other)}; !slices.Equal(got, []int{200, 200}) {
		t.Fatalf("%v", got)
	}
	if err := r.deleteToken(t.Context(), "own", RoleAdmin); err != nil {
		t.Fatal(err)
	}
	if got := []int{status(first), status(other)}; !slices.Equal(got, []int{401, 200}) {
		t.Errorf("after the end of a token: %v", got)
	}
	time.Sleep(2 * time.Millisecond) // by the database's clock
	for range sessionsOfToken {
		_ = r.signIn(t, r.tokens["own author"])
	}
	r.sessions.forget(func(string, store.Session) bool { return true })
	if got := status(other); got != http.StatusUnauthorized {
		t.Errorf("the oldest of %d sessions: %d", sessionsOfToken+1, got)
	}
}

// TestFollowWithSession ends the session of a reader who follows a run: the stream ends soon.
func TestFollowWithSession(t *testing.T) {
	r := newRig(t)
	r.keepAlive = 10 * time.Millisecond
	if err := r.store.Accept(t.Context(), store.NewRun{ID: "a", Project: "own", Pool: "other", Request: []byte("{}")}, nil); err != nil {
		t.Fatal(err)
	}
	cookie := r.signIn(t, r.tokens["own viewer"])
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+api.Prefix+"/projects/own/runs/a/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Cookie", cookie)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, 30)); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%d, %v", resp.StatusCode, err)
	}
	if resp, _ := r.browse(t, browsed{method: "DELETE", path: "/session", cookie: cookie, header: own}); resp.StatusCode != http.StatusNoContent {
		t.Fatalf("sign out: %d", resp.StatusCode)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Errorf("the stream goes on: %v", err)
	}
}

// TestLimitOfWrongSessions counts wrong cookies as wrong tokens, each once.
func TestLimitOfWrongSessions(t *testing.T) {
	r, _ := limited(t, Limits{Failures: 5})
	cookie := r.signIn(t, r.tokens[RoleViewer])
	status := func(cookie string) int {
		resp, _ := r.browse(t, browsed{method: "GET", path: "/me", cookie: cookie})
		return resp.StatusCode
	}
	if got := status(cookie); got != http.StatusOK {
		t.Fatal(got)
	}
	n := 0
	before := len(r.log(t))
	for range 30 { // a page whose session has ended
		if got := status(plainCookie + "=ended"); got != http.StatusUnauthorized {
			t.Fatal(got)
		}
	}
	if got := r.since(t, before); len(got) != 1 {
		t.Errorf("the audit log has %q, want one entry", got)
	}
	n++
	for n < 20 && status(plainCookie+"=wrong"+strconv.Itoa(n)) == http.StatusUnauthorized {
		n++
	}
	if n != 10 {
		t.Errorf("%d wrong cookies are looked at, want 10", n)
	}
	if got := status(cookie); got != http.StatusOK {
		t.Errorf("a session that was valid before: %d", got)
	}
}

// TestSecureCookie signs in over TLS.
func TestSecureCookie(t *testing.T) {
	r := newRig(t)
	front := httptest.NewTLSServer(r.Handler())
	defer front.Close()
	send := func(method, path string, header map[string]string) visited {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, front.URL+api.Prefix+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range header {
			req.Header.Set(name, value)
		}
		resp, err := front.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return visited{resp.StatusCode, resp.Header, resp.Cookies()}
	}
	resp := send("POST", "/session", map[string]string{"Authorization": "Bearer " + r.tokens[RoleViewer]})
	if len(resp.Cookies()) != 1 {
		t.Fatalf("%d, %v", resp.StatusCode, resp.Header)
	}
	c := resp.Cookies()[0]
	if c.Name != secureCookie || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" {
		t.Errorf("the cookie is %+v", c)
	}
	for cookie, want := range map[string]int{c.Name + "=" + c.Value: http.StatusOK, plainCookie + "=" + c.Value: http.StatusUnauthorized} {
		if resp := send("GET", "/me", map[string]string{"Cookie": cookie}); resp.StatusCode != want {
			t.Errorf("%.15s: %d, want %d", cookie, resp.StatusCode, want)
		}
	}
}

// TestSessionIsNowhere looks for the session and the token in all that the server says and writes, except for Set-Cookie.
func TestSessionIsNowhere(t *testing.T) {
	var mu sync.Mutex
	var logged bytes.Buffer
	r := newRigWith(t, Options{Log: slog.New(slog.NewTextHandler(&lockedWriter{&mu, &logged}, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	token := r.tokens[RoleAdmin]
	cookie := r.signIn(t, token)
	_, text, _ := strings.Cut(cookie, "=")
	r.live.close() // a stream says what there is, and ends
	var said strings.Builder
	say := func(b browsed) {
		resp, body := r.browse(t, b)
		resp.Header.Del("Set-Cookie")
		if err := resp.Header.Write(&said); err != nil {
			t.Fatal(err)
		}
		said.WriteString(body)
	}
	r.each("own", func(op *huma.Operation, role, path string) {
		if role == RoleRunner || op.OperationID == "end-session" {
			return
		}
		for _, header := range []map[string]string{nil, own} {
			say(browsed{method: op.Method, path: strings.TrimPrefix(path, api.Prefix), cookie: cookie, header: header, body: "{"})
			say(browsed{method: op.Method, path: strings.TrimPrefix(path, api.Prefix), cookie: cookie + "x", header: header, body: "{"})
		}
	})
	say(browsed{method: "POST", path: "/session", token: token})
	log, err := json.Marshal(r.log(t))
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for name, where := range map[string]string{"an answer": said.String(), "the audit log": string(log), "the server's log": logged.String()} {
		for what, canary := range map[string]string{"the session": text, "the token": token} {
			if strings.Contains(where, canary) {
				t.Errorf("%s has %s", name, what)
			}
		}
	}
	if !strings.Contains(said.String(), "audit") || logged.Len()+len(log) == 0 {
		t.Error("nothing was said")
	}
}

// lockedWriter is a writer for several goroutines.
type lockedWriter struct {
	mu *sync.Mutex
	to io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.to.Write(p)
}
