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

// identity is who makes a request.
type identity struct{ store.Token }

// has reports whether the token's role includes another one.
func (i identity) has(role string) bool {
	if role == RoleRunner || i.Role == RoleRunner {
		return i.Role == role
	}
	return slices.Index(roles, i.Role) >= slices.Index(roles, role)
}

func (i identity) may(project, role string) bool {
	return i.has(role) && (role == RoleRunner || i.Project == "" || i.Project == project)
}

// refused says why the token may not do what needs a role in a project, or in all of them.
func (i identity) refused(project, role string) *api.Problem {
	if !i.has(role) {
		return problem(http.StatusForbidden, run.CodeForbidden, "this needs the role "+role+", and the token "+i.Name+" has "+i.Role, "use a token with that role in this project")
	}
	needs := "all projects"
	if project != "" {
		needs = "the project " + project
	}
	return problem(http.StatusForbidden, run.CodeForbidden, "the token "+i.Name+" is for the project "+i.Project+", and this needs a token for "+needs, "use a token for "+needs)
}

type identityKey struct{}

// who returns who makes the request; only operations with a role have an identity.
func who(ctx context.Context) identity {
	i, _ := ctx.Value(identityKey{}).(identity)
	return i
}

// roleKey is where an operation's role is in its metadata.
const roleKey = "role"

// authenticate lets a request pass if its token has the operation's role in the project of its address.
func (s *Server) authenticate(c huma.Context, next func(huma.Context)) {
	role, _ := c.Operation().Metadata[roleKey].(string)
	text, ok := strings.CutPrefix(c.Header("Authorization"), "Bearer ")
	// A token that was valid before passes although others at its address fail.
	hash := hashOf(text)
	if !s.tokens.has(string(hash)) && !s.mayFail(c) {
		return
	}
	if !ok {
		s.countFailure(c)
		s.refuse(c, problem(http.StatusUnauthorized, run.CodeUnauthenticated, "the request has no token", "send Authorization: Bearer TOKEN; with mayfly: mayfly login URL --token-file FILE"))
		return
	}
	token, err := s.token(c.Context(), hash)
	switch {
	case errors.Is(err, store.ErrNotFound):
		s.countFailure(c)
		s.refuse(c, problem(http.StatusUnauthorized, run.CodeUnauthenticated, "the token is unknown, has expired or is revoked", "log in with another one: mayfly login URL --token-file FILE"))
		return
	case err != nil:
		s.refuse(c, asProblem(s.explain(err, "token")))
		return
	}
	who := identity{token}
	if r, ok := c.Context().Value(recordKey{}).(*record); ok {
		r.Actor, r.ActorProject = who.Name, who.Project
	}
	if !s.limitToken(c, who) {
		return
	}
	if !who.may(c.Param("project"), role) {
		s.refuse(c, who.refused(c.Param("project"), role))
		return
	}
	trace.InProject(c.Context(), c.Param("project"))
	next(huma.WithValue(c, identityKey{}, who))
}

// tokenEnded says whether the token of a stream has expired or was removed since the stream began. The runner in this process has none.
func (s *Server) tokenEnded(ctx context.Context) bool {
	hash := who(ctx).Hash
	if hash == nil {
		return false
	}
	_, err := s.token(ctx, hash)
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
		Metadata: map[string]any{roleKey: role}, Security: []map[string][]string{{"token": {}}},
		MaxBodyBytes: 4 << 20, BodyReadTimeout: 5 * time.Minute,
	}
}
