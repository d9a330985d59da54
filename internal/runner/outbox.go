package runner

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
)

const (
	// gather is how long events wait for others that are sent with them.
	gather = 50 * time.Millisecond
	// mostEvents and mostBytes bound a report.
	mostEvents = 5000
	mostBytes  = 1 << 20
)

// outbox has the events of one attempt that the server doesn't have yet.
type outbox struct {
	server  Server
	hold    api.Holding
	refused func(error)

	mu     sync.Mutex
	first  int64 // the number of events[0]
	events []run.Event
	result *run.Result
	more   chan struct{} // there is something to send
	ended  chan struct{} // closed with the result
}

func newOutbox(s Server, h api.Holding, refused func(error)) *outbox {
	return &outbox{server: s, hold: h, refused: refused, first: 1, more: make(chan struct{}, 1), ended: make(chan struct{})}
}

// add takes an event.
func (o *outbox) add(e run.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events = append(o.events, e)
	select {
	case o.more <- struct{}{}:
	default:
	}
}

// finish takes the result, after the last event.
func (o *outbox) finish(result *run.Result) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.result = result
	close(o.ended)
}

// send sends everything, until the server has the result or ctx ends.
func (o *outbox) send(ctx context.Context) {
	pause := 100 * time.Millisecond
	for {
		select {
		case <-o.more:
			select {
			case <-time.After(gather):
			case <-o.ended:
			case <-ctx.Done():
				return
			}
		case <-o.ended:
		case <-ctx.Done():
			return
		}
		over, err := o.report(ctx)
		var p *api.Problem
		switch {
		case over || ctx.Err() != nil:
			return
		case errors.As(err, &p) && p.Status < 500:
			o.refused(err)
			return
		case err != nil:
			// The server has what it has acknowledged; the rest is sent again.
			o.again()
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return
			}
			pause = min(2*pause, 5*time.Second)
		default:
			pause = 100 * time.Millisecond
		}
	}
}

// again has send try again.
func (o *outbox) again() {
	select {
	case o.more <- struct{}{}:
	default:
	}
}

// next is the next report.
func (o *outbox) next() *api.Report {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := &api.Report{Holding: o.hold, First: o.first}
	size, n := 0, 0
	for n < len(o.events) && n < mostEvents && size < mostBytes {
		if l := o.events[n].Log; l != nil {
			size += len(l.Data) + len(l.DataBase64)
		}
		size += 200
		n++
	}
	r.Events = o.events[:n:n]
	if n == len(o.events) {
		r.Result = o.result
	} else {
		o.again()
	}
	return r
}

// report sends the next report. over says that the server has the result.
func (o *outbox) report(ctx context.Context) (over bool, err error) {
	r := o.next()
	if len(r.Events) == 0 && r.Result == nil {
		return false, nil
	}
	receipt, err := o.server.Report(ctx, r)
	if err != nil {
		return false, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if have := receipt.Last - o.first + 1; have > 0 {
		o.events = o.events[min(have, int64(len(o.events))):]
		o.first = receipt.Last + 1
	}
	if len(o.events) > 0 || r.Result == nil && o.result != nil {
		o.again()
	}
	return r.Result != nil && receipt.Ended, nil
}
