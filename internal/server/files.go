package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/aymanbagabas/go-udiff"
	"github.com/danielgtaylor/huma/v2"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// VersionNumber is the part of an address that names a version of a tool.
type VersionNumber struct {
	Version int `path:"version" minimum:"0" maximum:"2147483647" doc:"the version's number; 0 is the latest"`
}

func (s *Server) registerFiles() {
	at := "/projects/{project}/tools"
	huma.Register(s.api, operation("list-files", http.MethodGet, at+"/{tool}/versions/{version}/files", RoleViewer, "Get a version of a tool, and list its files"), s.listFiles)
	huma.Register(s.api, operation("get-file", http.MethodGet, at+"/{tool}/versions/{version}/files/{path}", RoleViewer, "Get a file of a version of a tool"), s.getFile)
	huma.Register(s.api, operation("diff-versions", http.MethodGet, at+"/{tool}/diff", RoleViewer, "Compare two versions of a tool"), s.diffVersions)
	huma.Register(s.api, unaudited(operation("validate", http.MethodPost, at+"/validate", RoleAuthor, "Check a tool or workflow, and make nothing")), s.validate)
}

// versionFiles returns a version with its bundle.
func (s *Server) versionFiles(ctx context.Context, project, tool string, number int) (*api.VersionFiles, error) {
	v, err := s.store.Version(ctx, project, tool, number)
	if err != nil {
		return nil, err
	}
	b, err := bundleOf(v)
	return &api.VersionFiles{Version: versionOf(v), Bundle: b}, err
}

// versionText says what was asked for: of version 0, the latest one, the tool is missing and not the version.
func versionText(tool string, version int) string {
	if version == 0 {
		return "tool " + tool
	}
	return fmt.Sprintf("version %d of tool %s", version, tool)
}

func (s *Server) listFiles(ctx context.Context, in *struct {
	InProject
	ToolName
	VersionNumber
},
) (*body[api.VersionFiles], error) {
	f, err := s.versionFiles(ctx, in.Project, in.Tool, in.Version)
	if err != nil {
		return nil, s.explain(err, versionText(in.Tool, in.Version))
	}
	return &body[api.VersionFiles]{Body: *f}, nil
}

func (s *Server) getFile(ctx context.Context, in *struct {
	InProject
	ToolName
	VersionNumber
	Path string `path:"path" maxLength:"1024" doc:"the file's path, with each slash as %2F"`
},
) (*huma.StreamResponse, error) {
	f, err := s.versionFiles(ctx, in.Project, in.Tool, in.Version)
	if err != nil {
		return nil, s.explain(err, versionText(in.Tool, in.Version))
	}
	what := fmt.Sprintf("file %q in version %d of tool %s", in.Path, f.Version.Version, in.Tool)
	at := slices.IndexFunc(f.Files, func(one api.File) bool { return one.Path == in.Path })
	if at < 0 {
		return nil, s.explain(store.ErrNotFound, what)
	}
	// Whatever is in it, a browser shows no page.
	return s.content(f.Files[at].Digest, typeBytes, what), nil
}

const (
	// maxDiffed bounds a file that is compared, and maxDiff all of an answer.
	maxDiffed = 1 << 20
	maxDiff   = 8 << 20
)

func (s *Server) diffVersions(ctx context.Context, in *struct {
	InProject
	ToolName
	From int `query:"from" minimum:"0" maximum:"2147483647" doc:"the version before; 0 is the one before to"`
	To   int `query:"to" minimum:"0" maximum:"2147483647" doc:"the version after; 0 is the latest"`
},
) (*body[api.Diff], error) {
	what := "tool " + in.Tool
	to, err := s.versionFiles(ctx, in.Project, in.Tool, in.To)
	if err != nil {
		return nil, s.explain(err, versionText(in.Tool, in.To))
	}
	number := in.From
	if number == 0 {
		if number = to.Version.Version - 1; number == 0 {
			return nil, problem(http.StatusConflict, run.CodeInvalidRequest, "version 1 of "+what+" has none before it", "give from")
		}
	}
	from, err := s.versionFiles(ctx, in.Project, in.Tool, number)
	if err != nil {
		return nil, s.explain(err, versionText(in.Tool, number))
	}
	out := &body[api.Diff]{Body: api.Diff{From: from.Version.Version, To: to.Version.Version, Files: []api.FileDiff{}}}
	before, after := byPath(from.Files), byPath(to.Files)
	all := maps.Clone(before)
	maps.Copy(all, after)
	size := 0
	for _, path := range slices.Sorted(maps.Keys(all)) {
		d, err := s.diffFile(ctx, path, before[path], after[path], size)
		if err != nil {
			return nil, s.explain(err, what)
		}
		if d != nil {
			size += len(d.Text)
			out.Body.Files = append(out.Body.Files, *d)
		}
	}
	return out, nil
}

func byPath(files []api.File) map[string]api.File {
	all := map[string]api.File{}
	for _, f := range files {
		all[f.Path] = f
	}
	return all
}

// diffFile compares a file of two versions. One that isn't there has no digest. It returns nil if there is no difference.
func (s *Server) diffFile(ctx context.Context, path string, from, to api.File, size int) (*api.FileDiff, error) {
	d := &api.FileDiff{Path: path, Change: "changed"}
	fromName, toName := "a/"+path, "b/"+path
	switch {
	case from.Digest == "":
		d.Change, fromName = "added", "/dev/null"
	case to.Digest == "":
		d.Change, toName = "removed", "/dev/null"
	case from.Executable && !to.Executable:
		d.Mode = "not executable"
	}
	if to.Executable && !from.Executable {
		d.Mode = "executable"
	}
	if from.Digest == to.Digest {
		if d.Mode == "" {
			return nil, nil //nolint:nilnil // there is no difference
		}
		return d, nil
	}
	a, omitted, err := s.text(ctx, from)
	if err != nil {
		return nil, err
	}
	b, also, err := s.text(ctx, to)
	if err != nil {
		return nil, err
	}
	if omitted == "" {
		omitted = also
	}
	if omitted == "" && size > maxDiff {
		omitted = "the difference is too large"
	}
	if d.Omitted = omitted; omitted != "" {
		return d, nil
	}
	d.Text, err = udiff.ToUnified(fromName, toName, a, udiff.Lines(a, b), udiff.DefaultContextLines)
	return d, err
}

// text returns a file as text, or why it can't be compared.
func (s *Server) text(ctx context.Context, f api.File) (text, omitted string, err error) {
	if f.Digest == "" {
		return "", "", nil
	}
	if f.Size > maxDiffed {
		return "", "the file is larger than 1 MiB", nil
	}
	content, _, err := s.archive.Open(ctx, f.Digest)
	if err != nil {
		return "", "", err
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	data, err := io.ReadAll(io.LimitReader(content, maxDiffed))
	if err != nil {
		return "", "", err
	}
	if !utf8.Valid(data) || strings.ContainsRune(string(data), 0) {
		return "", "the file isn't text", nil
	}
	return string(data), "", nil
}

func (s *Server) validate(ctx context.Context, in *struct {
	InProject
	Body api.Bundle
},
) (*body[api.Checked], error) {
	l, err := s.loadSent(ctx, in.Project, &in.Body)
	if err == nil && l.workflow != nil {
		err = s.checkWorkflow(ctx, in.Project, l)
	}
	if err != nil {
		return nil, s.explain(err, "file")
	}
	out := &body[api.Checked]{Body: api.Checked{Kind: l.kind(), Warnings: []api.Wrong{}}}
	if l.tool != nil {
		out.Body.Name, out.Body.Description = l.tool.Name, l.tool.Description
	} else {
		out.Body.Name, out.Body.Description = l.workflow.Name, l.workflow.Description
	}
	warnings, err := s.warnings(ctx, in.Project, out.Body.Name, in.Body.Definition, l)
	if err != nil {
		return nil, s.explain(err, "file")
	}
	out.Body.Warnings = append(out.Body.Warnings, warnings...)
	if out.Body.Defined, err = s.defined(ctx, in.Project, knownAs(out.Body.Name, 0), l); err != nil {
		return nil, s.explain(err, "file")
	}
	return out, nil
}
