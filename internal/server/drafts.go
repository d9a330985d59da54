package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/archive"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// A draft is a bundle that may be wrong: what someone writes before it is a version. Where drafts are is the business of a store.Drafts: the store
// of a team's server, or the files of a folder. The contents of a draft's files are in the archive in either case.

func (s *Server) registerDrafts() {
	at := "/projects/{project}/drafts"
	huma.Register(s.api, operation("list-drafts", http.MethodGet, at, RoleViewer, "List the drafts of tools and workflows"), func(ctx context.Context, in *InProject) (*body[api.DraftList], error) {
		list, err := s.listDrafts(ctx, in.Project)
		return &body[api.DraftList]{list}, err
	})
	huma.Register(s.api, operation("follow-drafts", http.MethodGet, at+"/live", RoleViewer,
		"Follow the list of drafts, as server-sent events: the whole list, at once and whenever it has changed"), s.followDrafts)
	huma.Register(s.api, operation("get-draft", http.MethodGet, at+"/{draft}", RoleViewer, "Get a draft, and list its files"), s.getDraft)
	huma.Register(s.api, operation("get-draft-file", http.MethodGet, at+"/{draft}/files/{path}", RoleViewer, "Get a file of a draft"), s.getDraftFile)
	huma.Register(s.api, operation("set-draft", http.MethodPut, at+"/{draft}", RoleAuthor, "Make or replace a draft, which needn't be right"), s.setDraft)
	huma.Register(s.api, operation("delete-draft", http.MethodDelete, at+"/{draft}", RoleAuthor, "Remove a draft"), s.deleteDraft)
}

// DraftName is the part of an address that names a draft.
type DraftName struct {
	Draft string `path:"draft" minLength:"1" maxLength:"512" doc:"the draft's name, with each slash as %2F"`
}

// DraftCondition says on what condition a draft is changed.
type DraftCondition struct {
	IfMatch string `header:"If-Match" maxLength:"64" doc:"only if the draft has this ETag: nobody has changed it meanwhile"`
}

// tag returns the tag that the request expects, or nil for any.
func (s *Server) tag(ctx context.Context, c DraftCondition, project, name string) (*string, error) {
	switch {
	case c.IfMatch == "":
		return nil, nil //nolint:nilnil // any
	case c.IfMatch == "*":
		d, err := s.drafts.Draft(ctx, project, name)
		if errors.Is(err, store.ErrNotFound) {
			err = store.ErrChanged
		}
		return &d.Tag, err
	}
	tag, err := strconv.Unquote(c.IfMatch)
	if err != nil || tag == "" { // "" would be no draft
		return nil, store.ErrChanged
	}
	return &tag, nil
}

func draftOf(d store.Draft) api.Draft {
	return api.Draft{
		Name: d.Name, Kind: d.Kind, Definition: d.Definition, ETag: d.Tag, Changed: d.Changed, ChangedBy: d.ChangedBy, Base: d.Base, Problem: d.Problem,
	}
}

// taggedDraft is a draft with its ETag.
type taggedDraft struct {
	ETag string `header:"ETag"`
	Body api.DraftFiles
}

func taggedDraftOf(d store.Draft) (*taggedDraft, error) {
	var b api.Bundle
	if err := json.Unmarshal(d.Manifest, &b); err != nil {
		return nil, fmt.Errorf("read draft %s: %w", d.Name, err)
	}
	return &taggedDraft{strconv.Quote(d.Tag), api.DraftFiles{Draft: draftOf(d), Files: b.Files, Own: d.Own}}, nil
}

func (s *Server) listDrafts(ctx context.Context, project string) (api.DraftList, error) {
	all, omitted, err := s.drafts.Drafts(ctx, project)
	if err != nil {
		return api.DraftList{}, s.explain(err, "draft")
	}
	out := api.DraftList{Drafts: []api.Draft{}, Omitted: omitted}
	for _, d := range all {
		out.Drafts = append(out.Drafts, draftOf(d))
	}
	return out, nil
}

func (s *Server) getDraft(ctx context.Context, in *struct {
	InProject
	DraftName
},
) (*taggedDraft, error) {
	d, err := s.drafts.Draft(ctx, in.Project, in.Draft)
	if err != nil {
		return nil, s.explain(err, "draft "+in.Draft)
	}
	return taggedDraftOf(d)
}

func (s *Server) getDraftFile(ctx context.Context, in *struct {
	InProject
	DraftName
	Path string `path:"path" maxLength:"1024" doc:"the file's path, with each slash as %2F"`
},
) (*huma.StreamResponse, error) {
	digest, err := s.drafts.DraftFile(ctx, in.Project, in.Draft, in.Path)
	if err != nil {
		return nil, s.explain(err, "draft "+in.Draft)
	}
	what := fmt.Sprintf("file %q in draft %s", in.Path, in.Draft)
	if digest == "" {
		return nil, s.explain(store.ErrNotFound, what)
	}
	return s.content(digest, typeBytes, what), nil
}

// wrongDraftName says why a draft can't have a name.
func wrongDraftName(name string) error {
	if name == "live" || !fs.ValidPath(name) || name == "." || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == '\\' || r == utf8.RuneError }) {
		return problem(http.StatusUnprocessableEntity, run.CodeInvalidRequest, fmt.Sprintf("%q is not the name of a draft", name),
			"use a name, or a path without . and .. such as backup/tool.yaml; live is the address of the list")
	}
	return nil
}

func (s *Server) setDraft(ctx context.Context, in *struct {
	InProject
	DraftName
	DraftCondition
	IfNoneMatch string `header:"If-None-Match" enum:"*" doc:"only if there is no such draft"`
	Body        api.SetDraft
},
) (*taggedDraft, error) {
	what := "draft " + in.Draft
	if err := wrongDraftName(in.Draft); err != nil {
		return nil, err
	}
	if in.IfMatch != "" && in.IfNoneMatch != "" {
		return nil, problem(http.StatusUnprocessableEntity, run.CodeInvalidRequest, "the request has If-Match and If-None-Match", "send one of them")
	}
	is, err := s.tag(ctx, in.DraftCondition, in.Project, in.Draft)
	if err != nil {
		return nil, s.explain(err, what)
	}
	if in.IfNoneMatch != "" {
		is = new("")
	}
	b := in.Body.Bundle
	slices.SortFunc(b.Files, func(x, y api.File) int { return strings.Compare(x.Path, y.Path) })
	d := store.Draft{Project: in.Project, Name: in.Draft, Definition: b.Definition, Base: in.Body.Base, ChangedBy: who(ctx).Name}
	if d.Kind, err = s.checkDraft(ctx, in.Project, &b); err != nil {
		return nil, s.explain(err, what)
	}
	if _, d.Manifest, err = digestOf(&b); err != nil {
		return nil, s.explain(err, what)
	}
	d.Tag = store.TagOfDraft(d.Manifest, d.Base)
	subject(ctx, "drafts/"+in.Draft, "etag", d.Tag)
	d, err = s.drafts.SetDraft(ctx, d, is)
	if errors.Is(err, store.ErrTooManyDrafts) {
		return nil, problem(http.StatusUnprocessableEntity, run.CodeInvalidRequest, fmt.Sprintf("the project %s has %d drafts, which is the most", in.Project, store.MostDrafts), "remove some")
	}
	if err != nil {
		return nil, s.explain(err, what)
	}
	return taggedDraftOf(d)
}

// checkDraft checks what must be right in a draft too: its files can be in one folder, and their contents are there. It returns what the
// definition looks like.
func (s *Server) checkDraft(ctx context.Context, project string, b *api.Bundle) (kind string, err error) {
	if err := checkFiles(b); err != nil {
		return "", err
	}
	at := slices.IndexFunc(b.Files, func(f api.File) bool { return f.Path == b.Definition })
	if at < 0 {
		return "", wrongBundle("body.definition", fmt.Sprintf("%q is not among the files", b.Definition))
	}
	if err := s.checkSent(ctx, project, b); err != nil {
		return "", err
	}
	for i, f := range b.Files {
		where := fmt.Sprintf("body.files[%d]", i)
		name, err := archive.ContentName(f.Digest)
		if err != nil {
			return "", err
		}
		there, err := s.archive.Renew(ctx, f.Digest) // until the draft names it
		if err != nil {
			return "", err
		}
		if !there {
			return "", notSent(where, f)
		}
		o, err := s.archive.In.Stat(ctx, name)
		if err != nil {
			return "", err
		}
		if o.Size != f.Size {
			return "", wrongSize(where, f, o.Size)
		}
	}
	in, _, err := s.archive.Open(ctx, b.Files[at].Digest)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	text, err := io.ReadAll(io.LimitReader(in, definition.KindBytes))
	return definition.KindOf(text), err
}

func (s *Server) deleteDraft(ctx context.Context, in *struct {
	InProject
	DraftName
	DraftCondition
},
) (*struct{}, error) {
	is, err := s.tag(ctx, in.DraftCondition, in.Project, in.Draft)
	subject(ctx, "drafts/"+in.Draft)
	if err == nil {
		err = s.drafts.RemoveDraft(ctx, in.Project, in.Draft, is)
	}
	return nil, s.explain(err, "draft "+in.Draft)
}

// always is a channel that always has something.
var always = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// followDrafts follows the list. Nothing says when a file or another server's draft changes, so it is read again and again.
func (s *Server) followDrafts(ctx context.Context, in *InProject) (*huma.StreamResponse, error) {
	list, err := s.listDrafts(ctx, in.Project)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(c huma.Context) {
		_, w := humago.Unwrap(c)
		if !streaming(c, w) {
			return
		}
		err := s.streamList(c.Context(), w, "drafts", list, always, func(ctx context.Context) (any, error) { return s.listDrafts(ctx, in.Project) })
		if err != nil {
			s.log.Debug("stream of a list ended", "project", in.Project, "error", err) // the reader comes back
		}
	}}, nil
}
