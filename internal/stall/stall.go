// Package stall gives up HTTP requests whose peer stops in the middle: it reads no more of what it is sent, or sends no more of its
// answer. A connection that still answers pings, such as one of a proxy, shows nothing of that.
package stall

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// Transport carries out requests, and fails with Err when nothing comes or goes for After. It counts only the time that it waits for the
// peer, and not that of whoever makes or reads the bytes. Base bounds the time until an answer begins.
type Transport struct {
	Base  http.RoundTripper
	After time.Duration
	Err   error
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	w := &watch{t: t, ctx: ctx, cancel: cancel}
	w.timer = time.AfterFunc(t.After, func() { cancel(t.Err) })
	w.timer.Stop()
	sent := r.WithContext(ctx)
	if r.Body != nil && r.Body != http.NoBody {
		sent.Body = &sending{r.Body, w}
		if r.GetBody != nil {
			sent.GetBody = func() (io.ReadCloser, error) {
				body, err := r.GetBody()
				if err != nil {
					return nil, err
				}
				return &sending{body, w}, nil
			}
		}
	}
	resp, err := t.Base.RoundTrip(sent)
	w.answered()
	if err != nil {
		err = w.explain(err)
		cancel(nil)
		return nil, err
	}
	resp.Body = &receiving{resp.Body, w}
	return resp, nil
}

// watch is the timer of a request.
type watch struct {
	t      *Transport
	ctx    context.Context // of the request
	cancel context.CancelCauseFunc

	mu    sync.Mutex
	timer *time.Timer
	begun bool // the answer has
}

func (w *watch) answered() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begun = true
	w.timer.Stop()
}

// sends has the timer run, or stop, while the request is sent. A peer may answer before it has all of it.
func (w *watch) sends(run bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.begun:
	case run:
		w.timer.Reset(w.t.After)
	default:
		w.timer.Stop()
	}
}

// explain returns the reason of an error.
func (w *watch) explain(err error) error {
	if errors.Is(context.Cause(w.ctx), w.t.Err) {
		return w.t.Err
	}
	return err
}

// sending is the body of a request. The peer has taken what was read before when more is read.
type sending struct {
	io.ReadCloser
	w *watch
}

func (s *sending) Read(p []byte) (int, error) {
	s.w.sends(false)
	n, err := s.ReadCloser.Read(p)
	if err == nil {
		s.w.sends(true)
	}
	return n, err
}

func (s *sending) Close() error {
	s.w.sends(false)
	return s.ReadCloser.Close()
}

// receiving is the body of an answer.
type receiving struct {
	io.ReadCloser
	w *watch
}

func (r *receiving) Read(p []byte) (int, error) {
	r.w.timer.Reset(r.w.t.After)
	n, err := r.ReadCloser.Read(p)
	r.w.timer.Stop()
	if err != nil && !errors.Is(err, io.EOF) {
		err = r.w.explain(err)
	}
	return n, err
}

func (r *receiving) Close() error {
	r.w.cancel(nil)
	return r.ReadCloser.Close()
}
