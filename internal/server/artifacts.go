package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/store"
)

// ArtifactName is the part of an address that names an artifact.
type ArtifactName struct {
	Artifact string `path:"artifact" maxLength:"253" doc:"the artifact's name"`
}

func (s *Server) registerArtifacts() {
	at := "/projects/{project}/runs/{run}"
	huma.Register(s.api, operation("list-artifacts", http.MethodGet, at+"/artifacts", RoleViewer, "List the artifacts of a run; of a workflow, those of its steps"), s.listArtifacts)
	huma.Register(s.api, operation("get-artifact", http.MethodGet, at+"/artifacts/{artifact}", RoleViewer, "Get an artifact of a run, as a tar archive"), s.getArtifact)
}

// artifactsOf returns the artifacts of runs that have ended, by their names.
func (s *Server) artifactsOf(ctx context.Context, r store.Run) ([]api.Artifact, error) {
	result, err := s.resultOf(ctx, r.ID)
	if err != nil || result == nil {
		return nil, err
	}
	var all []api.Artifact
	for _, name := range slices.Sorted(maps.Keys(result.Artifacts)) {
		all = append(all, api.Artifact{Name: name, Run: r.ID, Step: r.Parent.Step, Digest: result.Artifacts[name]})
	}
	return all, nil
}

func (s *Server) listArtifacts(ctx context.Context, in *struct {
	InProject
	RunID
},
) (*body[[]api.Artifact], error) {
	what := "run " + in.Run
	r, err := s.store.Run(ctx, in.Project, in.Run)
	if err != nil {
		return nil, s.explain(err, what)
	}
	runs := []store.Run{r}
	if r.Kind == "workflow" {
		if runs, err = s.store.Steps(ctx, in.Project, in.Run); err != nil {
			return nil, s.explain(err, what)
		}
	}
	out := &body[[]api.Artifact]{Body: []api.Artifact{}}
	for _, one := range runs {
		all, err := s.artifactsOf(ctx, one)
		if err != nil {
			return nil, s.explain(err, what)
		}
		out.Body = append(out.Body, all...)
	}
	return out, nil
}

func (s *Server) getArtifact(ctx context.Context, in *struct {
	InProject
	RunID
	ArtifactName
},
) (*huma.StreamResponse, error) {
	what := "artifact " + in.Artifact + " of run " + in.Run
	r, err := s.store.Run(ctx, in.Project, in.Run)
	if err != nil {
		return nil, s.explain(err, "run "+in.Run)
	}
	all, err := s.artifactsOf(ctx, r)
	if err != nil {
		return nil, s.explain(err, what)
	}
	i := slices.IndexFunc(all, func(a api.Artifact) bool { return a.Name == in.Artifact })
	if i < 0 {
		return nil, s.explain(store.ErrNotFound, what)
	}
	return s.content(all[i].Digest, typeTar, what), nil
}

// sendWhole sends a content. Its last byte waits until the whole is known to be good, since who gets as many bytes as were announced
// takes them for a success.
func sendWhole(w io.Writer, content io.Reader, size int64) error {
	if _, err := io.CopyN(w, content, max(size-1, 0)); err != nil {
		return err
	}
	last, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	_, err = w.Write(last)
	return err
}

// content answers with a content.
func (s *Server) content(digest, kind, what string) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(c huma.Context) {
		r, w := humago.Unwrap(c)
		content, size, err := s.archive.Open(r.Context(), digest)
		if errors.Is(err, fs.ErrNotExist) {
			err = store.ErrNotFound
		}
		if err != nil {
			s.refuse(c, asProblem(s.explain(err, what)))
			return
		}
		defer content.Close()
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Content-Length", fmt.Sprint(size))
		if c.Method() == http.MethodHead {
			return
		}
		if err := sendWhole(w, content, size); err != nil {
			if r.Context().Err() == nil {
				s.log.Error("send a content", "about", what, "error", err)
			}
			panic(http.ErrAbortHandler) // what was sent must not look whole
		}
	}}
}
