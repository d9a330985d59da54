package server

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// A page must not keep a token: any script in it could read it. It makes a session from the token, and forgets the token:
//
//	POST /session, Authorization: Bearer TOKEN ──▶ Set-Cookie: a random text, of which the server keeps the SHA-256
//	GET …, Cookie ──▶ as with the token
//	POST, PUT, DELETE …, Cookie, X-Mayfly-Session: 1, from the same origin ──▶ as with the token
//	DELETE /session, or the end of the token, or of its time ──▶ the cookie is worth nothing
//
// A page of another site can't read the cookie (HttpOnly), a browser doesn't send it with that page's requests (SameSite=Strict), and such
// a request neither has the header nor the right origin.

const (
	sessionAge      = 7 * 24 * time.Hour
	sessionIdle     = 12 * time.Hour
	sessionsOfToken = 20
	// sessionUse is how often it is written that a session is in use.
	sessionUse = time.Minute
)

// The names of the cookie. A browser takes one with __Host- only over TLS, from this very host and for all of it (RFC 6265bis, section
// 4.1.3.2), so no other host of the domain can plant a session. Without TLS, which is for loopback addresses, there is no such name.
const (
	secureCookie = "__Host-mayfly-session"
	plainCookie  = "mayfly-session"
)

func (s *Server) cookieName(r *http.Request) string {
	if r.TLS != nil {
		return secureCookie
	}
	return s.plainCookie
}

// sessionOf returns the text of a request's session.
func (s *Server) sessionOf(r *http.Request) (text string, ok bool) {
	cookie, err := r.Cookie(s.cookieName(r))
	if err != nil || cookie.Value == "" {
		return "", false
	}
	return cookie.Value, true
}

// sessionCookie is a Set-Cookie. With a negative age it removes the cookie.
func (s *Server) sessionCookie(r *http.Request, text string, age time.Duration) string {
	cookie := http.Cookie{
		Name: s.cookieName(r), Value: text, Path: api.Prefix, MaxAge: int(age / time.Second), HttpOnly: true, SameSite: http.SameSiteStrictMode,
	}
	if age < 0 {
		cookie.MaxAge = -1
	}
	if r.TLS != nil {
		cookie.Path, cookie.Secure = "/", true // as the name demands
	}
	return cookie.String()
}

// crossSite says why a request with a session isn't one of the server's own pages, or returns nil. What only reads may come from anywhere:
// another page can't see the answer.
func crossSite(c huma.Context, by credential) *api.Problem {
	r, _ := humago.Unwrap(c)
	if c.Operation().OperationID == shellOperation {
		return crossSiteShell(r, by)
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	const remedy = "send it from a page of the server itself, with " + api.SessionHeader + ": 1; programs send Authorization: Bearer TOKEN instead of a cookie"
	if new(http.CrossOriginProtection).Check(r) != nil {
		return problem(http.StatusForbidden, run.CodeCrossSite, "the request has a session's cookie, and comes from a page of another origin", remedy)
	}
	if r.Header.Get(api.SessionHeader) != "1" {
		return problem(http.StatusForbidden, run.CodeCrossSite, "the request has a session's cookie, and no header "+api.SessionHeader, remedy)
	}
	return nil
}

// session returns the session with a hash.
func (s *Server) session(ctx context.Context, hash []byte) (store.Session, error) {
	return s.sessions.get(ctx, string(hash), func(ctx context.Context, _ store.Session) (store.Session, error) {
		one, err := s.store.Session(ctx, hash, sessionIdle)
		if err != nil || one.Unused < sessionUse {
			return one, err
		}
		// It is no part of what the request changes, so it neither writes its entry of the audit log nor fails it.
		if err := s.store.UseSession(store.Audited(ctx, nil), hash); err != nil {
			s.log.Warn("write that a session is in use", "error", err)
		}
		return one, nil
	})
}

func (s *Server) registerSessions() {
	begin := operation("begin-session", http.MethodPost, "/session", RoleAny, "Make a session of a browser from a token; the answer sets its cookie")
	begin.Security = securityOf(RoleRunner) // a token
	huma.Register(s.api, begin, s.beginSession)
	huma.Register(s.api, operation("end-session", http.MethodDelete, "/session", RoleAny, "End the session that the cookie has"), s.endSession)
	huma.Register(s.api, operation("get-me", http.MethodGet, "/me", RoleAny, "Get who asks, and what the token may do"), func(ctx context.Context, _ *struct{}) (*body[api.Me], error) {
		return &body[api.Me]{s.me(who(ctx))}, nil
	})
}

// FromBrowser is a request whose answer sets the cookie.
type FromBrowser struct{ r *http.Request }

// Resolve implements huma.Resolver.
func (f *FromBrowser) Resolve(c huma.Context) []error {
	f.r, _ = humago.Unwrap(c)
	return nil
}

// withCookie is an answer that sets the cookie.
type withCookie[T any] struct {
	SetCookie string `header:"Set-Cookie" doc:"the session's cookie: HttpOnly, SameSite=Strict and, with TLS, Secure"`
	Body      T
}

// withoutCookie is an answer that removes the cookie.
type withoutCookie struct {
	SetCookie string `header:"Set-Cookie" doc:"removes the session's cookie"`
}

func (s *Server) beginSession(ctx context.Context, in *FromBrowser) (*withCookie[api.Me], error) {
	who := who(ctx)
	switch {
	case who.session != nil:
		return nil, problem(http.StatusForbidden, run.CodeForbidden, "a session makes no other session", "send the token: Authorization: Bearer TOKEN")
	case who.Role == RoleRunner:
		return nil, problem(http.StatusForbidden, run.CodeForbidden, "a runner's token makes no session", "use the token of a person")
	}
	one, cookie, err := s.newSession(ctx, in.r, who.Hash)
	if err != nil {
		return nil, s.explain(err, "token "+who.Name)
	}
	who.session = &one
	return &withCookie[api.Me]{cookie, s.me(who)}, nil
}

// newSession makes a session from the token with a hash, and returns it with its cookie.
func (s *Server) newSession(ctx context.Context, r *http.Request, token []byte) (one store.Session, cookie string, err error) {
	text := "mflys_" + rand.Text() + rand.Text()
	one, err = s.store.AddSession(ctx, hashOf(text), token, sessionAge, sessionsOfToken)
	return one, s.sessionCookie(r, text, sessionAge), err
}

// endSession ends the session of the cookie, if the one who asks has it. Without one, there is nothing to end.
func (s *Server) endSession(ctx context.Context, in *FromBrowser) (*withoutCookie, error) {
	text, _ := s.sessionOf(in.r)
	hash := hashOf(text)
	defer s.sessions.forget(func(key string, _ store.Session) bool { return key == string(hash) })
	if err := s.store.RemoveSession(ctx, hash, who(ctx).Hash); err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, s.explain(err, "session")
	}
	return &withoutCookie{s.sessionCookie(in.r, "", -1)}, nil
}

// me says who someone is.
func (s *Server) me(i identity) api.Me {
	me := api.Me{Folder: s.folder, Name: i.Name, Project: i.Project, Role: i.Role, Pool: i.Pool, Expires: i.Expires, Roles: []string{}, Operations: []string{}}
	for _, role := range append([]string{RoleRunner}, roles...) {
		if i.has(role) {
			me.Roles = append(me.Roles, role)
		}
	}
	for op := range operations(s.api.OpenAPI()) {
		project := ""
		if strings.Contains(op.Path, "{project}") {
			project = i.Project
		}
		if op.OperationID == "begin-session" && i.Role == RoleRunner {
			continue
		}
		if role, _ := op.Metadata[roleKey].(string); i.may(project, role) {
			me.Operations = append(me.Operations, op.OperationID)
		}
	}
	slices.Sort(me.Operations)
	if i.session != nil {
		me.Session = &api.BrowserSession{Expires: i.session.Expires, IdleSeconds: int64(sessionIdle / time.Second)}
	}
	return me
}
