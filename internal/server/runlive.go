package server

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// anyRun is what readers of a list wait for: the id of no run.
const anyRun = ""

func (s *Server) registerRunLive() {
	huma.Register(s.api, operation("follow-runs", http.MethodGet, "/projects/{project}/runs/live", RoleViewer,
		"Follow a list of runs, as server-sent events: the whole page, at once and whenever it has changed"), s.followRuns)
}

// followRuns follows a page of a list. A page is what the reader shows, with the filters of the list, so it is sent whole: what a reader
// would have to know to change its own page by the change of one run would be the store's.
func (s *Server) followRuns(ctx context.Context, in *runQuery) (*huma.StreamResponse, error) {
	more, leave := s.live.wait(anyRun) // before the first look, so that none is missed
	list, err := s.listRuns(ctx, in)
	if err != nil {
		leave()
		return nil, err
	}
	return &huma.StreamResponse{Body: func(c huma.Context) {
		defer leave()
		_, w := humago.Unwrap(c)
		if !streaming(c, w) {
			return
		}
		err := s.streamList(c.Context(), w, "runs", list.Body, more, func(ctx context.Context) (any, error) {
			next, err := s.listRuns(ctx, in)
			if err != nil {
				return nil, err
			}
			return next.Body, nil
		})
		if err != nil {
			s.log.Debug("stream of a list ended", "project", in.Project, "error", err) // the reader comes back
		}
	}}, nil
}

// streamList writes a list, and what next says that it becomes, until the reader is gone. It looks again when there is more, but not more
// often than a page would ask:
//
//	event: runs
//	data: {"runs":[…]}
func (s *Server) streamList(ctx context.Context, w http.ResponseWriter, name string, list any, more <-chan struct{}, next func(context.Context) (any, error)) error {
	out := http.NewResponseController(w)
	check := s.checkToken()
	alive := time.NewTicker(s.keepAlive)
	defer alive.Stop()
	var sent [sha256.Size]byte
	for {
		if check.ended(ctx) {
			return nil // the reader comes back, and hears it
		}
		text, err := json.Marshal(list)
		if err != nil {
			return err
		}
		if sum := sha256.Sum256(text); sum != sent {
			if _, err := fmt.Fprintf(w, "event: %s\ndata: %s\n\n", name, text); err != nil {
				return err
			}
			if err := out.Flush(); err != nil {
				return err
			}
			sent = sum
		}
		again := time.After(s.poll)
		select {
		case <-more:
		case <-alive.C:
			if _, err := fmt.Fprint(w, ": alive\n\n"); err != nil {
				return err
			}
			if err := out.Flush(); err != nil {
				return err
			}
		case <-s.live.closed:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		for wait := time.Duration(1); wait > 0; again = time.After(wait) {
			select {
			case <-again:
			case <-s.live.closed:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			wait = s.limiter.draw(s.bucketOf(who(ctx), ""))
		}
		if list, err = next(ctx); err != nil {
			return err
		}
	}
}
