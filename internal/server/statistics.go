package server

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// StatisticsQuery says which statistics.
type StatisticsQuery struct {
	InProject
	Since time.Time `query:"since" doc:"from the hour or the day on that has this time; by default the 24 latest hours, or the 30 latest days"`
	Step  string    `query:"step" enum:"hour,day" default:"hour" doc:"the length of a bucket; both begin by UTC"`
	Tool  string    `query:"tool" maxLength:"253" doc:"only this tool"`
}

const (
	mostSpans     = 100 // buckets of an answer
	mostToolsHere = 100
	mostCounted   = 100_000 // runs that wait
)

func (s *Server) registerStatistics() {
	huma.Register(s.api, operation("get-statistics", http.MethodGet, "/projects/{project}/statistics", RoleViewer, "Get how runs ended over time and by tool, and what waits and runs now"), s.getStatistics)
}

func (s *Server) getStatistics(ctx context.Context, in *StatisticsQuery) (*body[api.Statistics], error) {
	now, err := s.store.Now(ctx) // by which the ends are counted
	if err != nil {
		return nil, s.explain(err, "statistics")
	}
	step, usual := time.Hour, 24
	if in.Step == "day" {
		step, usual = 24*time.Hour, 30
	}
	first := now.UTC().Truncate(step).Add(-time.Duration(usual-1) * step)
	if !in.Since.IsZero() {
		first = in.Since.UTC().Truncate(step)
	}
	until := now.UTC().Truncate(step).Add(step)
	if until.Sub(first) > mostSpans*step {
		remedy := "begin later"
		if in.Step == "hour" {
			remedy += ", or ask for step=day"
		}
		return nil, problem(http.StatusUnprocessableEntity, run.CodeInvalidRequest, fmt.Sprintf("since is more than %d times step=%s ago", mostSpans, in.Step), remedy)
	}
	f := store.EndedFilter{Project: in.Project, Tool: in.Tool, Since: first, Days: in.Step == "day"}
	spans, err := s.store.EndedOver(ctx, f)
	if err != nil {
		return nil, s.explain(err, "statistics")
	}
	tools, err := s.store.EndedOf(ctx, f)
	if err != nil {
		return nil, s.explain(err, "statistics")
	}
	out := &body[api.Statistics]{Body: api.Statistics{Since: first, Until: until, StepSeconds: int64(step / time.Second), Buckets: []api.EndedBucket{}}}
	addEnds(&out.Body, spans, tools)
	out.Body.Now, err = s.statisticsOfNow(ctx, in.Project)
	return out, s.explain(err, "statistics")
}

// addEnds fills statistics with what the store has counted, by time and by tool.
func addEnds(out *api.Statistics, spans, tools []store.Ends) {
	var total store.Ends
	starts := map[int64]store.Ends{}
	for _, one := range spans {
		total.Add(one)
		starts[one.Start.Unix()] = one
	}
	out.Total = endedOf(&total)
	for at := out.Since; at.Before(out.Until); at = at.Add(time.Duration(out.StepSeconds) * time.Second) {
		one := starts[at.Unix()]
		out.Buckets = append(out.Buckets, api.EndedBucket{Start: at, Ended: endedOf(&one)})
	}
	out.Tools = []api.EndedTool{}
	for _, one := range tools {
		out.Tools = append(out.Tools, api.EndedTool{Tool: one.Tool, Ended: endedOf(&one)})
	}
	slices.SortFunc(out.Tools, func(a, b api.EndedTool) int {
		return cmp.Or(cmp.Compare(b.Runs, a.Runs), cmp.Compare(a.Tool, b.Tool))
	})
	if more := len(out.Tools) - mostToolsHere; more > 0 {
		out.Tools, out.OmittedTool = out.Tools[:mostToolsHere], more
	}
}

func endedOf(e *store.Ends) api.Ended {
	out := api.Ended{Status: map[string]int64{}}
	for status, n := range e.Status {
		out.Runs += n
		out.Status[string(status)] = n
	}
	if tried := out.Runs - e.Status[run.Cancelled]; tried > 0 {
		out.SuccessRate = new(float64(e.Status[run.Succeeded]) / float64(tried))
	}
	if n := e.Took.Number(); n > 0 {
		out.Durations = &api.Durations{P50: e.Took.Quantile(0.5).Seconds(), P95: e.Took.Quantile(0.95).Seconds(), P99: e.Took.Quantile(0.99).Seconds()}
		out.Queued = &api.Queued{Mean: e.Waited.Seconds() / float64(n), Most: e.WaitedMost.Seconds()}
	}
	return out
}

// statisticsOfNow is what waits and runs.
func (s *Server) statisticsOfNow(ctx context.Context, project string) (now api.StatisticsOfNow, err error) {
	queued, err := s.store.QueuedIn(ctx, []string{project}, mostCounted)
	if err != nil {
		return now, err
	}
	now.Queued = queued[project]
	if now.ByTool, err = s.store.Running(ctx, project); err != nil {
		return now, err
	}
	for _, n := range now.ByTool {
		now.Running += n
	}
	runners, err := s.store.Runners(ctx, listed)
	if err != nil {
		return now, err
	}
	now.Pools = s.slotsOf(runners)
	return now, nil
}

// slotsOf returns the slots of the pools that have runners which aren't away. The runners are by pool.
func (s *Server) slotsOf(runners []store.Runner) []api.PoolSlots {
	pools := []api.PoolSlots{}
	for _, r := range runners {
		state := s.stateOf(r)
		if state == runnerAway {
			continue
		}
		if n := len(pools); n == 0 || pools[n-1].Pool != r.Pool {
			pools = append(pools, api.PoolSlots{Pool: r.Pool})
		}
		pool := &pools[len(pools)-1]
		pool.Runners++
		pool.Slots += r.Slots
		pool.Busy += r.Busy
		if state == runnerReady {
			pool.Free += max(0, r.Slots-r.Busy)
		}
	}
	return pools
}
