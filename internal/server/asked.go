package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/secret"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/tool"
)

func (s *Server) registerRequests() {
	huma.Register(s.api, operation("get-request", http.MethodGet, "/projects/{project}/runs/{run}/request", RoleViewer,
		"Get what was asked for with a run: inputs, environment, settings, and the definition with its limits"), s.getRequest)
}

func (s *Server) getRequest(ctx context.Context, in *struct {
	InProject
	RunID
},
) (*body[api.RunRequest], error) {
	what := "run " + in.Run
	r, err := s.store.Run(ctx, in.Project, in.Run)
	if err != nil {
		return nil, s.explain(err, what)
	}
	data, err := s.store.Request(ctx, in.Project, in.Run)
	if err != nil {
		return nil, s.explain(err, what)
	}
	out := &api.RunRequest{Version: r.Version, Pool: r.Pool, Runner: withoutOwn(r.Needs), Labels: r.Labels, Priority: r.Priority}
	if r.Version > 0 {
		out.Tool = r.Tool
	}
	for _, l := range keyLimitOf(r) {
		out.Concurrency = &api.Concurrency{Key: strings.TrimPrefix(l.Name, r.Project+keyPart), Limit: l.Most}
	}
	if r.Kind == "workflow" {
		err = s.askedOfWorkflow(ctx, data, out)
	} else {
		err = s.askedOfTool(ctx, r, data, out)
	}
	if err != nil {
		return nil, s.explain(fmt.Errorf("read the request: %w", err), what)
	}
	return &body[api.RunRequest]{Body: *out}, nil
}

func (s *Server) askedOfWorkflow(ctx context.Context, data []byte, out *api.RunRequest) error {
	var q flowRequest
	if err := json.Unmarshal(data, &q); err != nil {
		return err
	}
	if q.Version == 0 {
		out.Bundle = &q.Bundle
	}
	if q.Timeout != "" {
		out.Set = map[string]string{"timeout": q.Timeout}
	}
	out.GraceSeconds, out.Selection, out.Tools = q.Grace.Seconds(), q.Selection, map[string]int{}
	for name, p := range q.Tools {
		out.Tools[name] = p.Version
	}
	given(q.Inputs, q.Environment, false, out)
	l, err := s.load(ctx, &q.Bundle)
	if err != nil {
		return err
	}
	out.Workflow = graphOf(l.workflow)
	return nil
}

func (s *Server) askedOfTool(ctx context.Context, r store.Run, data []byte, out *api.RunRequest) error {
	req, hidden, err := s.openRequest(ctx, data)
	if err != nil {
		return err
	}
	out.Bundle, out.Set, out.Secrets, out.GraceSeconds, out.Hidden = req.Asked.Bundle, req.Asked.Set, req.Given, req.Grace.Seconds(), hidden
	out.KeepOnFailure = req.KeepFor > 0
	given(req.Inputs, req.Environment, hidden, out)
	if len(req.Shared) > 0 {
		out.Shared = variables(req.Shared, hidden)
	}
	if out.Test = req.Asked.Test; req.Tests != nil {
		out.Tests = req.Tests.Names
	}
	if req.Subject() == nil {
		return nil
	}
	out.Definition, err = s.definition(ctx, r.Project, knownAs(r.Tool, r.Version), req.Subject())
	return err
}

// given sets the inputs and variables of a request.
func given(inputs run.Values, environment []tool.EnvVar, hidden bool, out *api.RunRequest) {
	out.Inputs, out.Environment = map[string]any{}, variables(environment, hidden)
	for name, v := range inputs {
		out.Inputs[name] = plain(v)
		if hidden {
			out.Inputs[name] = secret.Mask
		}
	}
}

func variables(all []tool.EnvVar, hidden bool) map[string]string {
	out := map[string]string{}
	for _, v := range all {
		out[v.Name] = v.Value
		if hidden {
			out[v.Name] = secret.Mask
		}
	}
	return out
}

// plain is an input as a request has it: a scalar as it was written.
func plain(v any) any {
	out, _ := shape.MapLeaves(v, func(leaf any) (any, error) {
		if s, ok := leaf.(shape.Scalar); ok {
			return s.Text, nil
		}
		return leaf, nil
	}) // the function returns no error
	return out
}
