package server

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/policy"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/store"
)

// body is a request or an answer that is only a JSON document.
type body[T any] struct{ Body T }

// InProject (exported, since package huma leaves out what isn't) is the part of an address that says which project a request is about.
type InProject struct {
	Project string `path:"project" pattern:"^[a-z0-9][a-z0-9-]{0,62}$" doc:"the project"`
}

func (s *Server) registerTools() {
	huma.Register(s.api, unaudited(operation("missing-contents", http.MethodPost, "/projects/{project}/contents/missing", RoleAuthor,
		"Ask which contents are still to be sent")), s.missing)
	huma.Register(s.api, operation("put-content", http.MethodPut, "/projects/{project}/contents/{digest}", RoleAuthor,
		"Send a content"), s.putContent)
	huma.Register(s.api, operation("create-version", http.MethodPost, "/projects/{project}/tools/{tool}/versions", RoleAuthor,
		"Make a version of a tool or workflow"), s.createVersion)
	huma.Register(s.api, operation("list-tools", http.MethodGet, "/projects/{project}/tools", RoleViewer,
		"List the tools with their latest versions"), s.listTools)
	huma.Register(s.api, operation("list-versions", http.MethodGet, "/projects/{project}/tools/{tool}/versions", RoleViewer,
		"List the versions of a tool, the newest first"), s.listVersions)
}

// asProblem is err as the problem that explain has made.
func asProblem(err error) *api.Problem {
	var p *api.Problem
	errors.As(err, &p)
	return p
}

// ToolName is the part of an address that names a tool.
type ToolName struct {
	Tool string `path:"tool" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$" doc:"the tool's name"`
}

func (s *Server) createVersion(ctx context.Context, in *struct {
	InProject
	ToolName
	Body api.NewVersion
},
) (*body[api.Version], error) {
	l, err := s.loadSent(ctx, in.Project, &in.Body.Bundle)
	if err != nil {
		return nil, s.explain(err, "file")
	}
	if l.workflow != nil {
		if err := s.checkWorkflow(ctx, in.Project, l); err != nil {
			return nil, s.explain(err, "file")
		}
	}
	v := store.Version{
		Project: in.Project, Tool: in.Tool, Kind: l.kind(), Note: in.Body.Note, Digest: l.digest, Manifest: l.manifest, CreatedBy: who(ctx).Name,
	}
	if l.tool != nil {
		v.Description = l.tool.Description
	} else {
		v.Description = l.workflow.Description
	}
	subject(ctx, "tools/"+in.Tool, "digest", l.digest)
	warnings, err := s.warnings(ctx, in.Project, in.Tool, in.Body.Bundle.Definition, l)
	if err != nil {
		return nil, s.explain(err, "tool "+in.Tool)
	}
	answer := func(m store.Made) api.Version {
		out := versionOf(m.Version)
		out.New, out.Warnings = m.New, warnings
		return out
	}
	s.answerWith(ctx, false, func(made any) any { return answer(made.(store.Made)) }) //nolint:forcetypeassert // AddVersion makes no other
	v, made, err := s.store.AddVersion(ctx, v)
	if err != nil {
		return nil, s.explain(err, "tool "+in.Tool)
	}
	return &body[api.Version]{Body: answer(store.Made{Version: v, New: made})}, nil
}

// warnings is what whoever pushes or checks a definition should know. name is what the tool is called on the server.
func (s *Server) warnings(ctx context.Context, project, name, file string, l *loaded) (all []api.Wrong, err error) {
	if l.tool != nil {
		var denied *policy.DeniedError
		switch err := s.mayRun(ctx, project, name, l.tool, nil); {
		case errors.As(err, &denied):
			all = append(all, api.Wrong{Where: file, Message: "no run of it will be accepted: " + denied.Refused(), Hint: denied.Remedy()})
		case err != nil:
			return nil, err
		}
	}
	for _, w := range l.warnings {
		all = append(all, wrongOf(w))
	}
	return all, nil
}

func wrongOf(p shape.Problem) api.Wrong {
	return api.Wrong{Where: p.Position.String(), Message: p.Text, Hint: p.Hint}
}

func versionOf(v store.Version) api.Version {
	return api.Version{
		Tool: v.Tool, Version: v.Version, Kind: v.Kind, Description: v.Description, Note: v.Note, Digest: v.Digest, Created: v.Created, CreatedBy: v.CreatedBy,
	}
}

func versionsOf(all []store.Version) []api.Version {
	out := []api.Version{}
	for _, v := range all {
		out = append(out, versionOf(v))
	}
	return out
}

// ListLimit bounds a page of a list.
type ListLimit struct {
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"50"`
}

// NamesPage is a page of a list that is sorted by names.
type NamesPage struct {
	ListLimit
	Cursor string `query:"cursor" maxLength:"253" doc:"next of the page before"`
}

// page asks for one more than the page has, which says that there is another page.
func (n *NamesPage) page() store.Page { return store.Page{After: n.Cursor, Most: n.Limit + 1} }

// cut returns a page, and the cursor of the next one, or "".
func cut[T any](all []T, most int, cursor func(T) string) (page []T, next string) {
	if len(all) <= most {
		return all, ""
	}
	return all[:most], cursor(all[most-1])
}

func (s *Server) listTools(ctx context.Context, in *struct {
	InProject
	NamesPage
},
) (*body[api.ToolList], error) {
	all, err := s.store.Tools(ctx, in.Project, in.page())
	if err != nil {
		return nil, s.explain(err, "tool")
	}
	all, next := cut(all, in.Limit, func(v store.Version) string { return v.Tool })
	return &body[api.ToolList]{Body: api.ToolList{Tools: versionsOf(all), Next: next}}, nil
}

func (s *Server) listVersions(ctx context.Context, in *struct {
	InProject
	ToolName
	ListLimit
	Cursor int `query:"cursor" minimum:"1" maximum:"2147483647" doc:"next of the page before"`
},
) (*body[api.VersionList], error) {
	all, err := s.store.Versions(ctx, in.Project, in.Tool, in.Cursor, in.Limit+1)
	if err == nil && len(all) == 0 && in.Cursor == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return nil, s.explain(err, "tool "+in.Tool)
	}
	all, next := cut(all, in.Limit, func(v store.Version) string { return strconv.Itoa(v.Version) })
	return &body[api.VersionList]{Body: api.VersionList{Versions: versionsOf(all), Next: next}}, nil
}
