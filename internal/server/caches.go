package server

import (
	"context"
	"maps"
	"sync"
	"time"
)

// recent has what requests need again and again, as it was read from the store a short while ago. What another server has changed holds here
// when that time is over; what this one has changed, at once.
type recent[V any] struct {
	age  time.Duration
	most int

	mu      sync.Mutex
	have    map[string]dated[V]
	changes int64 // how often something was forgotten
}

type dated[V any] struct {
	value V
	at    time.Time
}

func newRecent[V any](age time.Duration, most int) *recent[V] {
	return &recent[V]{age: age, most: most, have: map[string]dated[V]{}}
}

// get returns what a key has. read gets what it had a longer while ago, or the zero value.
func (c *recent[V]) get(ctx context.Context, key string, read func(ctx context.Context, old V) (V, error)) (V, error) {
	c.mu.Lock()
	one, changes := c.have[key], c.changes
	c.mu.Unlock()
	now := time.Now() // before it is read, so that it isn't kept for longer
	if now.Sub(one.at) < c.age {
		return one.value, nil
	}
	value, err := read(ctx, one.value)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err != nil:
		delete(c.have, key)
	case changes == c.changes: // otherwise, it may have been read before the change
		c.keep(key, dated[V]{value, now})
	}
	return value, err
}

// put keeps a value that isn't read from the store.
func (c *recent[V]) put(key string, value V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keep(key, dated[V]{value, time.Now()})
}

// keep keeps what a key has. The caller holds mu.
func (c *recent[V]) keep(key string, one dated[V]) {
	if len(c.have) >= c.most {
		clear(c.have)
	}
	c.have[key] = one
}

// has says whether there was something when the key was read last.
func (c *recent[V]) has(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.have[key]
	return ok
}

// forget has what was changed be read again.
func (c *recent[V]) forget(changed func(key string, value V) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes++
	maps.DeleteFunc(c.have, func(key string, one dated[V]) bool { return changed(key, one.value) })
}

// first has what doesn't change, up to so many bytes together. When they are too many, what came first goes.
type first[V any] struct {
	age  time.Duration
	most int

	mu     sync.Mutex
	have   map[string]sized[V]
	oldest []string
	size   int
}

type sized[V any] struct {
	dated[V]
	size int
}

func newFirst[V any](age time.Duration, most int) *first[V] {
	return &first[V]{age: age, most: most, have: map[string]sized[V]{}}
}

// get returns what a key has, unless that is too old.
func (c *first[V]) get(key string) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	one := c.have[key]
	return one.value, time.Since(one.at) < c.age
}

// put adds what takes about so many bytes.
func (c *first[V]) put(key string, value V, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.have[key]; ok {
		c.size -= old.size
	} else {
		c.oldest = append(c.oldest, key)
	}
	c.have[key] = sized[V]{dated[V]{value, time.Now()}, size}
	for c.size += size; c.size > c.most && len(c.oldest) > 1; c.oldest = c.oldest[1:] {
		c.size -= c.have[c.oldest[0]].size
		delete(c.have, c.oldest[0])
	}
}
