package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

func (s *Server) registerResults() {
	huma.Register(s.api, operation("get-result", http.MethodGet, "/projects/{project}/runs/{run}/result", RoleViewer,
		"Get the result of a run that has ended, also after its log was removed"), s.getResult)
}

// resultOf returns the result of a run that has ended, and nil for one that hasn't.
func (s *Server) resultOf(ctx context.Context, id string) (*run.Result, error) {
	results, err := s.store.Results(ctx, []string{id})
	if err != nil || results[id] == nil {
		return nil, err
	}
	result := &run.Result{}
	if err := json.Unmarshal(results[id], result); err != nil {
		return nil, fmt.Errorf("read the result of run %s: %w", id, err)
	}
	return result, nil
}

func (s *Server) getResult(ctx context.Context, in *struct {
	InProject
	RunID
},
) (*body[run.Result], error) {
	what := "run " + in.Run
	r, err := s.store.Run(ctx, in.Project, in.Run)
	if err != nil {
		return nil, s.explain(err, what)
	}
	result, err := s.resultOf(ctx, r.ID)
	switch {
	case err != nil:
		return nil, s.explain(err, what)
	case result == nil && r.Over: // it was removed meanwhile
		return nil, s.explain(store.ErrNotFound, what)
	case result == nil:
		return nil, problem(http.StatusNotFound, run.CodeNotOver, fmt.Sprintf("%s has no result yet: it is %s", what, r.Status), "follow its events, and ask again after its end")
	}
	result.Handed = nil // it is sealed, and for later runs only
	return &body[run.Result]{Body: *result}, nil
}
