package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/archive"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/workflow"
)

// flows takes workflows forward. It keeps none of them: what it remembers is what they were asked for, which doesn't change.
type flows struct {
	more chan struct{} // something may have happened to a workflow
	have *first[*flow] // by the run

	mu     sync.Mutex
	failed map[string]failing // those that can't go forward at the moment
}

// failing is a workflow that is tried again later.
type failing struct {
	pause time.Duration
	until time.Time
}

// mostPause is the longest time until a workflow that can't go forward is tried again.
const mostPause = time.Minute

// due forgets those of the failed ones that aren't due any longer: another server has taken them forward.
func (f *flows) due(ids []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	maps.DeleteFunc(f.failed, func(id string, _ failing) bool { return !slices.Contains(ids, id) })
}

// went remembers how a step forward of a workflow went.
func (f *flows) went(id string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		delete(f.failed, id)
		return
	}
	pause := min(max(time.Second, 2*f.failed[id].pause), mostPause)
	f.failed[id] = failing{pause, time.Now().Add(pause)}
}

// ready leaves out those that failed a short while ago.
func (f *flows) ready(ids []string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(ids, func(id string) bool { return time.Now().Before(f.failed[id].until) })
}

// stuck says that a workflow has failed to go forward for a minute at least.
func (f *flows) stuck(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed[id].pause >= mostPause
}

// failing is how many fail.
func (f *flows) failing() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.failed)
}

// mostFlows is how many bytes of what workflows were asked for are remembered.
const mostFlows = 64 << 20

// newFlows remembers workflows for no longer than the archive keeps all files of their tools.
func newFlows() *flows {
	return &flows{more: make(chan struct{}, 1), have: newFirst[*flow](loadedFor, mostFlows), failed: map[string]failing{}}
}

// poke makes forward look for workflows that are due.
func (f *flows) poke() {
	select {
	case f.more <- struct{}{}:
	default: // they will be
	}
}

const (
	// mostDue is how many workflows are looked up at once, and forwardAtOnce how many go forward at once.
	mostDue       = 100
	forwardAtOnce = 4
)

// forward takes workflows forward until the server ends.
func (s *Server) forward(ctx context.Context) {
	poll := time.NewTicker(s.poll)
	defer poll.Stop()
	for {
		select {
		case <-s.flows.more:
		case <-poll.C: // deadlines, and what other servers have written
		case <-ctx.Done():
			return
		}
		for {
			most := mostDue + s.flows.failing()
			ids, err := s.store.Due(ctx, most)
			if err == nil && len(ids) < most { // otherwise, there may be others
				s.flows.due(ids)
			} else if err != nil && ctx.Err() == nil {
				s.log.Error("look for workflows to take forward", "error", err)
			}
			if ids = s.flows.ready(ids); len(ids) == 0 || !s.forwardAll(ctx, ids) {
				break
			}
		}
	}
}

// forwardAll takes workflows forward, and reports whether any of them has gone.
func (s *Server) forwardAll(ctx context.Context, ids []string) bool {
	var work sync.WaitGroup
	room := make(chan struct{}, forwardAtOnce)
	var mu sync.Mutex
	gone := false
	for _, id := range ids {
		room <- struct{}{}
		work.Go(func() {
			defer func() { <-room }()
			err := s.forwardOne(ctx, id)
			switch {
			case err == nil, errors.Is(err, store.ErrNotHeld), errors.Is(err, store.ErrNotFound):
				s.flows.went(id, nil)
				mu.Lock()
				defer mu.Unlock()
				gone = true // by this server or by another one
			case ctx.Err() == nil:
				s.flows.went(id, err)
				s.log.Error("take a workflow forward", "run", id, "error", err)
			}
		})
	}
	work.Wait()
	return gone
}

// forwardOne takes a workflow forward by what has happened to it.
func (s *Server) forwardOne(ctx context.Context, id string) error {
	w, err := s.store.Workflow(ctx, id)
	if err != nil {
		return err
	}
	f, fwd, err := s.next(ctx, w)
	var step *stepForward
	if err == nil {
		step, err = s.stepForward(ctx, w, f, fwd)
	}
	var broken *brokenError
	switch {
	case errors.As(err, &broken):
		s.log.Error("a workflow can't go on", "run", id, "error", err)
		return s.breakOff(ctx, w, err)
	case err != nil:
		return err
	}
	err = s.store.StepForward(ctx, step.StepForward)
	s.begun(ctx, step, err)
	return err
}

// brokenError is the error of a workflow that can never go on.
type brokenError struct{ error }

func (e *brokenError) Unwrap() error { return e.error }

// next plans the next step forward of a workflow.
func (s *Server) next(ctx context.Context, w store.Workflow) (*flow, *workflow.Forward, error) {
	f, err := s.flowOf(ctx, w.Run, w.Request)
	if err != nil {
		return nil, nil, s.ifCancelled(ctx, w, unreadable(err))
	}
	ids, err := workflow.InProgress(journalOf(w.Journal))
	if err != nil {
		return nil, nil, &brokenError{err}
	}
	data, err := s.store.Results(ctx, ids)
	if err != nil {
		return nil, nil, err
	}
	h := workflow.Happened{Ended: map[string]*run.Result{}, Cancelled: w.Cancelling, Began: w.Accepted, Now: w.Now}
	for id, text := range data {
		r := &run.Result{}
		if err := json.Unmarshal(text, r); err != nil {
			return nil, nil, &brokenError{fmt.Errorf("read the result of run %s: %w", id, err)}
		}
		h.Ended[id] = r
	}
	fwd, err := s.executor().Continue(ctx, f.plan, f.options(w.Run), journalOf(w.Journal), h)
	if errors.Is(err, workflow.ErrDamaged) {
		err = &brokenError{err}
	}
	return f, fwd, s.ifCancelled(ctx, w, err)
}

// ifCancelled has a workflow that can't go on for a while end if its end was asked for: the reason may never go away. Its steps of finally
// don't run then, so a short failure doesn't end it.
func (s *Server) ifCancelled(ctx context.Context, w store.Workflow, err error) error {
	if err == nil || !w.Cancelling || ctx.Err() != nil || !s.flows.stuck(w.Run) {
		return err
	}
	return &brokenError{err}
}

// unreadable says that a workflow is broken if its definition, or a file of it, is: it was good when the run was accepted. An archive
// without the file may have it later.
func unreadable(err error) error {
	if outage(err) {
		return err
	}
	var wrong *shape.Error
	var digest *archive.DigestError
	var missing *api.Problem
	if errors.As(err, &wrong) || errors.As(err, &digest) || errors.As(err, &missing) {
		return &brokenError{err}
	}
	return err
}

// stepForward is one step forward of a workflow with the runners that have room for its runs.
type stepForward struct {
	store.StepForward
	lines  []*line // of Begin; nil for a run that waits
	starts []workflow.StepRun
}

// stepForward makes what is written of a step forward. It keeps room at runners, which begun gives back or uses.
func (s *Server) stepForward(ctx context.Context, w store.Workflow, f *flow, fwd *workflow.Forward) (*stepForward, error) {
	step := &stepForward{StepForward: store.StepForward{Run: w.Run, After: int64(len(w.Journal)), Seen: w.Happened, Within: fwd.Within}}
	for _, e := range fwd.Entries {
		line, err := json.Marshal(e)
		if err != nil {
			return nil, err
		}
		step.Entries = append(step.Entries, line)
	}
	if len(fwd.Events) > 0 {
		step.Encode = func(before int64) (store.Chunk, error) { return s.live.codec.encode(w.Run, fwd.Events, before) }
	}
	for _, b := range fwd.Begin {
		one, err := s.stepRun(ctx, w, f, b)
		if err != nil {
			return nil, err
		}
		step.Begin = append(step.Begin, store.StepBegin{NewRun: one})
	}
	for _, id := range fwd.End {
		ended, err := s.live.codec.ending(id, &run.Result{
			Status: run.Cancelled, ExitCode: run.ExitCancelled, Code: run.CodeCancelled, Reason: "cancelled before a runner took it",
		})
		if err != nil {
			return nil, err
		}
		step.End = append(step.End, store.StepEnd{Run: id, Ended: ended})
	}
	if fwd.Result != nil {
		ended, err := endedBy(fwd.Result)
		if err != nil {
			return nil, err
		}
		step.Ended = &ended
	}
	// From here on nothing fails.
	step.starts, step.lines = fwd.Begin, make([]*line, len(step.Begin))
	for i := range step.Begin {
		if l := s.pool.reserve(&step.Begin[i].NewRun); l != nil {
			step.lines[i], step.Begin[i].To = l, &store.Lessee{Runner: l.runner, Lease: s.lease}
		}
	}
	return step, nil
}

// stepRun is the run of a step.
func (s *Server) stepRun(ctx context.Context, w store.Workflow, f *flow, b workflow.StepRun) (store.NewRun, error) {
	b.Request.Project = w.Project
	data, err := s.keepRequest(ctx, keptRequest{Request: b.Request}, b.Secret)
	if err != nil {
		return store.NewRun{}, err
	}
	one := store.NewRun{
		ID: b.Request.ID, Project: w.Project, Tool: b.Request.Tool.Name, Version: w.Version, Kind: "tool", Pool: w.Pool, Needs: w.Needs, Labels: w.Labels, Priority: w.Priority,
		Request: data, AcceptedBy: w.AcceptedBy, Parent: store.Parent{Run: w.Run, Step: b.Name()},
	}
	if w.Version > 0 {
		one.Tool = w.Tool // the step's tool is a part of it
	}
	for _, definition := range f.plan.Steps {
		if definition.Name != b.Step {
			continue
		}
		one.Needs = append(append([]string{}, w.Needs...), definition.Runner...)
		if p, ok := f.Tools[definition.Uses.Name]; ok {
			one.Tool, one.Version = definition.Uses.Name, p.Version
		}
	}
	err = s.asks(ctx, &one, knownAs(one.Tool, one.Version), b.Request)
	return one, err
}

// begun tells those who wait for what a step forward has written, or gives back the room that was kept for it.
func (s *Server) begun(ctx context.Context, step *stepForward, err error) {
	for i, l := range step.lines {
		if l != nil {
			s.pool.placed(ctx, l, step.Begin[i].NewRun, step.starts[i].Request, step.starts[i].Secret, err)
		} else if err == nil {
			s.pool.waiting(step.Begin[i].Pool, step.Begin[i].Needs)
		}
	}
	if err != nil {
		return
	}
	s.live.wake(step.Run)
	if len(step.End) == 0 {
		return
	}
	for _, one := range step.End {
		s.live.wake(one.Run)
	}
	if err := s.pool.lookForCancels(ctx); err != nil && ctx.Err() == nil {
		s.log.Error("tell runners of the end of steps", "run", step.Run, "error", err) // the next look does
	}
}

// breakOff ends a workflow that can never go on, with its steps.
func (s *Server) breakOff(ctx context.Context, w store.Workflow, why error) error {
	result := &run.Result{
		Status: run.Error, ExitCode: run.ExitError, Code: run.CodeError, Reason: fmt.Sprintf("the workflow can't go on: %v", why), Hint: "run it again",
	}
	ended, err := s.live.codec.ending(w.Run, result)
	if err != nil {
		return err
	}
	step := &stepForward{StepForward: store.StepForward{Run: w.Run, After: int64(len(w.Journal)), Seen: w.Happened, Encode: ended.Encode}}
	ended.Encode, ended.EncodeFor = nil, nil
	step.Ended = &ended
	runs, err := s.store.Steps(ctx, w.Project, w.Run)
	if err != nil {
		return err
	}
	for _, r := range runs {
		if r.Over {
			continue
		}
		end, err := s.live.codec.ending(r.ID, &run.Result{
			Status: run.Cancelled, ExitCode: run.ExitCancelled, Code: run.CodeCancelled, Reason: "its workflow can't go on",
		})
		if err != nil {
			return err
		}
		step.End = append(step.End, store.StepEnd{Run: r.ID, Ended: end})
	}
	err = s.store.StepForward(ctx, step.StepForward)
	s.begun(ctx, step, err)
	return err
}
