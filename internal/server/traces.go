package server

import (
	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/trace"
)

// traceRequest makes the span of a request of the API.
func (s *Server) traceRequest(c huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(c)
	ctx, end := s.traces.Request(c.Context(), r.Header, r.Method, c.Operation().OperationID)
	defer func() { end(statusOf(w)) }()
	next(huma.WithContext(c, ctx))
}

// wrote takes note of a transaction. The span of a run is sent by the server that has written its end: whichever that is, there is one.
func (s *Server) wrote(w store.Written) {
	s.metrics.wrote(w)
	if !w.Failed {
		s.live.wake(anyRun)
	}
	if s.traces == nil {
		return
	}
	for _, one := range w.Ended {
		s.traces.Ended(trace.Run{
			ID: one.Run, Parent: one.Parent.Run, Step: one.Parent.Step, Project: one.Project, Tool: one.Tool, Workflow: one.Kind == "workflow",
			Attempt: one.Attempt, Status: one.Status, ExitCode: one.ExitCode, Code: one.Code, Accepted: one.Accepted, Started: one.Started, Finished: one.Finished,
		})
	}
}
