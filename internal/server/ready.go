package server

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/archive"
	"github.com/mayfly-run/mayfly/internal/run"
)

const (
	// readyTime bounds how long each thing that a server needs may take to answer.
	readyTime = 3 * time.Second
	// readyAge is for how long an answer is given again: anyone may ask, and each look writes to the archive.
	readyAge = 2 * time.Second
)

// readiness is the last look at what the server needs.
type readiness struct {
	ending  atomic.Bool
	mu      sync.Mutex
	looked  time.Time
	problem *api.Problem
	looking chan struct{} // closed when the look that goes on has ended; nil if none does
}

// readyContent is what a look writes to the archive, so that one that is full or read-only is noticed.
const readyContent = "Mayfly's server writes this to see whether the archive takes contents.\n"

// ready answers whether the server can serve: 200, or 503 with a problem.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	if p := s.notReady(r.Context()); p != nil {
		writeProblem(w, p)
		return
	}
	w.WriteHeader(http.StatusOK)
}

// notReady returns what keeps the server from serving, or nil.
func (s *Server) notReady(ctx context.Context) *api.Problem {
	r := &s.readiness
	if r.ending.Load() {
		return unready("the server is ending", "use another server, or wait for the next one")
	}
	r.mu.Lock()
	if time.Since(r.looked) < readyAge {
		defer r.mu.Unlock()
		return r.problem
	}
	if r.looking == nil {
		r.looking = make(chan struct{})
		// Whoever has asked may leave; the answer is for others, too. It may take longer than it should: a folder on a disk that hangs
		// knows no time-out.
		go s.lookAgain(context.WithoutCancel(ctx), r.looking)
	}
	looking := r.looking
	r.mu.Unlock()
	late := time.NewTimer(2 * readyTime)
	defer late.Stop()
	select {
	case <-looking:
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.problem
	case <-late.C:
		return unready("the database or the archive of contents doesn't answer", "look at the database, and at the archive's disk")
	case <-ctx.Done():
		return unready("the request was cancelled", "ask again")
	}
}

func (s *Server) lookAgain(ctx context.Context, looking chan struct{}) {
	p := s.look(ctx)
	r := &s.readiness
	r.mu.Lock()
	defer r.mu.Unlock()
	r.problem, r.looked, r.looking = p, time.Now(), nil
	close(looking)
}

// look tries what the server needs. Its answers have no addresses and paths of the server, since anyone may ask.
func (s *Server) look(ctx context.Context) *api.Problem {
	ctx, cancel := context.WithTimeout(ctx, 2*readyTime)
	defer cancel()
	database, stop := context.WithTimeout(ctx, readyTime)
	defer stop()
	if _, err := s.store.AuditHead(database); err != nil {
		s.log.Error("not ready: the database", "error", err)
		return unready("the database doesn't answer", "the server's log has the reason; look at the database")
	}
	if err := s.archive.Put(ctx, archive.Digest([]byte(readyContent)), strings.NewReader(readyContent)); err != nil {
		s.log.Error("not ready: the archive of contents", "error", err)
		return unready("the archive of contents can't be written", "the server's log has the reason; look for a full or read-only disk")
	}
	return nil
}

func unready(detail, remedy string) *api.Problem {
	return problem(http.StatusServiceUnavailable, run.CodeError, detail, remedy)
}

// Drain has the server answer that it isn't ready, while it still serves: whoever distributes requests sends it no more.
func (s *Server) Drain() {
	s.readiness.ending.Store(true)
}
