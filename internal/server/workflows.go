package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/tool"
	"github.com/mayfly-run/mayfly/internal/trace"
	"github.com/mayfly-run/mayfly/internal/workflow"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

func (s *Server) registerWorkflows() {
	at := "/projects/{project}/runs/{run}"
	huma.Register(s.api, operation("workflow-steps", http.MethodGet, at+"/steps", RoleViewer, "Get the steps of a workflow's run, and their runs"), s.getSteps)
	resume := operation("resume-run", http.MethodPost, at+"/resume", RoleOperator, "Go on with a workflow's run that has ended: a new run, which begins with what has succeeded")
	resume.DefaultStatus = http.StatusCreated
	huma.Register(s.api, resume, s.resume)
}

// flowRequest is how a run of a workflow was asked for. It is the run's request in the store: all of it is fixed, also the versions
// of the tools that the workflow names.
type flowRequest struct {
	Bundle  api.Bundle     `json:"bundle"`
	Version int            `json:"version"`         // 0 for a bundle that came with the request
	Tools   map[string]pin `json:"tools,omitempty"` // of the project, by their names

	Inputs      run.Values    `json:"inputs,omitempty"`
	Environment []tool.EnvVar `json:"environment,omitempty"`
	Timeout     string        `json:"timeout,omitempty"`
	Grace       time.Duration `json:"grace"`
	Selection   api.Selection `json:"selection,omitzero"`
}

// set overrides the definition.
func (q *flowRequest) set(all map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if name != "timeout" {
			return wrongSetting(name, fmt.Errorf("a workflow has no %s; its tools have", name))
		}
		q.Timeout = all[name]
	}
	return nil
}

// pin is a version of a tool.
type pin struct {
	Version int        `json:"version"`
	Bundle  api.Bundle `json:"bundle"`
}

// flow is a workflow that is ready to go forward. It isn't changed.
type flow struct {
	flowRequest
	plan *workflow.Plan
}

// planned reads the workflow of a request. find returns the tools that the workflow names and doesn't bring along.
func (s *Server) planned(ctx context.Context, q flowRequest, find func(name string) (*tool.Tool, error)) (*flow, error) {
	l, err := s.load(ctx, &q.Bundle)
	if err != nil {
		return nil, err
	}
	if l.workflow == nil {
		return nil, errors.New("it is not a workflow")
	}
	w := l.workflow.Clone()
	if err := resolve(w, find); err != nil {
		return nil, err
	}
	if q.Timeout != "" {
		if err := w.SetTimeout(q.Timeout); err != nil {
			return nil, wrongSetting("timeout", err)
		}
	}
	values, err := w.Values(q.Inputs)
	if err != nil {
		return nil, err
	}
	return &flow{q, workflow.NewPlan(w, values)}, nil
}

// resolve gives the steps of a workflow the tools that it names and doesn't bring along.
func resolve(w *definition.Workflow, find func(name string) (*tool.Tool, error)) error {
	var down error // ResolveBy keeps only the text of an error
	err := w.ResolveBy(func(step *definition.Step) (*tool.Tool, error) {
		if step.Uses.Tool != nil {
			return step.Uses.Tool, nil
		}
		t, err := find(step.Uses.Name)
		if outage(err) {
			down = err
		}
		return t, err
	})
	if down != nil {
		return down
	}
	return err
}

// pinned returns the tools of a request.
func (s *Server) pinned(ctx context.Context, tools map[string]pin) func(name string) (*tool.Tool, error) {
	return func(name string) (*tool.Tool, error) {
		p, ok := tools[name]
		if !ok {
			return nil, fmt.Errorf("the run has no tool %q", name)
		}
		l, err := s.load(ctx, &p.Bundle)
		if err != nil {
			return nil, err
		}
		return l.tool, nil
	}
}

// latest pins the latest versions of a project's tools.
func (s *Server) latest(ctx context.Context, project string, tools map[string]pin) func(name string) (*tool.Tool, error) {
	return func(name string) (*tool.Tool, error) {
		if _, ok := tools[name]; !ok {
			v, err := s.store.Version(ctx, project, name, 0)
			if errors.Is(err, store.ErrNotFound) {
				return nil, fmt.Errorf("neither the workflow's folder nor the project %s has the tool %s; push it first: mayfly tool push", project, name)
			}
			if err != nil {
				return nil, &outageError{err}
			}
			if v.Kind != "tool" {
				return nil, fmt.Errorf("%s is a workflow of the project %s, and a step runs a tool", name, project)
			}
			b, err := bundleOf(v)
			if err != nil {
				return nil, err
			}
			tools[name] = pin{v.Version, b}
		}
		return s.pinned(ctx, tools)(name)
	}
}

// checkWorkflow finds what is wrong with a workflow that is pushed.
func (s *Server) checkWorkflow(ctx context.Context, project string, l *loaded) error {
	w := l.workflow.Clone()
	tools := map[string]pin{}
	err := resolve(w, s.latest(ctx, project, tools))
	if err == nil {
		err = workflow.CheckConditions(ctx, workflow.NewPlan(w, nil), s.conditions)
	}
	return err
}

// acceptWorkflow makes a run of a workflow. When it returns, the run and its first steps are durable.
func (s *Server) acceptWorkflow(ctx context.Context, project string, n *api.NewRun, b api.Bundle, version int) (*api.Run, error) {
	if n.Only != "" && n.From != "" {
		return nil, problem(http.StatusUnprocessableEntity, run.CodeInvalidRequest, "from and only can't be given together", "leave one of them out")
	}
	env, err := environment(n.Environment)
	if err != nil {
		return nil, err
	}
	q := flowRequest{Bundle: b, Version: version, Tools: map[string]pin{}, Inputs: n.Inputs, Environment: env, Grace: grace(n), Selection: n.Selection}
	if err := q.set(n.Set); err != nil {
		return nil, err
	}
	f, err := s.planned(ctx, q, s.latest(ctx, project, q.Tools))
	if err != nil {
		return nil, err
	}
	return s.beginWorkflow(ctx, newRow(ctx, project, n, f.plan.Workflow.Name, "workflow", version), f, nil)
}

func grace(n *api.NewRun) time.Duration {
	if n.GraceSeconds != nil {
		return time.Duration(*n.GraceSeconds * float64(time.Second))
	}
	return run.DefaultGrace
}

func wrongSetting(name string, err error) error {
	p := problem(http.StatusUnprocessableEntity, run.CodeInvalidInput, fmt.Sprintf("set.%s: %v", name, err), "")
	p.Errors = []api.Wrong{{Where: "body.set." + name, Message: err.Error()}}
	return p
}

// beginWorkflow makes the first step forward of a run; past is the run that it goes on with, or nil.
func (s *Server) beginWorkflow(ctx context.Context, row store.NewRun, f *flow, past *workflow.Past) (*api.Run, error) {
	if err := f.plan.CheckInputs(); err != nil {
		return nil, err
	}
	if err := workflow.CheckConditions(ctx, f.plan, s.conditions); err != nil {
		return nil, err
	}
	for _, step := range f.plan.Steps {
		one := row
		one.Needs = append(slices.Clone(row.Needs), step.Runner...)
		if err := wrongAsked(&one); err != nil {
			return nil, err
		}
		name := row.Tool
		if row.Version == 0 {
			name = ""
		}
		if _, ok := f.Tools[step.Uses.Name]; ok {
			name = step.Uses.Name
		}
		if err := s.mayRun(ctx, row.Project, name, step.Uses.Tool, nil); err != nil {
			return nil, err
		}
		if err := s.maySecrets(ctx, row.Project, name, step.Uses.Tool.SecretNames()); err != nil {
			return nil, err
		}
	}
	row.ID = run.NewID()
	subjectOf(ctx, row, nil)
	opts := f.options(row.ID)
	sel := workflow.Selection{From: f.Selection.From, Only: f.Selection.Only, Skip: f.Selection.Skip}
	if past != nil {
		opts.States, opts.Resumed, opts.Masked = f.plan.Resume(past), true, past.Masked
	} else if opts.Partial {
		opts.States = f.plan.NewStates()
	}
	if opts.States != nil {
		var err error
		if opts.Again, err = f.plan.Select(opts.States, sel); err != nil {
			return nil, problem(http.StatusUnprocessableEntity, run.CodeInvalidInput, err.Error(), "")
		}
	}
	request, err := json.Marshal(f.flowRequest)
	if err != nil {
		return nil, err
	}
	row.Request = request
	now, err := s.store.Now(ctx) // the clock of any server that goes on with it
	if err != nil {
		return nil, err
	}
	fwd := s.executor().Begin(ctx, f.plan, opts, workflow.Header{ID: row.ID, Workflow: f.plan.Workflow.Name, Inputs: f.Inputs}, now)
	step, err := s.stepForward(ctx, workflowOf(row), f, fwd)
	if err != nil {
		return nil, err
	}
	out := accepted(row)
	out.Status, out.Attempt, out.Started = run.Running, 1, out.Accepted
	if step.Ended != nil { // no step is run
		out.Status, out.ExitCode, out.Code, out.Reason, out.Finished = step.Ended.Status, step.Ended.ExitCode, step.Ended.Code, step.Ended.Reason, out.Accepted
	}
	for _, one := range step.Begin {
		if err == nil && out.Waiting == "" && one.To == nil {
			out.Waiting, err = s.whyWaiting(ctx, one.Pool, one.Needs, one.Size)
		}
	}
	s.answerWith(ctx, false, func(any) any { return out })
	if err == nil {
		err = s.store.AcceptWorkflow(ctx, row, step.StepForward)
	}
	if err == nil {
		trace.Accepted(ctx, row.ID)
	}
	s.begun(ctx, step, err)
	return out, err
}

// workflowOf is a new run as one that goes forward.
func workflowOf(r store.NewRun) store.Workflow {
	return store.Workflow{Run: r.ID, Project: r.Project, Pool: r.Pool, Needs: r.Needs, Priority: r.Priority, Labels: r.Labels, AcceptedBy: r.AcceptedBy, Tool: r.Tool, Version: r.Version}
}

// options are those of all steps forward of a run.
func (f *flow) options(id string) workflow.Options {
	sel := f.Selection
	return workflow.Options{ID: id, Environment: f.Environment, Grace: f.Grace, Partial: sel.From != "" || sel.Only != "" || len(sel.Skip) > 0}
}

func (s *Server) executor() *workflow.Executor {
	return &workflow.Executor{Conditions: s.conditions, Sealer: s.keys.Values()}
}

// journalOf reads the entries of a journal.
func journalOf(lines [][]byte) iter.Seq2[workflow.Entry, error] {
	return func(yield func(workflow.Entry, error) bool) {
		for i, line := range lines {
			var e workflow.Entry
			err := json.Unmarshal(line, &e)
			if err != nil {
				err = fmt.Errorf("entry %d is damaged: %w", i+1, err)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// flowOf reads the workflow of a run in the store.
func (s *Server) flowOf(ctx context.Context, id string, request []byte) (*flow, error) {
	if f, ok := s.flows.have.get(id); ok {
		return f, nil
	}
	var q flowRequest
	if err := json.Unmarshal(request, &q); err != nil {
		return nil, fmt.Errorf("read the request of run %s: %w", id, err)
	}
	f, err := s.planned(ctx, q, s.pinned(ctx, q.Tools))
	if err != nil {
		return nil, fmt.Errorf("read the workflow of run %s: %w", id, err)
	}
	s.flows.have.put(id, f, 16<<10+2*len(request))
	return f, nil
}

// pastFlow reads a run of a workflow with its journal.
func (s *Server) pastFlow(ctx context.Context, project, id string) (store.Run, *flow, [][]byte, error) {
	old, err := s.store.Run(ctx, project, id)
	if err != nil {
		return old, nil, nil, err
	}
	if old.Kind != "workflow" {
		return old, nil, nil, problem(http.StatusConflict, run.CodeInvalidRequest, "run "+id+" is not a run of a workflow, so it has no steps", "give the id of a workflow's run: mayfly runs")
	}
	request, err := s.store.Request(ctx, project, id)
	if err != nil {
		return old, nil, nil, err
	}
	f, err := s.flowOf(ctx, id, request)
	if err != nil {
		return old, nil, nil, err
	}
	journal, err := s.store.Journal(ctx, id)
	return old, f, journal, err
}

func (s *Server) getSteps(ctx context.Context, in *struct {
	InProject
	RunID
},
) (*body[api.Steps], error) {
	what := "run " + in.Run
	_, f, journal, err := s.pastFlow(ctx, in.Project, in.Run)
	if err != nil {
		return nil, s.explain(err, what)
	}
	runs, err := s.store.Steps(ctx, in.Project, in.Run)
	if err != nil {
		return nil, s.explain(err, what)
	}
	out := &body[api.Steps]{}
	if out.Body.Steps, err = s.executor().Progress(ctx, f.plan, journalOf(journal)); err != nil {
		return nil, s.explain(err, what)
	}
	if out.Body.Runs, err = s.runsOf(ctx, runs); err != nil {
		return nil, s.explain(err, what)
	}
	return out, nil
}

func (s *Server) resume(ctx context.Context, in *struct {
	InProject
	RunID
	Body api.Selection
},
) (_ *body[api.Run], err error) {
	what := "run " + in.Run
	if err := s.mayQueue(ctx, in.Project); err != nil {
		return nil, err
	}
	defer s.queues.unless(&err, in.Project)
	old, f, journal, err := s.pastFlow(ctx, in.Project, in.Run)
	if err != nil {
		return nil, s.explain(err, what)
	}
	if !old.Over {
		return nil, problem(http.StatusConflict, run.CodeRunning, what+" is in progress", "wait for its end, or cancel it first")
	}
	if err := s.mayRepeat(ctx, in.Project, old); err != nil {
		return nil, err
	}
	past, err := workflow.RecallFrom(ctx, in.Run, journalOf(journal), s.keys.Values())
	if err != nil {
		return nil, s.explain(err, what)
	}
	again := &flow{f.flowRequest, f.plan}
	again.Selection = in.Body
	r, err := s.beginWorkflow(ctx, repeated(ctx, old, in.Run), again, past)
	if err != nil {
		return nil, s.explain(err, what)
	}
	return &body[api.Run]{Body: *r}, nil
}

// mayRepeat refuses to repeat a definition that came with its request to those who may not send one.
func (s *Server) mayRepeat(ctx context.Context, project string, old store.Run) error {
	if old.Version == 0 && !who(ctx).may(project, RoleAuthor) {
		return problem(http.StatusForbidden, run.CodeForbidden, "the run is of a definition that came with its request, which needs the role author", "use a token with that role")
	}
	return nil
}

// repeated is a new run like an old one.
func repeated(ctx context.Context, old store.Run, resumes string) store.NewRun {
	return store.NewRun{
		Project: old.Project, Tool: old.Tool, Version: old.Version, Kind: old.Kind, Pool: old.Pool, Needs: old.Needs, Labels: old.Labels,
		Priority: old.Priority, AcceptedBy: who(ctx).Name, Resumes: resumes, Limits: keyLimitOf(old),
	}
}

// findInBundle gives the steps of a workflow the tools that are in its bundle: those in place, by path, and by name in a folder
// tools beside the definition or above it.
func findInBundle(w *definition.Workflow, find func(step *definition.Step) (*tool.Tool, error)) error {
	var problems []shape.Problem
	for _, step := range w.All() {
		t, err := find(step)
		var own *shape.Error
		switch {
		case outage(err):
			return err
		case errors.As(err, &own):
			problems = append(problems, own.Problems...)
		case err != nil:
			problems = append(problems, shape.Problem{Position: step.Uses.Position, Text: fmt.Sprintf("the tool of step %s: %v", shape.Quote(step.Name), err)})
		default:
			step.Uses.Tool = t
		}
	}
	if len(problems) > 0 {
		return shape.NewError(problems)
	}
	return nil
}
