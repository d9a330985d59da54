package server

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

func (s *Server) registerDownloads() {
	at := "/projects/{project}/runs/{run}"
	huma.Register(s.api, operation("download-log", http.MethodGet, at+"/log.txt", RoleViewer, "Get all that a run has printed so far, as it printed it"), s.downloadLog)
	huma.Register(s.api, operation("download-events", http.MethodGet, at+"/events.jsonl", RoleViewer, "Get all events of a run so far, one JSON object a line"), s.downloadEvents)
}

func (s *Server) downloadLog(ctx context.Context, in *struct {
	InProject
	RunID
	Stream string `query:"stream" enum:"stdout,stderr" doc:"only this one; by default both, in the order in which the pieces came"`
},
) (*huma.StreamResponse, error) {
	return s.download(ctx, in.Project, in.Run, typeText+"; charset=utf-8", "txt", func(w io.Writer, c store.Chunk) (err error) {
		failed := s.live.codec.eachLog(c, func(_ int64, e *run.Event) bool {
			if in.Stream == "" || in.Stream == e.Log.Stream {
				_, err = w.Write(e.Log.Bytes())
			}
			return err == nil
		})
		if failed != nil {
			return failed
		}
		return err
	})
}

func (s *Server) downloadEvents(ctx context.Context, in *struct {
	InProject
	RunID
},
) (*huma.StreamResponse, error) {
	return s.download(ctx, in.Project, in.Run, api.ReportLines, "jsonl", func(w io.Writer, c store.Chunk) error {
		text, err := s.live.codec.text(c)
		if err != nil {
			return err
		}
		_, err = w.Write(text)
		return err
	})
}

// download answers with what write makes of the chunks of a run that there are. It has about page bytes of events in memory.
func (s *Server) download(ctx context.Context, project, id, kind, extension string, write func(io.Writer, store.Chunk) error) (*huma.StreamResponse, error) {
	r, err := s.store.Run(ctx, project, id)
	if err != nil {
		return nil, s.explain(err, "run "+id)
	}
	if !r.LogRemoved.IsZero() {
		return nil, logRemoved(r)
	}
	return &huma.StreamResponse{Body: func(c huma.Context) {
		r, w := humago.Unwrap(c)
		if err := s.readable(r.Context(), id, 0); err != nil {
			s.refuse(c, asProblem(s.explain(err, "run "+id)))
			return
		}
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", id+"."+extension))
		if err := s.eachChunk(r.Context(), id, page, func(c store.Chunk) error { return write(w, c) }); err != nil {
			if r.Context().Err() == nil {
				s.log.Error("send a log", "run", id, "error", err)
			}
			panic(http.ErrAbortHandler) // what was sent must not look whole
		}
	}}, nil
}
