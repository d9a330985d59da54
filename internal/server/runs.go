package server

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/tool"
	"github.com/mayfly-run/mayfly/internal/trace"
)

// RunID is the part of an address that names a run.
type RunID struct {
	Run string `path:"run" maxLength:"64" doc:"the run's id"`
}

func (s *Server) registerRuns() {
	create := operation("create-run", http.MethodPost, "/projects/{project}/runs", RoleOperator, "Run a tool or a definition")
	create.DefaultStatus = http.StatusCreated
	huma.Register(s.api, create, s.createRun)
	s.registerRunList()
	huma.Register(s.api, operation("get-run", http.MethodGet, "/projects/{project}/runs/{run}", RoleViewer, "Get a run"), s.getRun)
	huma.Register(s.api, operation("cancel-run", http.MethodPost, "/projects/{project}/runs/{run}/cancel", RoleOperator, "Ask for the end of a run"), s.cancelRun)
	s.registerRerun()
	s.registerTestResults()
	huma.Register(s.api, operation("follow-run", http.MethodGet, "/projects/{project}/runs/{run}/events", RoleViewer,
		"Follow the events of a run, as server-sent events, from its beginning or after Last-Event-ID"), s.followRun)
}

const defaultPool = "default"

func (s *Server) createRun(ctx context.Context, in *struct {
	InProject
	Body api.NewRun
},
) (_ *body[api.Run], err error) {
	if in.Body.Bundle != nil && !who(ctx).may(in.Project, RoleAuthor) {
		return nil, problem(http.StatusForbidden, run.CodeForbidden, "a definition that comes with the request needs the role author, since it could use any secret of the project",
			"run a tool of the server by its name, or use a token with that role")
	}
	if err := s.mayQueue(ctx, in.Project); err != nil {
		return nil, err
	}
	defer s.queues.unless(&err, in.Project)
	r, err := s.accept(ctx, in.Project, &in.Body)
	if err != nil {
		return nil, s.explain(err, "tool "+in.Body.Tool)
	}
	return &body[api.Run]{Body: *r}, nil
}

// accept makes a run of what was asked for. When it returns, the run is durable.
func (s *Server) accept(ctx context.Context, project string, n *api.NewRun) (*api.Run, error) {
	for name, v := range n.Inputs {
		n.Inputs[name] = run.Numbers(v)
	}
	if err := wrongLabels(n.Labels); err != nil {
		return nil, err
	}
	l, b, version, err := s.asked(ctx, project, n)
	if err != nil {
		return nil, err
	}
	if n.Test != nil {
		return s.acceptTests(ctx, project, n, l, b, version)
	}
	if l.workflow != nil {
		if n.Concurrency != nil {
			return nil, problem(http.StatusUnprocessableEntity, run.CodeInvalidRequest, "concurrency is for tools, and this is a workflow", "leave it out, and limit its tools in the project's policy")
		}
		if len(n.Secrets) > 0 {
			return nil, noneForWorkflows()
		}
		if n.KeepOnFailure {
			return nil, noneKeptOfWorkflows()
		}
		return s.acceptWorkflow(ctx, project, n, *b, version)
	}
	if sel := n.Selection; sel.From != "" || sel.Only != "" || len(sel.Skip) > 0 {
		return nil, problem(http.StatusUnprocessableEntity, run.CodeInvalidRequest, "from, only and skip select steps of a workflow, and this is a tool", "leave them out")
	}
	req, err := request(project, l.tool, n)
	if err != nil {
		return nil, err
	}
	sealed, err := s.give(ctx, req, n.Secrets)
	if err != nil {
		return nil, err
	}
	if err := s.mayRun(ctx, project, n.Tool, req.Tool, req.Given); err != nil {
		return nil, err
	}
	if err := s.maySecrets(ctx, project, n.Tool, keptSecrets(req)); err != nil {
		return nil, err
	}
	data, err := s.keepRequest(ctx, keptRequest{req, asked{Set: n.Set, Bundle: n.Bundle}}, false)
	if err != nil {
		return nil, err
	}
	row := newRow(ctx, project, n, req.Tool.Name, l.kind(), version)
	row.ID, row.Request, row.Limits, row.Secrets = req.ID, data, keyLimit(project, n.Concurrency), sealed
	needGiven(&row)
	needKeeping(&row, req)
	if err := s.asks(ctx, &row, n.Tool, req); err != nil {
		return nil, err
	}
	return s.enqueue(ctx, row, req, false)
}

// newRow is what every run that is asked for has in the store. name is that of what it is of, if that came with the request.
func newRow(ctx context.Context, project string, n *api.NewRun, name, kind string, version int) store.NewRun {
	return store.NewRun{
		Project: project, Tool: cmp.Or(n.Tool, name), Version: version, Kind: kind, Pool: cmp.Or(n.Pool, defaultPool), Needs: n.Runner,
		Labels: n.Labels, Priority: n.Priority, AcceptedBy: who(ctx).Name,
	}
}

// enqueue makes a run durable, and gives it to a runner if one has room.
func (s *Server) enqueue(ctx context.Context, row store.NewRun, req *run.Request, secret bool) (*api.Run, error) {
	subjectOf(ctx, row, req.Given)
	out := accepted(row)
	s.answerWith(ctx, false, func(any) any { return out })
	err := s.pool.accept(ctx, row, req, secret, func(runner string) (err error) {
		if runner == "" {
			out.Waiting, err = s.whyWaiting(ctx, row.Pool, row.Needs, row.Size)
			return err
		}
		out.Runner, out.Attempt = shownRunner(runner), 1
		return nil
	})
	if err == nil {
		trace.Accepted(ctx, row.ID)
	}
	return out, err
}

// accepted is a new run for people, before a runner has it.
func accepted(row store.NewRun) *api.Run {
	return &api.Run{
		ID: row.ID, Project: row.Project, Tool: row.Tool, Version: row.Version, Kind: row.Kind, Status: run.Queued, Pool: row.Pool,
		Labels: row.Labels, Priority: row.Priority, Needs: withoutOwn(row.Needs), Accepted: time.Now().UTC().Truncate(time.Millisecond), AcceptedBy: row.AcceptedBy,
		Resumes: row.Resumes,
	}
}

// subjectOf says in the audit log what a run is of, and which secrets it was given.
func subjectOf(ctx context.Context, row store.NewRun, given []string) {
	secrets := strings.Join(given, ",")
	if row.Version > 0 {
		subject(ctx, "runs/"+row.ID, row.Kind, row.Tool, "version", strconv.Itoa(row.Version), "secrets", secrets)
	} else {
		subject(ctx, "runs/"+row.ID, "definition", row.Tool, "secrets", secrets)
	}
}

// asked returns what a run is of.
func (s *Server) asked(ctx context.Context, project string, n *api.NewRun) (*loaded, *api.Bundle, int, error) {
	if (n.Tool == "") == (n.Bundle == nil) {
		p := problem(http.StatusUnprocessableEntity, run.CodeInvalidRequest, "a run is either of a tool or of a bundle", "give exactly one of tool and bundle")
		p.Errors = []api.Wrong{{Where: "body", Message: "exactly one of tool and bundle must be set"}}
		return nil, nil, 0, p
	}
	if n.Bundle != nil {
		l, err := s.loadSent(ctx, project, n.Bundle)
		return l, n.Bundle, 0, err
	}
	v, err := s.store.Version(ctx, project, n.Tool, n.Version)
	if err != nil {
		return nil, nil, 0, s.explain(err, versionText(n.Tool, n.Version))
	}
	if l, ok := s.tools.get(v.Digest); ok && l.workflow == nil && n.Test == nil {
		return l, nil, v.Version, nil
	}
	b, err := bundleOf(v)
	if err != nil {
		return nil, nil, 0, err
	}
	l, err := s.load(ctx, &b)
	return l, &b, v.Version, err
}

// request is the message that a runner gets.
func request(project string, t *tool.Tool, n *api.NewRun) (*run.Request, error) {
	t = t.Clone()
	if err := overrideAll(t, n.Set); err != nil {
		return nil, err
	}
	if _, err := t.Inputs(n.Inputs); err != nil {
		return nil, err
	}
	env, err := environment(n.Environment)
	if err != nil {
		return nil, err
	}
	req := &run.Request{ID: run.NewID(), Tool: t, Project: project, Inputs: n.Inputs, Environment: env, Grace: grace(n), KeepFor: keepFor(n.KeepOnFailure)}
	return req, nil
}

// environment returns the variables of a request, by their names.
func environment(given map[string]string) (env []tool.EnvVar, err error) {
	for _, name := range slices.Sorted(maps.Keys(given)) {
		wrong, hint := tool.CheckEnvName(name)
		if wrong == "" && strings.Contains(given[name], "\x00") {
			wrong, hint = "has a value with a NUL character", "a variable can't hold one"
		}
		if wrong != "" {
			p := problem(http.StatusUnprocessableEntity, run.CodeInvalidInput, fmt.Sprintf("environment: %.300q %s", name, wrong), hint)
			p.Errors = []api.Wrong{{Where: "body.environment", Message: fmt.Sprintf("%.300q %s", name, wrong), Hint: hint}}
			return nil, p
		}
		env = append(env, tool.EnvVar{Name: name, Value: given[name]})
	}
	return env, nil
}

func overrideAll(t *tool.Tool, set map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if err := override(t, name, set[name]); err != nil {
			return wrongSetting(name, err)
		}
	}
	return nil
}

// override changes a tool as the flag of that name of mayfly run does.
func override(t *tool.Tool, name, value string) error {
	switch name {
	case "timeout":
		return t.SetTimeout(value)
	case "user":
		return t.SetUser(value)
	case "network":
		return t.SetNetwork(value)
	}
	return t.Resources.Set(name, value)
}

func runOf(r store.Run) api.Run {
	return api.Run{
		ID: r.ID, Project: r.Project, Tool: r.Tool, Version: r.Version, Kind: r.Kind, Status: r.Status, ExitCode: r.ExitCode, Code: r.Code, Reason: r.Reason,
		Pool: r.Pool, Runner: shownRunner(r.Runner), Attempt: r.Attempt, Labels: r.Labels, Needs: withoutOwn(r.Needs), Priority: r.Priority, Cancelling: r.Cancelling,
		Accepted: r.Accepted, AcceptedBy: r.AcceptedBy, Started: r.Started, Finished: r.Finished, LogRemoved: r.LogRemoved,
		Events: r.Events, Lines: r.Lines, Bytes: r.EventBytes,
		Parent: r.Parent.Run, Step: r.Parent.Step, Resumes: r.Resumes,
	}
}

func (s *Server) getRun(ctx context.Context, in *struct {
	InProject
	RunID
},
) (*body[api.Run], error) {
	r, err := s.store.Run(ctx, in.Project, in.Run)
	if err != nil {
		return nil, s.explain(err, "run "+in.Run)
	}
	all, err := s.runsOf(ctx, []store.Run{r})
	if err != nil {
		return nil, s.explain(err, "run "+in.Run)
	}
	_, all[0].KeptUntil, err = s.keeperOf(ctx, r)
	if err != nil {
		return nil, s.explain(err, "run "+in.Run)
	}
	return &body[api.Run]{Body: all[0]}, nil
}

func (s *Server) cancelRun(ctx context.Context, in *struct {
	InProject
	RunID
},
) (*body[api.Run], error) {
	what := "run " + in.Run
	ended, err := s.live.codec.ending(in.Run, &run.Result{
		Status: run.Cancelled, ExitCode: run.ExitCancelled, Code: run.CodeCancelled, Reason: "cancelled before a runner took it, by " + who(ctx).Name,
	})
	if err != nil {
		return nil, s.explain(err, what)
	}
	subject(ctx, "runs/"+in.Run)
	runner, err := s.store.Cancel(ctx, in.Project, in.Run, ended)
	if err != nil {
		return nil, s.explain(err, what)
	}
	r, err := s.store.Run(ctx, in.Project, in.Run)
	if err != nil {
		return nil, s.explain(err, what)
	}
	if runner != "" {
		s.pool.tell(runner, api.Message{Cancel: &api.Holding{Run: in.Run, Attempt: r.Attempt}})
	}
	s.live.wake(in.Run)
	s.flows.poke()
	return &body[api.Run]{Body: runOf(r)}, nil
}
