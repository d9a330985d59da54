package server

import (
	"context"
	"sync"
)

// locks has a lock for each key that somebody holds or waits for.
type locks struct {
	mu sync.Mutex
	of map[string]*lock
}

type lock struct {
	held  chan struct{}
	users int // who hold it or wait for it
}

func newLocks() *locks { return &locks{of: map[string]*lock{}} }

// enter waits for the lock of a key, and returns what gives it back.
func (l *locks) enter(ctx context.Context, key string) (leave func(), err error) {
	l.mu.Lock()
	one := l.of[key]
	if one == nil {
		one = &lock{held: make(chan struct{}, 1)}
		l.of[key] = one
	}
	one.users++
	l.mu.Unlock()
	done := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if one.users--; one.users == 0 {
			delete(l.of, key)
		}
	}
	select {
	case one.held <- struct{}{}:
		return func() { <-one.held; done() }, nil
	case <-ctx.Done():
		done()
		return nil, context.Cause(ctx)
	}
}
