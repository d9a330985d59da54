package server

import (
	"context"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/store"
)

// mostWaiting bounds how many runs of a pool a look at the queue reads.
const mostWaiting = 100

// watch looks for what other servers have written: when the store says that they have, and from time to time. It passes that on to
// watchEvents, whose looks may take longer.
func (s *Server) watch(ctx context.Context, events chan<- struct{}) {
	poll := time.NewTicker(s.poll)
	defer poll.Stop()
	for {
		polled, changed := false, true
		select {
		case <-s.store.Events():
			changed = false
		case <-s.store.Changed():
		case <-poll.C:
			polled = true
		case <-ctx.Done():
			return
		}
		if !polled {
			s.live.wake(anyRun)
		}
		select {
		case events <- struct{}{}:
		default: // it has one already
		}
		if !changed {
			continue
		}
		if !polled {
			s.flows.poke()
		}
		err := s.pool.look(ctx)
		if err == nil && polled { // an end may come a second later
			err = s.pool.lookForCancels(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.log.Error("look for what other servers have written", "error", err)
		}
	}
}

// watchEvents looks for events that other servers have taken.
func (s *Server) watchEvents(ctx context.Context, events <-chan struct{}) {
	for {
		select {
		case <-events:
		case <-ctx.Done():
			return
		}
		ids := s.live.followed()
		if len(ids) == 0 {
			continue
		}
		last, err := s.store.Progress(ctx, ids)
		switch {
		case err == nil:
			s.live.progress(ids, last)
		case ctx.Err() == nil:
			s.log.Error("look for events that other servers have taken", "error", err)
		}
	}
}

// look wakes lines for the runs that wait, at most one for each.
func (d *dispatcher) look(ctx context.Context) error {
	for pool := range d.rooms() {
		waiting, err := d.s.store.Waiting(ctx, pool, mostWaiting)
		if err != nil {
			return err
		}
		d.offer(pool, waiting)
	}
	return nil
}

// rooms returns the pools whose runners have room.
func (d *dispatcher) rooms() map[string]bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	pools := map[string]bool{}
	for _, l := range d.lines {
		if l.room() > 0 {
			pools[l.pool] = true
		}
	}
	return pools
}

// offer wakes lines for runs that need these labels. Each run goes to the line with the most room.
func (d *dispatcher) offer(pool string, waiting []store.Waiting) {
	d.mu.Lock()
	defer d.mu.Unlock()
	room := map[*line]int{}
	for _, l := range d.lines {
		if n := l.room(); n > 0 && l.pool == pool {
			room[l] = n
		}
	}
	for _, w := range waiting {
		var best *line
		for l, n := range room {
			if n > 0 && l.has(w.Needs) && w.Size.FitsIn(l.free()) && (best == nil || n > room[best]) {
				best = l
			}
		}
		if best != nil {
			room[best]--
			best.none = false
			best.wake()
		}
	}
}

// lookForCancels tells runners of this server to end attempts whose end was asked for at another one. A runner may be told more than
// once.
func (d *dispatcher) lookForCancels(ctx context.Context) error {
	all, err := d.s.store.Cancelling(ctx)
	for _, c := range all {
		d.tell(c.Runner, api.Message{Cancel: &api.Holding{Run: c.Run, Attempt: c.Attempt}})
	}
	return err
}
