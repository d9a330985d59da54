package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/store"
)

// entryRig is a server with an entry, and a client that follows no redirects.
type entryRig struct {
	*rig
	*Entry
	t    *testing.T
	host string
}

func newEntryRig(t *testing.T) *entryRig {
	t.Helper()
	r := newRigWith(t, Options{SessionCookie: "mayfly-session-1", Pages: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })})
	token := store.Token{Hash: hashOf("dev"), Name: "dev", Role: RoleAdmin}
	if err := r.store.AddToken(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	front := httptest.NewUnstartedServer(nil)
	host := front.Listener.Addr().String()
	e := &entryRig{rig: r, Entry: r.NewEntry(token, host, strings.Replace(host, "127.0.0.1", "localhost", 1)), t: t, host: host}
	front.Config.Handler = e.Entry.Handler()
	front.Start()
	t.Cleanup(front.Close)
	return e
}

// heads are the status and the headers of an answer.
type heads struct {
	StatusCode int
	Header     http.Header
	cookies    []*http.Cookie
}

// ask sends a request with these headers, as NAME: VALUE. The one called Host is the host.
func (e *entryRig) ask(method, path string, headers ...string) heads {
	e.t.Helper()
	req, err := http.NewRequestWithContext(e.t.Context(), method, "http://"+e.host+path, nil)
	if err != nil {
		e.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if req.Header.Set(name, value); name == "Host" {
			req.Host = value
		}
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	resp.Body.Close()
	if h := resp.Header; h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" || h.Get("Cache-Control") != "no-store" || h.Get("Content-Security-Policy") == "" {
		e.t.Errorf("%s %s: the headers are %v", method, path, h)
	}
	return heads{resp.StatusCode, resp.Header, resp.Cookies()}
}

// TestEntry has a browser come in by a code, which works once.
func TestEntry(t *testing.T) {
	e := newEntryRig(t)
	old := e.Code()
	text := e.Code()
	for _, wrong := range []string{"", "?code=", "?code=x", "?code=" + old, "?CODE=" + text} {
		if resp := e.ask("GET", EntryPath+wrong); resp.StatusCode != http.StatusForbidden || resp.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %d", wrong, resp.StatusCode)
		}
	}
	for _, other := range []heads{e.ask("HEAD", EntryPath+"?code="+text), e.ask("POST", EntryPath+"?code="+text), e.ask("GET", EntryPath+"?code="+text, "Sec-Purpose: prefetch;prerender")} {
		if other.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%d", other.StatusCode)
		}
	}
	resp := e.ask("GET", EntryPath+"?code="+text)
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/" {
		t.Fatalf("%d, %v", resp.StatusCode, resp.Header)
	}
	cookies := resp.cookies
	if len(cookies) != 1 || cookies[0].Name != "mayfly-session-1" || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteStrictMode || cookies[0].Secure {
		t.Fatalf("%v", cookies)
	}
	cookie := "Cookie: " + cookies[0].Name + "=" + cookies[0].Value
	if resp := e.ask("GET", "/api/v1/me", cookie); resp.StatusCode != http.StatusOK {
		t.Errorf("with the session: %d", resp.StatusCode)
	}
	if resp := e.ask("GET", EntryPath+"?code="+text); resp.StatusCode != http.StatusForbidden {
		t.Errorf("a second time: %d", resp.StatusCode)
	}
	if resp := e.ask("GET", "/api/v1/me"); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("without the session: %d", resp.StatusCode)
	}
	late := e.Code()
	e.code.expires = time.Now()
	if resp := e.ask("GET", EntryPath+"?code="+late); resp.StatusCode != http.StatusForbidden {
		t.Errorf("too late: %d", resp.StatusCode)
	}
	if got := e.since(t, 0); len(got) != 2 || got[0] != "dev start  session ok map[]" {
		t.Errorf("the audit log has %q", got)
	}
}

// TestHosts has requests for other hosts: a name that leads here doesn't make a page one of this server's.
func TestHosts(t *testing.T) {
	e := newEntryRig(t)
	text := e.Code()
	_, port, _ := strings.Cut(e.host, ":")
	for host, want := range map[string]int{
		e.host: http.StatusTeapot, "localhost:" + port: http.StatusTeapot, "LocalHost:" + port: http.StatusTeapot,
		"127.0.0.1": http.StatusMisdirectedRequest, "localhost": http.StatusMisdirectedRequest, "evil.example:" + port: http.StatusMisdirectedRequest,
		"127.0.0.1:1": http.StatusMisdirectedRequest, "127.0.0.1.evil.example:" + port: http.StatusMisdirectedRequest, "localhost.:" + port: http.StatusMisdirectedRequest,
	} {
		if resp := e.ask("GET", "/", "Host: "+host); resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", host, resp.StatusCode, want)
		}
		if want != http.StatusMisdirectedRequest {
			continue
		}
		for _, path := range []string{"/api/v1/me", "/healthz", EntryPath + "?code=" + text} {
			if resp := e.ask("GET", path, "Host: "+host); resp.StatusCode != want || resp.Header.Get("Set-Cookie") != "" {
				t.Errorf("%s %s: %d, want %d", host, path, resp.StatusCode, want)
			}
		}
	}
}

// TestPortOfHTTP has the entry at the port that browsers leave out.
func TestPortOfHTTP(t *testing.T) {
	handler := newEntryRig(t).NewEntry(store.Token{}, "127.0.0.1:80", "localhost:80").Handler()
	for host, want := range map[string]int{
		"127.0.0.1": http.StatusTeapot, "localhost": http.StatusTeapot, "127.0.0.1:80": http.StatusTeapot,
		"127.0.0.1:8": http.StatusMisdirectedRequest, "evil.example": http.StatusMisdirectedRequest, "": http.StatusMisdirectedRequest,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Host = host
		w := httptest.NewRecorder()
		if handler.ServeHTTP(w, r); w.Code != want {
			t.Errorf("%q: %d, want %d", host, w.Code, want)
		}
	}
}
