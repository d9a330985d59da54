package server

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mayfly-run/mayfly/internal/audit"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// Entry lets whoever has started a server on their own machine in, without a token: by an address with a code, which they see in their terminal.
//
//	GET /start?code=CODE ──▶ 303 to /, with the cookie of a session; the code is worth nothing from then on
//
// The code keeps other users of the machine out, who can connect too. The Host of a request keeps out pages of other sites whose name suddenly leads
// to this machine (DNS rebinding): to a browser, they would be of the same origin.
type Entry struct {
	s     *Server
	token store.Token
	hosts []string

	mu   sync.Mutex
	code code // that may be used
}

type code struct {
	hash    string
	expires time.Time
}

// codeAge is for how long a code may be used.
const codeAge = 10 * time.Minute

// EntryPath is where a code is used.
const EntryPath = "/start"

// NewEntry returns the entry of a server, for requests to these hosts with their ports. The sessions are made from a token.
func (s *Server) NewEntry(token store.Token, hosts ...string) *Entry {
	for _, host := range hosts {
		if name, ok := strings.CutSuffix(host, ":80"); ok { // browsers leave out the port that http has
			hosts = append(hosts, name)
		}
	}
	return &Entry{s: s, token: token, hosts: hosts}
}

// Code returns a new code. The one before is worth nothing from then on.
func (e *Entry) Code() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	text := rand.Text()
	e.code = code{string(hashOf(text)), time.Now().Add(codeAge)}
	return text
}

// use reports whether a text is the code, which is worth nothing from then on.
func (e *Entry) use(text string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.code.hash != string(hashOf(text)) {
		return false
	}
	valid := time.Now().Before(e.code.expires)
	e.code = code{}
	return valid
}

// Handler serves what the server serves, and the entry.
func (e *Entry) Handler() http.Handler {
	inner := e.s.Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !slices.Contains(e.hosts, strings.ToLower(r.Host)):
			secure(w.Header())
			writeProblem(w, problem(http.StatusMisdirectedRequest, run.CodeForbidden, fmt.Sprintf("this server is at %s, and the request is for %.100q", e.hosts[0], r.Host),
				"open http://"+e.hosts[0]+"; a page of another site may not use this server"))
		case r.URL.Path == EntryPath:
			secure(w.Header())
			e.s.deadlines.serve(http.HandlerFunc(e.start), w, r)
		default:
			inner.ServeHTTP(w, r)
		}
	})
}

// start signs a browser in. A browser that only looks ahead doesn't use the code up.
func (e *Entry) start(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || r.Header.Get("Sec-Purpose") != "" {
		w.Header().Set("Allow", http.MethodGet)
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	if !e.use(r.URL.Query().Get("code")) {
		w.Header().Set("Content-Type", typeText+"; charset=utf-8")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintln(w, "This address was used already, or is older than ten minutes. Press Enter in the terminal where mayfly dev runs, and open the address that it prints.")
		return
	}
	p := &store.Pending{Entry: audit.Entry{Actor: e.token.Name, Address: addressOf(r.RemoteAddr), Action: "start", Subject: "session", Outcome: audit.OK}}
	_, cookie, err := e.s.newSession(store.Audited(context.WithoutCancel(r.Context()), p), r, e.token.Hash)
	if err != nil {
		writeProblem(w, asProblem(e.s.explain(err, "session")))
		return
	}
	w.Header().Set("Set-Cookie", cookie)
	w.Header().Set("Location", "/")
	w.WriteHeader(http.StatusSeeOther)
}
