package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
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
	"github.com/mayfly-run/mayfly/internal/trace"
)

// The roles of people and programs, each with all that the ones before it may do. A runner's is apart from them.
const (
	RoleViewer   = "viewer"   // reads
	RoleOperator = "operator" // runs and cancels
	RoleAuthor   = "author"   // edits tools
	RoleAdmin    = "admin"    // all of the project
	RoleRunner   = "runner"   // carries out runs of its pool
	// RoleAny is what an operation needs that every token may use. No token has it.
	RoleAny = "any"
)

// roles has the order of the roles of people.
var roles = []string{RoleViewer, RoleOperator, RoleAuthor, RoleAdmin}

// NewToken returns a token's text, which begins with mfly_ so that scanners for leaked secrets can find it, and its hash, which
// is all that is kept of it.
func NewToken() (text string, hash []byte) {
	text = "mfly_" + rand.Text() + rand.Text()
	return text, hashOf(text)
}

// A token has more than 200 random bits, so that a fast hash without salt is as good as a slow one.
func hashOf(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// identity is who makes a request: a token, or a session that was made from it.
type identity struct {
	store.Token
	session *store.Session // nil for the token itself
}

// has reports whether the token's role includes another one.
func (i identity) has(role string) bool {
	if role == RoleAny {
		return true
	}
	if role == RoleRunner || i.Role == RoleRunner {
		return i.Role == role
	}
	return slices.Index(roles, i.Role) >= slices.Index(roles, role)
}

func (i identity) may(project, role string) bool {
	return i.has(role) && (role == RoleRunner || role == RoleAny || i.Project == "" || i.Project == project)
}

// refused says why the token may not do what needs a role in a project, or in all of them.
func (i identity) refused(project, role string) *api.Problem {
	if !i.has(role) {
		return problem(http.StatusForbidden, run.CodeForbidden, "this needs the role "+role+", and the token "+i.Name+" has "+i.Role, "use a token with that role in this project")
	}
	needs, remedy := "all projects", "use a token for all projects"
	if project != "" {
		needs, remedy = "the project "+project, "use a token for the project "+project+", or name the token's own project (mayfly … --project "+i.Project+")"
	}
	return problem(http.StatusForbidden, run.CodeForbidden, "the token "+i.Name+" is for the project "+i.Project+", and this needs a token for "+needs, remedy)
}

type identityKey struct{}

// who returns who makes the request; only operations with a role have an identity.
func who(ctx context.Context) identity {
	i, _ := ctx.Value(identityKey{}).(identity)
	return i
}

// roleKey is where an operation's role is in its metadata.
const roleKey = "role"

// credential is what a request has to say who makes it.
type credential struct {
	hash    []byte // of the token's or the session's text
	session bool
	given   bool
}

// credentialOf returns what a request has. A token goes before a session: the cookie comes with every request of a browser.
func (s *Server) credentialOf(c huma.Context) credential {
	if header := c.Header("Authorization"); header != "" {
		scheme, text, ok := strings.Cut(header, " ")
		return credential{hash: hashOf(text), given: ok && strings.EqualFold(scheme, "bearer")} // RFC 9110, section 11.1
	}
	r, _ := humago.Unwrap(c)
	text, ok := s.sessionOf(r)
	return credential{hash: hashOf(text), session: ok, given: ok}
}

// seen says whether a credential was valid when it was looked for last.
func (s *Server) seen(by credential) bool {
	if by.session {
		return s.sessions.has(string(by.hash))
	}
	return s.tokens.has(string(by.hash))
}

// identify finds who has a credential. The error is store.ErrNotFound.
func (s *Server) identify(ctx context.Context, by credential) (identity, error) {
	if by.session {
		one, err := s.session(ctx, by.hash)
		return identity{one.Token, &one}, err
	}
	token, err := s.token(ctx, by.hash)
	return identity{token, nil}, err
}

// errSignedOut answers a request whose cookie is of no session.
var errSignedOut = problem(http.StatusUnauthorized, run.CodeUnauthenticated, "the session is unknown, or has ended", "sign in again with a token")

// authenticate lets a request pass if its token has the operation's role in the project of its address.
func (s *Server) authenticate(c huma.Context, next func(huma.Context)) {
	role, _ := c.Operation().Metadata[roleKey].(string)
	by := s.credentialOf(c)
	// A session that isn't there, and never will be, counts as a failure once: a page asks several times before it notices that its own has ended.
	if by.session && s.signedOut.has(string(by.hash)) {
		if r, ok := c.Context().Value(recordKey{}).(*record); ok {
			r.changes, r.logged = false, true
		}
		s.removeCookie(c)
		s.refuse(c, errSignedOut)
		return
	}
	// A token that was valid before passes although others at its address fail.
	if !s.seen(by) && !s.mayFail(c) {
		return
	}
	if !by.given {
		s.countFailure(c)
		s.refuse(c, problem(http.StatusUnauthorized, run.CodeUnauthenticated, "the request has no token", "send Authorization: Bearer TOKEN; with mayfly: mayfly login URL --token-file FILE"))
		return
	}
	who, err := s.identify(c.Context(), by)
	switch {
	case errors.Is(err, store.ErrNotFound) && by.session:
		s.countFailure(c)
		s.signedOut.put(string(by.hash), struct{}{})
		s.removeCookie(c)
		s.refuse(c, errSignedOut)
		return
	case errors.Is(err, store.ErrNotFound):
		s.countFailure(c)
		s.refuse(c, problem(http.StatusUnauthorized, run.CodeUnauthenticated, "the token is unknown, has expired or is revoked", "log in with another one: mayfly login URL --token-file FILE"))
		return
	case err != nil:
		s.refuse(c, asProblem(s.explain(err, "token")))
		return
	}
	if r, ok := c.Context().Value(recordKey{}).(*record); ok {
		r.Actor, r.ActorProject = who.Name, who.Project
	}
	if !s.limitToken(c, who) {
		return
	}
	if by.session || c.Operation().OperationID == shellOperation {
		if p := crossSite(c, by); p != nil {
			s.refuse(c, p)
			return
		}
	}
	if !who.may(c.Param("project"), role) {
		s.refuse(c, who.refused(c.Param("project"), role))
		return
	}
	trace.InProject(c.Context(), c.Param("project"))
	next(huma.WithValue(c, identityKey{}, who))
}

// removeCookie has the browser forget a session.
func (s *Server) removeCookie(c huma.Context) {
	r, _ := humago.Unwrap(c)
	c.SetHeader("Set-Cookie", s.sessionCookie(r, "", -1))
}

// tokenEnded says whether the token of a stream, or its session, has expired or was removed since the stream began. The runner in this process
// has none.
func (s *Server) tokenEnded(ctx context.Context) bool {
	who := who(ctx)
	if who.Hash == nil {
		return false
	}
	by := credential{hash: who.Hash}
	if who.session != nil {
		by = credential{hash: who.session.Hash, session: true}
	}
	_, err := s.identify(ctx, by)
	return errors.Is(err, store.ErrNotFound)
}

const (
	// tokenAge is for how long a token that was ended on another server is good here.
	tokenAge   = time.Second
	mostTokens = 10_000
)

// token returns the token with a hash.
func (s *Server) token(ctx context.Context, hash []byte) (store.Token, error) {
	return s.tokens.get(ctx, string(hash), func(ctx context.Context, _ store.Token) (store.Token, error) { return s.store.Token(ctx, hash) })
}

// refuse answers a request with a problem.
func (s *Server) refuse(c huma.Context, p *api.Problem) {
	s.auditProblem(c.Context(), p)
	if p.Status == http.StatusUnauthorized {
		c.SetHeader("WWW-Authenticate", "Bearer")
	}
	c.SetHeader("Content-Type", problemType)
	c.SetStatus(p.Status)
	if err := s.api.Marshal(c.BodyWriter(), problemType, p); err != nil {
		s.log.Debug("answer", "error", err) // the client has gone
	}
}

// operation describes an operation of the API with the role that it needs.
func operation(id, method, path, role, summary string) huma.Operation {
	return huma.Operation{
		OperationID: id, Method: method, Path: api.Prefix + path, Summary: summary,
		Metadata: map[string]any{roleKey: role}, Security: securityOf(role),
		MaxBodyBytes: 4 << 20, BodyReadTimeout: 5 * time.Minute,
	}
}

// securityOf describes what may say who asks. A session is never a runner's.
func securityOf(role string) []map[string][]string {
	all := []map[string][]string{{"token": {}}}
	if role != RoleRunner {
		all = append(all, map[string][]string{"session": {}})
	}
	return all
}
