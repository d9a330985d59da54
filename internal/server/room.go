package server

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/mayfly-run/mayfly/internal/run"
)

// Large reports take many times their size in memory while they are read into events and encoded, so few of them are worked on at once. How
// many may be coming is bounded for each pool: a runner that sends slowly keeps out only those of its pool.

const (
	largeAtOnce  = 2
	comingAtOnce = 4 // of a pool
)

// large has a place for each large report that may be there at once.
type large chan struct{}

// enter waits so long for a place, if a report of a size needs one, and returns what gives it back. A size below 0 isn't known.
func (l large) enter(ctx context.Context, size int64, most time.Duration) (leave func(), err error) {
	if size >= 0 && size < usualReport {
		return func() {}, nil
	}
	wait := time.NewTimer(most)
	defer wait.Stop()
	select {
	case l <- struct{}{}:
		return func() { <-l }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-wait.C:
		return nil, problem(http.StatusServiceUnavailable, run.CodeBusy, "the server works on other large reports", "send it again")
	}
}

// coming has the places for large reports that are coming, by their pools.
type coming struct {
	mu    sync.Mutex
	pools map[string]large
}

// of returns the places of a pool.
func (c *coming) of(pool string) large {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.pools[pool]
	if l == nil {
		l = make(large, comingAtOnce)
		c.pools[pool] = l
	}
	return l
}
