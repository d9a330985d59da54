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
	// answerTime is how long the server may take to answer a report.
	answerTime = time.Minute
)

// outbox has the events of one attempt that the server doesn't have yet. While the server takes them more slowly than they come, the
// tool waits. While it doesn't answer, the tool goes on, and what the spool has no room for is dropped: a mark is in its place.
type outbox struct {
	server  Server
	hold    api.Holding
	refused func(error)

	mu     sync.Mutex
	first  int64 // the number of the first event that waits
	queue  queue
	result *run.Result
	away   bool          // the server doesn't answer, or the events aren't to be sent any longer
	room   *sync.Cond    // there may be room, or away has changed
	more   chan struct{} // there is something to send
	ended  chan struct{} // closed with the result
}

func newOutbox(s Server, h api.Holding, waiting *spool, refused func(error)) *outbox {
	o := &outbox{server: s, hold: h, refused: refused, first: 1, queue: queue{spool: waiting}, more: make(chan struct{}, 1), ended: make(chan struct{})}
	o.room = sync.NewCond(&o.mu)
	return o
}

// add takes an event.
func (o *outbox) add(e run.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	err := o.queue.add(e)
	for err != nil && !o.away {
		o.again()
		o.room.Wait()
		err = o.queue.add(e)
	}
	if err != nil {
		o.queue.drop(e, err)
	}
	o.again()
}

// finish takes the result, after the last event.
func (o *outbox) finish(result *run.Result) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.result = result
	close(o.ended)
}

// send sends everything, until the server has the result or ctx ends. The error is that of the spool.
func (o *outbox) send(ctx context.Context) error {
	defer o.answers(false) // events that still come are given up
	pause := 100 * time.Millisecond
	for {
		select {
		case <-o.more:
			select {
			case <-time.After(gather):
			case <-o.ended:
			case <-ctx.Done():
				return nil
			}
		case <-o.ended:
		case <-ctx.Done():
			return nil
		}
		over, err := o.report(ctx)
		var broken *spoolError
		switch {
		case over || ctx.Err() != nil:
			return nil
		case errors.As(err, &broken):
			return err
		case final(err), errors.Is(err, errForgotten):
			o.refused(err)
			return nil
		case err != nil:
			// The server has what it has acknowledged; the rest is sent again.
			o.answers(false)
			o.again()
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return nil
			}
			pause = min(2*pause, 5*time.Second)
		default:
			o.answers(true)
			pause = 100 * time.Millisecond
		}
	}
}

// answers says whether the server answers.
func (o *outbox) answers(it bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.away = !it
	o.room.Broadcast()
}

// close removes what waits from the disk, after the last event.
func (o *outbox) close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.queue.close()
}

// again has send try again.
func (o *outbox) again() {
	select {
	case o.more <- struct{}{}:
	default:
	}
}

// errForgotten says that the server no longer has events that it had acknowledged, and that aren't here any longer.
var errForgotten = errors.New("the server has fewer events of the attempt than it has acknowledged; was its database restored from a backup?")

// spoolError says that what waits on the disk can't be read any longer.
type spoolError struct{ error }

func (e *spoolError) Unwrap() error { return e.error }

// next is the next report.
func (o *outbox) next() (*api.Report, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.queue.load(); err != nil {
		return nil, &spoolError{err}
	}
	r := &api.Report{Holding: o.hold, First: o.first}
	events := o.queue.head
	size, n := int64(0), 0
	for n < len(events) && n < mostEvents && size < mostBytes {
		one, _ := sizeOf(&events[n])
		size += one
		n++
	}
	r.Events = events[:n:n]
	if n == len(events) && o.queue.onlyHead() {
		r.Result = o.result
	} else {
		o.again()
	}
	return r, nil
}

// report sends the next report. over says that the server has the result.
func (o *outbox) report(ctx context.Context) (over bool, err error) {
	r, err := o.next()
	if err != nil || len(r.Events) == 0 && r.Result == nil {
		return false, err
	}
	sending, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	receipt, err := o.server.Report(sending, r)
	if err != nil {
		return false, err
	}
	if receipt.Last < r.First-1 {
		return false, errForgotten
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if have := receipt.Last - o.first + 1; have > 0 {
		o.queue.head = o.queue.head[min(have, int64(len(o.queue.head))):]
		o.first = receipt.Last + 1
	}
	if len(o.queue.head) > 0 || !o.queue.onlyHead() || r.Result == nil && o.result != nil {
		o.again()
	}
	return r.Result != nil && receipt.Ended, nil
}
