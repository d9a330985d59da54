package server

import "sync"

// hub wakes those who follow a run on this server. A wake-up says only that there may be more: readers look into the store, so
// that a missed one costs time and nothing else.
type hub struct {
	mu     sync.Mutex
	follow map[string]map[chan struct{}]bool
	closed chan struct{}
	end    func() // closes closed
	codec  *codec
}

func newHub() *hub {
	closed := make(chan struct{})
	return &hub{follow: map[string]map[chan struct{}]bool{}, closed: closed, end: sync.OnceFunc(func() { close(closed) }), codec: newCodec()}
}

// wait returns a channel that gets something after each wake-up of a run, until leave is called.
func (h *hub) wait(id string) (more <-chan struct{}, leave func()) {
	c := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.follow[id] == nil {
		h.follow[id] = map[chan struct{}]bool{}
	}
	h.follow[id][c] = true
	return c, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.follow[id], c)
		if len(h.follow[id]) == 0 {
			delete(h.follow, id)
		}
	}
}

// wake wakes the followers of a run.
func (h *hub) wake(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.follow[id] {
		select {
		case c <- struct{}{}:
		default: // it has one already
		}
	}
}

// close ends all streams, by closed.
func (h *hub) close() { h.end() }
