package server

import (
	"maps"
	"slices"
	"sync"
)

// hub wakes those who follow a run on this server. A wake-up says only that there may be more: readers look into the store, so
// that a missed one costs time and nothing else.
type hub struct {
	mu     sync.Mutex
	follow map[string]*followed
	closed chan struct{}
	end    func() // closes closed
	codec  *codec
}

// followed is a run that someone follows.
type followed struct {
	readers map[chan struct{}]bool
	last    int64 // the number of its last event at the last look; -1 before the first one
}

func newHub() *hub {
	closed := make(chan struct{})
	return &hub{follow: map[string]*followed{}, closed: closed, end: sync.OnceFunc(func() { close(closed) }), codec: newCodec()}
}

// wait returns a channel that gets something after each wake-up of a run, until leave is called.
func (h *hub) wait(id string) (more <-chan struct{}, leave func()) {
	c := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.follow[id]
	if f == nil {
		f = &followed{readers: map[chan struct{}]bool{}, last: -1}
		h.follow[id] = f
	}
	f.readers[c] = true
	return c, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(f.readers, c)
		if len(f.readers) == 0 {
			delete(h.follow, id)
		}
	}
}

// wake wakes the followers of a run.
func (h *hub) wake(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if f := h.follow[id]; f != nil {
		f.wake()
	}
}

func (f *followed) wake() {
	for c := range f.readers {
		select {
		case c <- struct{}{}:
		default: // it has one already
		}
	}
}

// followed returns the runs that someone follows.
func (h *hub) followed() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.DeleteFunc(slices.Collect(maps.Keys(h.follow)), func(id string) bool { return id == anyRun })
}

// progress wakes the followers of those runs that have new events or have ended: last has the numbers of the last events of those
// that aren't.
func (h *hub) progress(ids []string, last map[string]int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range ids {
		f := h.follow[id]
		if f == nil {
			continue
		}
		if n, ok := last[id]; !ok || n != f.last {
			f.last = n
			f.wake()
		}
	}
}

// close ends all streams, by closed.
func (h *hub) close() { h.end() }
