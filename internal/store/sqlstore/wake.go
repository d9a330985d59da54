package sqlstore

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// notifyPause is the least time between two notifications of a server, since a NOTIFY takes a lock of the whole PostgreSQL at
	// its commit. What is written meanwhile shares the next one.
	notifyPause = 5 * time.Millisecond
	// notifyTimeout bounds a notification.
	notifyTimeout = 10 * time.Second
	// onlyEvents is in a notification of events: those who follow runs need it, and nobody else.
	onlyEvents = "events"
	// retryPause is the pause after a failure, before the next connection.
	retryPause = time.Second
)

// wake is how the servers of one PostgreSQL wake each other: with LISTEN and NOTIFY on the channel mayfly. A notification has onlyEvents
// in it, or nothing. Each of the two has its own connection. Notifications by this server's own connection are ignored.
type wake struct {
	config  *pgx.ConnConfig
	log     *slog.Logger
	changed chan struct{}
	events  chan struct{}
	written chan struct{}
	queue   atomic.Bool   // more than events was written
	sender  atomic.Uint32 // the process that serves the connection which notifies
	stop    context.CancelFunc
	work    sync.WaitGroup
}

func newWake(config *pgx.ConnConfig, log *slog.Logger) *wake {
	return &wake{config: config, log: log, changed: make(chan struct{}, 1), events: make(chan struct{}, 1), written: make(chan struct{}, 1)}
}

// Changed implements store.Wake.
func (s *Store) Changed() <-chan struct{} {
	if s.wake == nil {
		return nil
	}
	return s.wake.changed
}

// Events implements store.Wake.
func (s *Store) Events() <-chan struct{} {
	if s.wake == nil {
		return nil
	}
	return s.wake.events
}

// start begins to listen, and to send what tell says. The receiver may be nil, as for the other methods.
func (w *wake) start() {
	if w == nil {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	w.work.Go(func() { w.again(ctx, "hear of other servers' writes", w.listen) })
	w.work.Go(func() { w.again(ctx, "tell other servers of writes", w.notify) })
}

func (w *wake) close() {
	if w == nil {
		return
	}
	w.stop()
	w.work.Wait()
}

// tell says that something is durable now for which other servers wait: in the queue, or only events.
func (w *wake) tell(queue bool) {
	if w == nil {
		return
	}
	if queue {
		w.queue.Store(true)
	}
	signal(w.written)
}

// heard passes a notification on.
func (w *wake) heard(what string) {
	if what != onlyEvents {
		signal(w.changed)
	}
	signal(w.events)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it has one already
	}
}

// again works on one connection after the other.
func (w *wake) again(ctx context.Context, what string, work func(context.Context, *pgx.Conn) error) {
	for {
		err := w.connected(ctx, work)
		if ctx.Err() != nil {
			return
		}
		w.log.Warn("can't "+what+", so they are noticed later", "error", err)
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
			return
		}
	}
}

func (w *wake) connected(ctx context.Context, work func(context.Context, *pgx.Conn) error) error {
	conn, err := pgx.ConnectConfig(ctx, w.config)
	if err != nil {
		return err
	}
	err = work(ctx, conn)
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	return errors.Join(err, conn.Close(ending))
}

func (w *wake) listen(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, "LISTEN mayfly"); err != nil {
		return err
	}
	w.heard("") // there may have been something while nobody listened
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		if n.PID != w.sender.Load() {
			w.heard(n.Payload)
		}
	}
}

func (w *wake) notify(ctx context.Context, conn *pgx.Conn) error {
	w.sender.Store(conn.PgConn().PID())
	// A notification isn't worth a sync of the disk.
	if _, err := conn.Exec(ctx, "SET synchronous_commit = off"); err != nil {
		return err
	}
	for {
		select {
		case <-w.written:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		what := onlyEvents
		if w.queue.Swap(false) {
			what = ""
		}
		if err := w.notifyOnce(ctx, conn, what); err != nil {
			w.tell(what != onlyEvents) // by the next connection
			return err
		}
		select {
		case <-time.After(notifyPause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (w *wake) notifyOnce(ctx context.Context, conn *pgx.Conn, what string) error {
	ctx, cancel := context.WithTimeout(ctx, notifyTimeout)
	defer cancel()
	_, err := conn.Exec(ctx, "SELECT pg_notify('mayfly', $1)", what)
	return err
}
