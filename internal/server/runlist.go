package server

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

func (s *Server) registerRunList() {
	huma.Register(s.api, operation("list-runs", http.MethodGet, "/projects/{project}/runs", RoleViewer, "List runs, the newest first"), s.listRuns)
}

// lookAtOnce bounds how many runs are looked at for a page of a list for which there is no index.
const lookAtOnce = 1000

// runQuery selects runs.
type runQuery struct {
	InProject
	Tool   string    `query:"tool" doc:"only runs of this tool"`
	Status []string  `query:"status" maxItems:"20" doc:"only runs with one of these states"`
	Since  time.Time `query:"since" doc:"only runs that were accepted at this time or later"`
	Until  time.Time `query:"until" doc:"only runs that were accepted before this time"`
	Labels []string  `query:"label,explode" maxItems:"10" maxLength:"507" doc:"only runs with this label, KEY=VALUE; may be repeated"`
	By     string    `query:"by" maxLength:"253" doc:"only runs that were accepted by the token of this name"`
	Runner string    `query:"runner" maxLength:"253" doc:"only runs that the runner of this name has or had last"`
	Text   string    `query:"text" maxLength:"253" doc:"only runs whose tool, reason or id has this text; upper and lower case of ASCII letters are the same"`
	Parent string    `query:"parent" maxLength:"64" doc:"runs of the steps of this run of a workflow; without it, runs that are of no step"`
	Limit  int       `query:"limit" minimum:"1" maximum:"1000" default:"50" doc:"how many runs a page has, at most; it may have fewer, also none, although more follow"`
	Cursor string    `query:"cursor" maxLength:"64" doc:"next of the page before"`
}

// filter is what the store is asked for.
func (q *runQuery) filter() (store.Filter, error) {
	f := store.Filter{
		Project: q.Project, Parent: q.Parent, Tool: q.Tool, AcceptedBy: q.By, Runner: q.Runner, Text: q.Text, Before: q.Cursor, Most: q.Limit, Look: lookAtOnce,
	}
	for _, st := range q.Status {
		if !slices.Contains(run.States(), run.State(st)) {
			p := problem(http.StatusUnprocessableEntity, run.CodeInvalidRequest, fmt.Sprintf("%.300q is not a state of a run", st), "leave it out, or name states")
			p.Errors = []api.Wrong{{Where: "query.status", Message: fmt.Sprintf("must be some of %v", run.States())}}
			return f, p
		}
		f.Status = append(f.Status, run.State(st))
	}
	if !q.Since.IsZero() {
		f.From = firstID(q.Since)
	}
	if !q.Until.IsZero() {
		if end := firstID(q.Until); f.Before == "" || end < f.Before {
			f.Before = end
		}
	}
	for _, label := range q.Labels {
		key, value, ok := strings.Cut(label, "=")
		if before, twice := f.Labels[key]; !ok || twice && before != value {
			p := problem(http.StatusUnprocessableEntity, run.CodeInvalidRequest, fmt.Sprintf("the label %.300q is not KEY=VALUE with a key of its own", label), "write ?label=team=web&label=env=prod")
			p.Errors = []api.Wrong{{Where: "query.label", Message: "must be KEY=VALUE, each KEY once"}}
			return f, p
		}
		if f.Labels == nil {
			f.Labels = map[string]string{}
		}
		f.Labels[key] = value
	}
	return f, nil
}

// firstID sorts before all ids of runs that are made at a time or later: an id is a UUIDv7 (RFC 9562, section 5.7), which begins with
// 48 bits of milliseconds.
func firstID(at time.Time) string {
	ms := min(max(0, at.UnixMilli()), 1<<48-1)
	return fmt.Sprintf("%08x-%04x", ms>>16, ms&0xffff)
}

func (s *Server) listRuns(ctx context.Context, in *runQuery) (*body[api.RunList], error) {
	f, err := in.filter()
	if err != nil {
		return nil, err
	}
	runs, next, err := s.store.Runs(ctx, f)
	if err != nil {
		return nil, s.explain(err, "run")
	}
	out := &body[api.RunList]{Body: api.RunList{Next: next}}
	if out.Body.Runs, err = s.runsOf(ctx, runs); err != nil {
		return nil, s.explain(err, "run")
	}
	return out, nil
}
