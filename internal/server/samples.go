package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
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

// mostSamples bounds an answer. Of more samples, every second one is left out until they are few enough.
const mostSamples = 1000

func (s *Server) runMetrics(ctx context.Context, in *struct {
	InProject
	RunID
},
) (*body[api.Metrics], error) {
	what := "run " + in.Run
	r, err := s.store.Run(ctx, in.Project, in.Run)
	if err != nil {
		return nil, s.explain(err, what)
	}
	if !r.LogRemoved.IsZero() {
		return nil, logRemoved(r)
	}
	out := &body[api.Metrics]{Body: api.Metrics{Samples: []api.Sample{}}}
	for after := int64(0); ; {
		chunks, err := s.chunks(ctx, in.Run, after, readAtOnce)
		if err != nil {
			return nil, s.explain(err, what)
		}
		if len(chunks) == 0 {
			return out, nil
		}
		for _, c := range chunks {
			if err := s.samples(c, &out.Body); err != nil {
				return nil, s.explain(&store.DamagedError{Run: in.Run, First: c.First, Last: c.Last, Where: "the database or the archive", Err: err}, what)
			}
			after = c.Last
		}
	}
}

// samples adds those of a chunk.
func (s *Server) samples(c store.Chunk, to *api.Metrics) error {
	events, err := s.live.codec.decode(c, 0)
	if err != nil {
		return err
	}
	for _, text := range events {
		if !bytes.Contains(text, []byte(`"type":"metric"`)) {
			continue
		}
		var e run.Event
		if err := json.Unmarshal(text, &e); err != nil {
			return fmt.Errorf("read an event: %w", err)
		}
		if e.Metric == nil {
			continue // the text was in another kind of event
		}
		to.Samples = append(to.Samples, api.Sample{Time: e.Time, Step: e.Step, Usage: *e.Metric})
	}
	for len(to.Samples) > mostSamples {
		half := to.Samples[:0]
		for i := 0; i < len(to.Samples); i += 2 {
			half = append(half, to.Samples[i])
		}
		to.Samples = half
	}
	return nil
}
