package server

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
)

func (s *Server) registerAttempts() {
	huma.Register(s.api, operation("list-attempts", http.MethodGet, "/projects/{project}/runs/{run}/attempts", RoleViewer,
		"List the attempts of a run: how often its tool was started, and why again"), s.listAttempts)
}

// mostAttempts bounds an answer, and what is kept in memory.
const mostAttempts = 1000

// attempts are those of a run, as its states tell them:
//
//	queued, pulling, creating 1, running, creating 2 (in 1s, after: exit status 1), running, queued 2 (follows: its runner was lost),
//	queued, creating, running, succeeded
type attempts struct {
	api.Attempts
	open, created bool // the last one is under way, and its sandbox was made
}

func (a *attempts) add(e *run.Event) {
	state := e.State.State
	switch {
	case slices.Contains(run.Ends(), state):
		if a.open { // otherwise the run ended while it waited for another attempt
			a.Attempts.Attempts[len(a.Attempts.Attempts)-1].Status = state
		}
		a.close(e, "")
		return
	case state == run.Queued: // another runner follows, or the first one begins
		a.close(e, strings.TrimPrefix(e.State.Detail, follows))
		return
	case state == run.Creating && a.created:
		_, why, _ := strings.Cut(e.State.Detail, after)
		a.close(e, why)
	}
	if !a.open {
		if len(a.Attempts.Attempts) == mostAttempts {
			a.Attempts.Attempts = slices.Delete(a.Attempts.Attempts, 0, 1)
			a.Omitted++
		}
		a.Attempts.Attempts = append(a.Attempts.Attempts, api.Attempt{Began: e.Time})
		a.open, a.created = true, false
	}
	a.created = a.created || state == run.Creating
	if last := &a.Attempts.Attempts[len(a.Attempts.Attempts)-1]; state == run.Running && last.Started.IsZero() {
		last.Started = e.Time
	}
}

// after is before the reason of a retry by the same runner: "in 2s, after: exit status 1".
const after = "after: "

func (a *attempts) close(e *run.Event, why string) {
	if a.open {
		last := &a.Attempts.Attempts[len(a.Attempts.Attempts)-1]
		last.Ended, last.Reason = e.Time, why
	}
	a.open = false
}

func (s *Server) listAttempts(ctx context.Context, in *struct {
	InProject
	RunID
},
) (*body[api.Attempts], error) {
	all := &attempts{Attempts: api.Attempts{Attempts: []api.Attempt{}}}
	r, err := s.readEvents(ctx, in.Project, in.Run, run.TypeState, func(e *run.Event) {
		if e.State != nil && e.Step == "" {
			all.add(e)
		}
	})
	if err != nil {
		return nil, err
	}
	if n := len(all.Attempts.Attempts); n > 0 && all.Attempts.Attempts[n-1].Status != "" {
		all.Attempts.Attempts[n-1].Reason = r.Reason
	}
	return &body[api.Attempts]{Body: all.Attempts}, nil
}
