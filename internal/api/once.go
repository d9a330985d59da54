package api

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/mayfly-run/mayfly/internal/run"
)

// KeyHeader is the header that tells a request that makes something from all others of its token. A request that is repeated with the same
// key within 24 h makes nothing, and gets the same answer.
const KeyHeader = "Idempotency-Key"

// patience is for how long a creation is repeated whose answer is missing.
const patience = 15 * time.Second

// create sends a request that makes something, with a key of its own. If the connection breaks before the answer, or the server's
// connection to its database does, nobody knows whether it was made: the request is repeated, which makes it at most once. So is one for which
// the server had no time.
func (c *Client) create(ctx context.Context, path string, in, out any) error {
	key, begin, wait := rand.Text(), time.Now(), 100*time.Millisecond
	var sent atomic.Bool // some try may have reached the server
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }})
	for {
		err := c.callWith(ctx, http.MethodPost, path, http.Header{KeyHeader: {key}}, in, out)
		if !repeatable(err) || ctx.Err() != nil {
			return err
		}
		// A server that wasn't reached at all has done nothing; whoever asked wants to know that at once.
		if !sent.Load() || time.Since(begin) > patience {
			return err
		}
		select {
		case <-time.After(wait):
			wait = min(2*wait, 2*time.Second)
		case <-ctx.Done():
			return err
		}
	}
}

// repeatable says that nobody knows whether something was made, or that the server was busy.
func repeatable(err error) bool {
	var broken *unansweredError
	var p *Problem
	return errors.As(err, &broken) || errors.As(err, &p) && (p.Reason == run.CodeServerUnreachable || p.Reason == run.CodeBusy)
}

// unansweredError says that no answer came.
type unansweredError struct{ error }

func (e *unansweredError) Unwrap() error { return e.error }

// Code implements run.Coder.
func (e *unansweredError) Code() run.Code { return run.CodeServerUnreachable }
