package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

const (
	// keepAlive is how often a stream says something, so that a proxy doesn't take it for dead.
	keepAlive = 15 * time.Second
	// page is about how many bytes of events are read at once.
	page = 1 << 20
)

func (s *Server) followRun(ctx context.Context, in *struct {
	InProject
	RunID
	After int64 `header:"Last-Event-ID" minimum:"0" doc:"the number of the last event that is known"`
	Wait  bool  `query:"wait" default:"true" doc:"whether to wait for the events that are still to come"`
},
) (*huma.StreamResponse, error) {
	r, err := s.store.Run(ctx, in.Project, in.Run)
	if err != nil {
		return nil, s.explain(err, "run "+in.Run)
	}
	if !r.LogRemoved.IsZero() {
		return nil, logRemoved(r)
	}
	return &huma.StreamResponse{Body: func(c huma.Context) {
		r, w := humago.Unwrap(c)
		// What can't be read at all is an error, not an empty stream.
		if err := s.readable(r.Context(), in.Run, in.After); err != nil {
			s.refuse(c, asProblem(s.explain(err, "run "+in.Run)))
			return
		}
		if !streaming(c, w) {
			return
		}
		if err := s.stream(c.Context(), w, in.Project, in.Run, in.After, in.Wait); err != nil {
			s.log.Debug("stream of events ended", "run", in.Run, "error", err) // the reader comes back, with Last-Event-ID
		}
	}}, nil
}

// streaming begins a stream of events. It returns false if nothing follows: the answer to a HEAD ends with its headers, and no write would notice that
// the reader is gone.
func streaming(c huma.Context, w http.ResponseWriter) bool {
	w.Header().Set("Content-Type", typeEvents)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would keep events back
	w.WriteHeader(http.StatusOK)
	return c.Method() != http.MethodHead
}

// mostStreams bounds how many streams of a token are open at once. Those of runners aren't counted: each runner has one.
const mostStreams = 1000

// openStreams counts the streams that are open, by the hashes of their tokens.
type openStreams struct {
	mu sync.Mutex
	of map[string]int
}

// enter counts one more, unless it is too many.
func (o *openStreams) enter(token string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.of[token] >= mostStreams {
		return false
	}
	o.of[token]++
	return true
}

func (o *openStreams) leave(token string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.of[token]--; o.of[token] == 0 {
		delete(o.of, token)
	}
}

// boundStreams refuses a stream of a token that has too many.
func (s *Server) boundStreams(c huma.Context, next func(huma.Context)) {
	who := who(c.Context())
	if !streams[c.Operation().OperationID] || who.Role == RoleRunner {
		next(c)
		return
	}
	if !s.streams.enter(string(who.Hash)) {
		c.SetHeader("Retry-After", strconv.Itoa(int(keepAlive/time.Second)))
		s.refuse(c, problem(http.StatusTooManyRequests, run.CodeRateLimited, fmt.Sprintf("the token %s has %d streams open", who.Name, mostStreams), "end some of them, or use another token"))
		return
	}
	defer s.streams.leave(string(who.Hash))
	next(c)
}

// tokenCheck looks from time to time whether the token of a stream still holds.
type tokenCheck struct {
	s    *Server
	last time.Time
}

// checkToken returns the check of a stream that begins.
func (s *Server) checkToken() *tokenCheck { return &tokenCheck{s, time.Now()} }

// ended says whether the stream is to end. It goes by the clock, so that a stream that always has something to send is checked too.
func (c *tokenCheck) ended(ctx context.Context) bool {
	if time.Since(c.last) < c.s.keepAlive {
		return false
	}
	c.last = time.Now()
	return c.s.tokenEnded(ctx)
}

// readable reads the first chunk of events after a number.
func (s *Server) readable(ctx context.Context, id string, after int64) error {
	chunks, err := s.chunks(ctx, id, after, 1)
	if err != nil {
		return err
	}
	for _, c := range chunks {
		if _, err := s.live.codec.decode(c, after); err != nil {
			return &store.DamagedError{Run: id, First: c.First, Last: c.Last, Where: "the database or the archive", Err: err}
		}
	}
	return nil
}

// stream writes the events of a run after a number, until its result or until the reader is gone; without wait only those that
// there are:
//
//	id: 7
//	event: log
//	data: {"seq":7,…}
func (s *Server) stream(ctx context.Context, w http.ResponseWriter, project, id string, after int64, wait bool) error {
	out := http.NewResponseController(w)
	more, leave := s.live.wait(id)
	defer leave()
	if err := out.Flush(); err != nil {
		return err
	}
	check := s.checkToken()
	alive := time.NewTicker(s.keepAlive)
	defer alive.Stop()
	for {
		if check.ended(ctx) {
			return nil // the reader comes back, and hears it
		}
		before := after
		last, over, err := s.events(ctx, w, project, id, after)
		if err != nil || over {
			return err
		}
		if after = last; after > before {
			if err := out.Flush(); err != nil {
				return err
			}
			continue // there may be another page
		}
		if !wait {
			return nil
		}
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
	}
}

// events writes a page of events. over says that it has the result, or that the run has ended and has no more events.
func (s *Server) events(ctx context.Context, w http.ResponseWriter, project, id string, after int64) (last int64, over bool, err error) {
	chunks, err := s.chunks(ctx, id, after, page)
	if err != nil {
		return after, false, err
	}
	if len(chunks) == 0 {
		r, err := s.store.Run(ctx, project, id)
		if err == nil && !r.LogRemoved.IsZero() {
			err = logRemoved(r) // it was there when the stream began; who comes back hears it
		}
		if err != nil || !r.Over || r.Events <= after {
			return after, r.Over && r.Events <= after, err
		}
		if chunks, err = s.chunks(ctx, id, after, page); err != nil { // it may have ended between the two
			return after, false, err
		}
		if len(chunks) == 0 {
			return after, false, missing(id, after+1, r.Events)
		}
	}
	for _, chunk := range chunks {
		lines, err := s.live.codec.decode(chunk, after)
		if err != nil {
			return after, false, err
		}
		for _, line := range lines {
			after++
			var head struct {
				Type string `json:"type"`
				Step string `json:"step"`
			}
			if err := json.Unmarshal(line, &head); err != nil {
				return after, false, err
			}
			// A line ends with its own newline.
			if _, err := fmt.Fprintf(w, "id: %d\nevent: %s\ndata: %s\n", after, head.Type, line); err != nil {
				return after, false, err
			}
			if head.Type == run.TypeResult && head.Step == "" {
				return after, true, nil
			}
		}
	}
	return after, false, nil
}
