package server

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// registerTokens has each operation twice: for tokens of a project, and for those of all projects, which only an administrator
// of all projects may see.
func (s *Server) registerTokens() {
	for _, in := range []struct{ id, path, of string }{{"project-token", "/projects/{project}/tokens", "of a project"}, {"token", "/tokens", "for all projects, and of runners"}} {
		create := operation("create-"+in.id, http.MethodPost, in.path, RoleAdmin, "Make a token "+in.of)
		create.DefaultStatus = http.StatusCreated
		remove := operation("delete-"+in.id, http.MethodDelete, in.path+"/{name}", RoleAdmin, "End a token "+in.of)
		list := operation("list-"+in.id+"s", http.MethodGet, in.path, RoleAdmin, "List tokens "+in.of)
		if in.id == "token" {
			huma.Register(s.api, create, func(ctx context.Context, in *body[api.NewToken]) (*body[api.Token], error) {
				return s.createToken(ctx, "", &in.Body)
			})
			huma.Register(s.api, list, func(ctx context.Context, in *NamesPage) (*body[api.TokenList], error) {
				return s.listTokens(ctx, "", in)
			})
			huma.Register(s.api, remove, func(ctx context.Context, in *TokenName) (*struct{}, error) {
				return nil, s.deleteToken(ctx, "", in.Name)
			})
			continue
		}
		huma.Register(s.api, create, func(ctx context.Context, in *struct {
			InProject
			Body api.NewToken
		},
		) (*body[api.Token], error) {
			return s.createToken(ctx, in.Project, &in.Body)
		})
		huma.Register(s.api, list, func(ctx context.Context, in *struct {
			InProject
			NamesPage
		},
		) (*body[api.TokenList], error) {
			return s.listTokens(ctx, in.Project, &in.NamesPage)
		})
		huma.Register(s.api, remove, func(ctx context.Context, in *struct {
			InProject
			TokenName
		},
		) (*struct{}, error) {
			return nil, s.deleteToken(ctx, in.Project, in.Name)
		})
	}
}

// TokenName is the part of an address that names a token.
type TokenName struct {
	Name string `path:"name" maxLength:"253"`
}

func (s *Server) createToken(ctx context.Context, project string, n *api.NewToken) (*body[api.Token], error) {
	if n.Role == RoleRunner && project != "" {
		return nil, problem(http.StatusUnprocessableEntity, run.CodeInvalidRequest, "a runner's token isn't of one project", "make it with: mayfly token create NAME --role runner --all-projects")
	}
	if n.Role != RoleRunner && n.Pool != "" {
		return nil, problem(http.StatusUnprocessableEntity, run.CodeInvalidRequest, "only a runner's token has a pool", "leave pool out")
	}
	now, err := s.store.Now(ctx) // by which it expires
	if err != nil {
		return nil, s.explain(err, "token "+n.Name)
	}
	text, hash := NewToken()
	t := store.Token{Hash: hash, Name: n.Name, Project: project, Role: n.Role, Pool: n.Pool, Created: now}
	if t.Role == RoleRunner && t.Pool == "" {
		t.Pool = defaultPool
	}
	if n.ExpiresSeconds > 0 {
		t.Expires = t.Created.Add(time.Duration(n.ExpiresSeconds) * time.Second)
	}
	out := &body[api.Token]{Body: tokenOf(t)}
	out.Body.Token = text
	subject(ctx, "tokens/"+n.Name, "role", t.Role, "pool", t.Pool)
	s.answerWith(ctx, true, func(any) any { return out.Body })
	if err := s.store.AddToken(ctx, t); err != nil {
		return nil, s.explain(err, fmt.Sprintf("token %s", n.Name))
	}
	return out, nil
}

func tokenOf(t store.Token) api.Token {
	return api.Token{Name: t.Name, Project: t.Project, Role: t.Role, Pool: t.Pool, Created: t.Created, Expires: t.Expires}
}

func (s *Server) listTokens(ctx context.Context, project string, in *NamesPage) (*body[api.TokenList], error) {
	all, err := s.store.Tokens(ctx, project, in.page())
	if err != nil {
		return nil, s.explain(err, "token")
	}
	out := &body[api.TokenList]{Body: api.TokenList{Tokens: []api.Token{}}}
	all, out.Body.Next = cut(all, in.Limit, func(t store.Token) string { return t.Name })
	for _, t := range all {
		out.Body.Tokens = append(out.Body.Tokens, tokenOf(t))
	}
	return out, nil
}

func (s *Server) deleteToken(ctx context.Context, project, name string) error {
	is := func(t store.Token) bool { return t.Project == project && t.Name == name }
	defer s.tokens.forget(func(_ string, t store.Token) bool { return is(t) })
	defer s.sessions.forget(func(_ string, one store.Session) bool { return is(one.Token) })
	return s.explain(s.store.RemoveToken(ctx, project, name), "token "+name)
}
