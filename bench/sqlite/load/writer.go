package main

import (
	"context"
	"database/sql"
	"fmt"
)

// mostGrouped is that of package sqlstore.
const mostGrouped = 256

// write is one write that waits.
type write struct {
	do   func(*writer) error
	done chan error
}

// writer carries out writes in groups, on one connection with prepared statements, as package sqlstore does.
type writer struct {
	ctx      context.Context
	conn     *sql.Conn
	prepared map[string]*sql.Stmt
	waiting  chan *write
	ended    chan struct{}
}

func newWriter(ctx context.Context, db *sql.DB) (*writer, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	w := &writer{ctx: ctx, conn: conn, prepared: map[string]*sql.Stmt{}, waiting: make(chan *write), ended: make(chan struct{})}
	go w.loop()
	return w, nil
}

func (w *writer) close() error {
	close(w.waiting)
	<-w.ended
	return w.conn.Close()
}

func (w *writer) write(do func(*writer) error) error {
	one := &write{do, make(chan error, 1)}
	w.waiting <- one
	return <-one.done
}

func (w *writer) loop() {
	defer close(w.ended)
	for one := range w.waiting {
		group := []*write{one}
		for more := true; more && len(group) < mostGrouped; {
			select {
			case one, ok := <-w.waiting:
				if more = ok; ok {
					group = append(group, one)
				}
			default:
				more = false
			}
		}
		err := w.transaction(group)
		for _, one := range group {
			one.done <- err
		}
	}
}

func (w *writer) transaction(group []*write) error {
	if _, err := w.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, one := range group {
		if err := one.do(w); err != nil {
			return err // the measurement ends
		}
	}
	_, err := w.exec("COMMIT")
	return err
}

func (w *writer) statement(q string) (*sql.Stmt, error) {
	if s := w.prepared[q]; s != nil {
		return s, nil
	}
	s, err := w.conn.PrepareContext(w.ctx, q)
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", q, err)
	}
	w.prepared[q] = s
	return s, nil
}

func (w *writer) exec(q string, args ...any) (int64, error) {
	s, err := w.statement(q)
	if err != nil {
		return 0, err
	}
	r, err := s.ExecContext(w.ctx, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// now is the database's time.
const now = "CAST(unixepoch('subsec') * 1000 AS INTEGER)"

// The sizes of what a short run has.
var (
	request = make([]byte, 700)
	events  = make([]byte, 700)
	result  = make([]byte, 300)
)

// accept is a run that is accepted and leased in one commit.
func accept(id string) func(*writer) error {
	return func(w *writer) error {
		if _, err := w.exec(`INSERT INTO runs (id, project, tool, version, kind, status, exit_code, code, reason, pool, runner,
			attempt, priority, labels, needs, accepted, accepted_by, started, finished, events, bytes, lines)
			VALUES (?, 'default', ?, 1, 'tool', 'queued', 0, '', '', 'default', '', 0, 0, 'null', 'null', `+now+`, ?, 0, 0, 0, 0, 0)`,
			id, "hello", "ada"); err != nil {
			return err
		}
		if _, err := w.exec(`INSERT INTO requests (run, request) VALUES (?, ?)`, id, request); err != nil {
			return err
		}
		_, err := w.exec(`INSERT INTO queue (run, project, pool, needs, priority, state, attempt, runner, lease_until,
			started, base, last, bytes, lines, cancel)
			VALUES (?, 'default', 'default', 'null', 0, 'queued', 1, ?, `+now+` + ?, `+now+`, 0, 0, 0, 0, 0)`, id, "default/r@i", 30_000)
		return err
	}
}

// end is a report with the events and the result of a run.
func end(id string) func(*writer) error {
	return func(w *writer) error {
		s, err := w.statement(`SELECT base, last, bytes, lines FROM queue WHERE run = ? AND attempt = ? AND runner = ? AND lease_until > ` + now)
		if err != nil {
			return err
		}
		var base, last, bytes, lines int64
		if err := s.QueryRowContext(w.ctx, id, 1, "default/r@i").Scan(&base, &last, &bytes, &lines); err != nil {
			return err
		}
		if _, err := w.exec(`INSERT INTO chunks (run, first, last, first_line, lines, bytes, data) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			id, last+1, last+5, lines+1, 1, 1500, events); err != nil {
			return err
		}
		if _, err := w.exec(`INSERT INTO results (run, result) VALUES (?, ?)`, id, result); err != nil {
			return err
		}
		if _, err := w.exec(`UPDATE runs SET status = ?, exit_code = ?, code = ?, reason = ?, events = ?, bytes = ?, lines = ?,
			finished = `+now+`, runner = (SELECT runner FROM queue WHERE run = id), attempt = (SELECT attempt FROM queue WHERE run = id),
			started = (SELECT started FROM queue WHERE run = id)
			WHERE id = ? AND finished = 0`, "succeeded", 0, "", "", last+5, bytes+1500, lines+1, id); err != nil {
			return err
		}
		n, err := w.exec(`DELETE FROM queue WHERE run = ? AND attempt = ? AND runner = ? AND last = ? AND lease_until > `+now,
			id, 1, "default/r@i", last)
		if err == nil && n != 1 {
			err = fmt.Errorf("%d rows of the run %s were deleted, want 1", n, id)
		}
		return err
	}
}
