package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"

	"github.com/mayfly-run/mayfly/internal/audit"
	"github.com/mayfly-run/mayfly/internal/store"
)

// mostGrouped bounds how many writes share a transaction, and so how long the first of them waits for the others.
const mostGrouped = 256

// errClosed answers a write after Close.
var errClosed = errors.New("the database is closed")

// write is one write that waits. It may be carried out several times, so it must set all that it returns each time.
type write struct {
	ctx     context.Context    // of the caller: a write whose caller has gone before it began isn't carried out
	run     string             // whose position in the queue is read before it; "" for none
	forward *store.StepForward // whose steps and workflow it locks; nil for none
	once    *store.Once        // whose answer is looked for before it; nil for none
	do      func(ctx context.Context, tx *tx) error
	done    chan error

	refused error // how it was refused, if it was
}

// refused is the error of a write that has changed nothing, so that the others of its group stay.
type refused struct{ error }

func (r refused) Unwrap() error { return r.error }

// writer carries out writes in groups, on as many connections as the dialect has writers.
type writer struct {
	db      *sql.DB
	d       dialect
	wake    *wake
	shard   int // of the rows in which ends are counted
	waiting chan *write
	// audited are those that write to the audit log, if there are several connections. Their groups commit one after another, since each
	// holds the head of the log: on one connection they are few and large, and don't keep the others from other writes.
	audited  chan *write
	closing  chan struct{}
	work     sync.WaitGroup
	observe  atomic.Pointer[func(store.Written)]
	detailed atomic.Bool // observe is told all of runs that end
}

func newWriter(db *sql.DB, d dialect, wake *wake) *writer {
	w := &writer{db: db, d: d, wake: wake, waiting: make(chan *write), closing: make(chan struct{})}
	w.audited = w.waiting
	if d.writers > 1 {
		w.shard = rand.IntN(shards)
	}
	others := d.writers
	if d.writers > 1 {
		w.audited = make(chan *write)
		others--
		w.work.Go(func() { w.loop(w.audited) })
	}
	for range others {
		w.work.Go(func() { w.loop(w.waiting) })
	}
	return w
}

func (w *writer) close() {
	close(w.closing)
	w.work.Wait()
}

// write returns when do has been carried out durably, or has failed.
func (s *Store) write(ctx context.Context, do func(ctx context.Context, tx *tx) error) error {
	return s.carry(&write{ctx: ctx, do: do})
}

// carry has a writer carry out a write.
func (s *Store) carry(one *write) error {
	ctx := one.ctx
	one.done = make(chan error, 1)
	waiting := s.writer.waiting
	if p := store.PendingOf(ctx); p != nil && !p.Written {
		waiting = s.writer.audited
	}
	select {
	case waiting <- one:
		return spaceless(<-one.done) // it isn't left, since it may become durable
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.writer.closing:
		return errClosed
	}
}

// loop carries out groups of those that wait until the writer is closed.
func (w *writer) loop(waiting <-chan *write) {
	var c *connection
	defer func() { _ = c.close() }() // it holds nothing
	for {
		var group []*write
		select {
		case one := <-waiting:
			group = append(group, one)
		case <-w.closing:
			return
		}
		for more := true; more && len(group) < mostGrouped; {
			select {
			case one := <-waiting:
				group = append(group, one)
			default:
				more = false
			}
		}
		c = w.carryOut(c, group)
	}
}

// mostRetries is how often a write is carried out again that the database has given up in favour of another one.
const mostRetries = 10

// carryOut carries out a group, and each of it alone if that fails. It returns the connection for the next group, or nil. If the database doesn't
// answer, or not in time, none is tried alone, since each may wait as long: all fail, also because of one that is slow, and their callers may
// repeat them.
func (w *writer) carryOut(c *connection, group []*write) *connection {
	c, err := w.transaction(c, group)
	if err != nil && len(group) > 1 && !errors.Is(err, store.ErrUnsure) && !silent(err) && !slow(err) {
		for _, one := range group {
			c = w.carryOut(c, []*write{one})
		}
		return c
	}
	for n := 0; n < mostRetries && conflict(err); n++ {
		c, err = w.transaction(c, group)
	}
	if conflict(err) {
		err = fmt.Errorf("%w: %w", store.ErrBusy, err)
	}
	err = w.d.lost(err)
	for _, one := range group {
		if err == nil {
			one.done <- one.refused
		} else {
			one.done <- err
		}
	}
	return c
}

// conflict says whether PostgreSQL has ended a transaction because another one was in its way: two that wait for each other, for
// example when one changes the runs a and b, and the other one b and a. Or another one has made the same.
func conflict(err error) bool {
	const serializationFailure, deadlockDetected = "40001", "40P01"
	var p *pgconn.PgError
	return errors.Is(err, errTaken) || errors.As(err, &p) && (p.Code == serializationFailure || p.Code == deadlockDetected)
}

// transaction carries out writes in one transaction. A connection that fails is given up.
func (w *writer) transaction(c *connection, group []*write) (_ *connection, err error) {
	ctx, cancel := w.d.bounded(context.Background()) // a group isn't one caller's
	defer cancel()
	t, began := &tx{detailed: w.detailed.Load()}, time.Now()
	defer func() { w.observed(t, len(group), began, err) }()
	if c, err = w.begin(ctx, c, t.look(group)); err != nil {
		return nil, err
	}
	t.c = c
	if w.d.writers > 1 {
		if err := c.all(ctx, t.lockSteps(group)); err != nil {
			return c.rollback(ctx, err)
		}
	}
	for _, one := range group {
		if one.ctx.Err() != nil {
			one.refused = context.Cause(one.ctx)
			continue
		}
		err, no := one.do(ctx, t), refused{}
		if one.refused = nil; errors.As(err, &no) {
			one.refused = no.error
		} else if err != nil {
			return c.rollback(ctx, err)
		} else {
			t.take(one.ctx)
		}
	}
	shard := w.shard
	if w.d.writers > 1 && len(t.entries) > 0 { // the other writer
		shard = (shard + 1) % shards
	}
	t.countEnds(shard)
	last, err := t.chain(ctx)
	if err != nil {
		return c.rollback(ctx, err)
	}
	if err := c.all(ctx, append(last, &call{statement: "COMMIT"})); err != nil {
		c, err := c.rollback(ctx, fmt.Errorf("commit: %w", err))
		if c == nil {
			err = errors.Join(store.ErrUnsure, err)
		}
		return c, err
	}
	t.audited()
	if t.tell || t.events {
		w.wake.tell(t.tell)
	}
	return c, nil
}

// begin begins a transaction with these statements, on another connection if this one doesn't work any longer: the database may have been
// restarted.
func (w *writer) begin(ctx context.Context, c *connection, first []*call) (*connection, error) {
	first = append([]*call{{statement: w.d.begin}}, first...)
	if c != nil {
		if err := c.all(ctx, first); err == nil {
			return c, nil
		}
		c.drop()
	}
	c, err := newConnection(ctx, w.db, w.d)
	if err != nil {
		return nil, err
	}
	if err := c.all(ctx, first); err != nil {
		c.drop()
		return nil, err
	}
	return c, nil
}

// tx is a transaction that other writes share. dialect.sql says how statements are written.
type tx struct {
	c       *connection
	tell    bool             // other servers wait for what was written
	events  bool             // there are events, for which others wait who follow the run
	entries []*store.Pending // of the audit log
	removed *audit.Head      // the last entry of the audit log that was removed
	ended   []store.Over     // runs that ended in it
	counted []string         // of these, those that statistics count

	detailed bool // ended has all of a run

	positions map[string]position
	answered  map[answer]bool
	rowsOf    map[*kind][][]any // that are to be written
	failed    error             // they couldn't be
}

// exec returns the number of rows that a statement has changed.
func (t *tx) exec(ctx context.Context, q string, args ...any) (int64, error) {
	one := callOf(q, args...)
	err := t.carryOut(ctx, one)
	return one.changed, err
}

// rows calls scan for each row.
func (t *tx) rows(ctx context.Context, scan func(row) error, q string, args ...any) error {
	return t.carryOut(ctx, &call{statement: q, args: args, scan: scan})
}

// carryOut carries out statements together, after the rows that were collected, and forgets the positions, which they may change.
func (t *tx) carryOut(ctx context.Context, calls ...*call) error {
	clear(t.positions)
	return t.flush(ctx, calls...)
}

// each calls scan for each row, and closes them.
func each(rows *sql.Rows, scan func(row) error) (err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// read calls scan for each row of a query outside a transaction.
func (s *Store) read(ctx context.Context, scan func(row) error, q string, args ...any) (err error) {
	caller := ctx
	ctx, cancel := s.d.bounded(ctx)
	defer cancel()
	defer func() {
		if caller.Err() == nil { // otherwise the caller wanted no more
			err = s.d.lost(err)
		}
	}()
	stmt, err := s.prepare(ctx, q)
	if err != nil {
		return err
	}
	rows, err := stmt.QueryContext(ctx, s.d.args(args)...)
	if err != nil {
		return err
	}
	return each(rows, scan)
}

// prepare returns a statement for reading. There are few of them, and preparing one takes longer than most queries.
func (s *Store) prepare(ctx context.Context, q string) (*sql.Stmt, error) {
	s.mu.Lock()
	stmt := s.prepared[q]
	s.mu.Unlock()
	if stmt != nil {
		return stmt, nil
	}
	stmt, err := s.db.PrepareContext(ctx, s.d.sql(q)) // without the lock: the database may be slow
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", q, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if first := s.prepared[q]; first != nil {
		return first, stmt.Close() // another one was faster
	}
	s.prepared[q] = stmt
	return stmt, nil
}

// rolledBack reports whether SQLite has rolled a transaction back by itself, as it does when the disk is full.
func rolledBack(err error) bool {
	var lite *sqlite.Error
	return errors.As(err, &lite) && strings.Contains(lite.Error(), "no transaction is active")
}

// spaceless makes the error of a full disk one that callers know.
func spaceless(err error) error {
	const sqliteFull, diskFull = 13, "53100"
	var lite *sqlite.Error
	var p *pgconn.PgError
	if errors.As(err, &lite) && lite.Code()&0xff == sqliteFull || errors.As(err, &p) && p.Code == diskFull {
		return fmt.Errorf("%w: %w", store.ErrNoSpace, err)
	}
	return err
}
