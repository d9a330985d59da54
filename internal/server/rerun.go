package server

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/tool"
)

func (s *Server) registerRerun() {
	rerun := operation("rerun", http.MethodPost, "/projects/{project}/runs/{run}/rerun", RoleOperator,
		"Run the same again: the same definition and inputs, except for what the request changes")
	rerun.DefaultStatus = http.StatusCreated
	huma.Register(s.api, rerun, s.rerun)
}

func (s *Server) rerun(ctx context.Context, in *struct {
	InProject
	RunID
	Body *api.Changes
},
) (_ *body[api.Run], err error) {
	what := "run " + in.Run
	if err := s.mayQueue(ctx, in.Project); err != nil {
		return nil, err
	}
	defer s.queues.unless(&err, in.Project)
	old, err := s.store.Run(ctx, in.Project, in.Run)
	if err != nil {
		return nil, s.explain(err, what)
	}
	data, err := s.store.Request(ctx, in.Project, in.Run)
	if err != nil {
		return nil, s.explain(err, what)
	}
	if err := s.mayRepeat(ctx, in.Project, old); err != nil {
		return nil, err
	}
	changes := in.Body
	if changes == nil {
		changes = &api.Changes{}
	}
	for name, v := range changes.Inputs {
		changes.Inputs[name] = run.Numbers(v)
	}
	env, err := environment(changes.Environment)
	if err != nil {
		return nil, err
	}
	var r *api.Run
	if old.Kind == "workflow" {
		r, err = s.rerunWorkflow(ctx, old, data, changes, env)
	} else {
		r, err = s.rerunTool(ctx, old, data, changes, env)
	}
	if err != nil {
		return nil, s.explain(err, what)
	}
	return &body[api.Run]{Body: *r}, nil
}

// rerunTool runs a tool again. A step of a workflow that is repeated is a run of its own.
func (s *Server) rerunTool(ctx context.Context, old store.Run, data []byte, changes *api.Changes, env []tool.EnvVar) (*api.Run, error) {
	req, secret, err := s.openRequest(ctx, data)
	if err != nil {
		return nil, fmt.Errorf("read the request: %w", err)
	}
	name := knownAs(old.Tool, old.Version)
	if err := givenAgain(req.Given, changes.Secrets); err != nil {
		return nil, err
	}
	req.ID, req.Step = run.NewID(), ""
	sealed, err := s.give(ctx, req.Request, changes.Secrets)
	if err != nil {
		return nil, err
	}
	if req.Tests != nil {
		if len(changes.Inputs)+len(changes.Environment)+len(changes.Set) > 0 || changes.KeepOnFailure != nil {
			return nil, problem(http.StatusUnprocessableEntity, run.CodeInvalidRequest, "the run is of tests, which have their own inputs and environment", "repeat it without changes")
		}
		err = s.mayTest(ctx, old.Project, name, req.Request)
	} else if err = req.change(changes, env); err == nil {
		if err = s.mayRun(ctx, old.Project, name, req.Tool, req.Given); err == nil {
			err = s.maySecrets(ctx, old.Project, name, keptSecrets(req.Request))
		}
	}
	if err != nil {
		return nil, err
	}
	row := repeated(ctx, old, "")
	row.ID, row.Secrets = req.ID, sealed
	needGiven(&row)
	needKeeping(&row, req.Request)
	if row.Request, err = s.keepRequest(ctx, req, secret); err != nil {
		return nil, err
	}
	if err := s.asks(ctx, &row, name, req.Request); err != nil {
		return nil, err
	}
	return s.enqueue(ctx, row, req.Request, secret)
}

// change merges changes into a request.
func (r *keptRequest) change(c *api.Changes, env []tool.EnvVar) error {
	if err := overrideAll(r.Tool, c.Set); err != nil {
		return err
	}
	r.Inputs, r.Environment, r.Asked.Set = merged(r.Inputs, c.Inputs), changed(r.Environment, env), merged(r.Asked.Set, c.Set)
	if c.KeepOnFailure != nil {
		r.KeepFor = keepFor(*c.KeepOnFailure)
	}
	if len(c.Inputs) == 0 {
		return nil // they were right when the old run was accepted
	}
	_, err := r.Tool.Inputs(r.Inputs)
	return err
}

// merged is a map with changes; neither is changed.
func merged[M ~map[string]V, V any](old M, changes map[string]V) M {
	if len(changes) == 0 {
		return old
	}
	out := maps.Clone(old)
	if out == nil {
		out = M{}
	}
	maps.Copy(out, changes)
	return out
}

// changed are variables with changes.
func changed(old, changes []tool.EnvVar) []tool.EnvVar {
	kept := slices.DeleteFunc(slices.Clone(old), func(v tool.EnvVar) bool {
		return slices.ContainsFunc(changes, func(c tool.EnvVar) bool { return c.Name == v.Name })
	})
	return append(kept, changes...)
}

// rerunWorkflow runs a workflow again from its beginning, with the same versions of its tools.
func (s *Server) rerunWorkflow(ctx context.Context, old store.Run, data []byte, changes *api.Changes, env []tool.EnvVar) (*api.Run, error) {
	if len(changes.Secrets) > 0 {
		return nil, noneForWorkflows()
	}
	if changes.KeepOnFailure != nil {
		return nil, noneKeptOfWorkflows()
	}
	var q flowRequest
	if err := json.Unmarshal(data, &q); err != nil {
		return nil, fmt.Errorf("read the request: %w", err)
	}
	q.Inputs, q.Environment = merged(q.Inputs, changes.Inputs), changed(q.Environment, env)
	if err := q.set(changes.Set); err != nil {
		return nil, err
	}
	f, err := s.planned(ctx, q, s.pinned(ctx, q.Tools))
	if err != nil {
		return nil, err
	}
	return s.beginWorkflow(ctx, repeated(ctx, old, ""), f, nil)
}
