package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
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
	return s.download(ctx, in.Project, in.Run, typeText+"; charset=utf-8", "txt", func(w io.Writer, line []byte) error {
		e, err := ofType(run.TypeLog, line)
		if err != nil || e == nil || e.Log == nil || in.Stream != "" && in.Stream != e.Log.Stream {
			return err
		}
		_, err = w.Write(e.Log.Bytes())
		return err
	})
}

func (s *Server) downloadEvents(ctx context.Context, in *struct {
	InProject
	RunID
},
) (*huma.StreamResponse, error) {
	return s.download(ctx, in.Project, in.Run, api.ReportLines, "jsonl", func(w io.Writer, line []byte) error {
		_, err := w.Write(line)
		return err
	})
}

// sentAtOnce is how much of a download is written at once.
const sentAtOnce = 64 << 10

// download answers with what write makes of the events of a run that there are. It has about page bytes of events in memory.
func (s *Server) download(ctx context.Context, project, id, kind, extension string, write func(w io.Writer, line []byte) error) (*huma.StreamResponse, error) {
	one, err := s.store.Run(ctx, project, id)
	if err != nil {
		return nil, s.explain(err, "run "+id)
	}
	if !one.LogRemoved.IsZero() {
		return nil, logRemoved(one)
	}
	return &huma.StreamResponse{Body: func(c huma.Context) {
		r, w := humago.Unwrap(c)
		if err := s.readable(r.Context(), id, 0); err != nil {
			s.refuse(c, asProblem(s.explain(err, "run "+id)))
			return
		}
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", id+"."+extension))
		if c.Method() == http.MethodHead {
			return
		}
		out := bufio.NewWriterSize(w, sentAtOnce)
		err := s.eachEvent(r.Context(), one, func(line []byte) error { return write(out, line) })
		if err == nil {
			err = out.Flush()
		}
		if err != nil {
			if r.Context().Err() == nil {
				s.log.Error("send a log", "run", id, "error", err)
			}
			panic(http.ErrAbortHandler) // what was sent must not look whole
		}
	}}, nil
}
