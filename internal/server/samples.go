package server

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

func (s *Server) registerSamples() {
	huma.Register(s.api, operation("run-metrics", http.MethodGet, "/projects/{project}/runs/{run}/metrics", RoleViewer,
		"Get what a run used over time: one sample a second, fewer of a long run"), s.runMetrics)
}

// mostSamples bounds an answer.
const mostSamples = 1000

// curve has the samples of a run, with the same time between any two of a step however long the run was.
type curve struct {
	samples []api.Sample
	places  []int          // of each, its number among those of its step
	seen    map[string]int // how many each step has had
	every   int            // of each step, one of so many is kept
}

func (c *curve) add(one api.Sample) {
	n := c.seen[one.Step]
	c.seen[one.Step]++
	if n%c.every != 0 {
		return
	}
	c.samples, c.places = append(c.samples, one), append(c.places, n)
	for len(c.samples) > max(mostSamples, len(c.seen)) { // each step keeps its first one
		c.every *= 2
		kept := 0
		for i, at := range c.places {
			if at%c.every == 0 {
				c.samples[kept], c.places[kept] = c.samples[i], at
				kept++
			}
		}
		c.samples, c.places = c.samples[:kept], c.places[:kept]
	}
}

func (s *Server) runMetrics(ctx context.Context, in *struct {
	InProject
	RunID
},
) (*body[api.Metrics], error) {
	all := &curve{samples: []api.Sample{}, seen: map[string]int{}, every: 1}
	_, err := s.readEvents(ctx, in.Project, in.Run, run.TypeMetric, func(e *run.Event) {
		if e.Metric != nil {
			all.add(api.Sample{Time: e.Time, Step: e.Step, Usage: *e.Metric})
		}
	})
	if err != nil {
		return nil, err
	}
	return &body[api.Metrics]{Body: api.Metrics{Samples: all.samples}}, nil
}

// wholeAtOnce is how many requests look through all events of a run at once; others wait. For a run with many other events than output, that takes seconds of a processor.
// Downloads aren't among them: they go as fast as the client reads.
const wholeAtOnce = 4

// readEvents calls take with the events of a run that have a type, in order. Some others may be among them. It returns the run; its error is an
// operation's answer.
func (s *Server) readEvents(ctx context.Context, project, id, kind string, take func(*run.Event)) (store.Run, error) {
	what := "run " + id
	select {
	case s.whole <- struct{}{}:
		defer func() { <-s.whole }()
	case <-ctx.Done():
		return store.Run{}, s.explain(context.Cause(ctx), what)
	}
	r, err := s.store.Run(ctx, project, id)
	if err != nil {
		return r, s.explain(err, what)
	}
	if !r.LogRemoved.IsZero() {
		return r, logRemoved(r)
	}
	err = s.eachButOutput(ctx, r, func(line []byte) error {
		e, err := ofType(kind, line)
		if e != nil {
			take(e)
		}
		return err
	})
	if err != nil {
		return r, s.explain(err, what)
	}
	return r, nil
}
