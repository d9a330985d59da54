package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// row is a row that a statement returns.
type row interface{ Scan(to ...any) error }

// call is a statement that is carried out.
type call struct {
	statement string
	args      []any
	scan      func(row) error // is called for each row
	changed   int64           // rows, or how many it returned

	rows  int64 // what changed must be, if fewer isn't nil
	fewer error // the error otherwise
}

func callOf(statement string, args ...any) *call { return &call{statement: statement, args: args} }

// connection is a connection for writing.
type connection struct {
	conn     *sql.Conn
	d        dialect
	prepared map[string]*sql.Stmt // by statement
	sql      map[string]string    // the statements in the dialect
}

func newConnection(ctx context.Context, db *sql.DB, d dialect) (*connection, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	c := &connection{conn: conn, d: d, prepared: map[string]*sql.Stmt{}, sql: map[string]string{}}
	if d.setup == "" {
		return c, nil
	}
	if _, err := conn.ExecContext(ctx, d.setup); err != nil {
		c.drop()
		return nil, err
	}
	return c, nil
}

func (c *connection) close() error {
	if c == nil {
		return nil
	}
	return c.conn.Close()
}

// rollback ends the transaction without effect. It returns err, and the connection unless that fails.
func (c *connection) rollback(ctx context.Context, err error) (*connection, error) {
	if failed := c.all(ctx, []*call{{statement: "ROLLBACK"}}); failed != nil && !rolledBack(failed) {
		c.drop()
		return nil, errors.Join(err, failed)
	}
	return c, err
}

// drop closes the connection, and the pool doesn't use it again.
func (c *connection) drop() {
	_ = c.conn.Raw(func(any) error { return driver.ErrBadConn }) // package sql closes it for this error, and returns it
}

// all carries out statements, one after another until one fails. PostgreSQL gets them at once: for most of them, the way there and back takes
// longer than the work.
func (c *connection) all(ctx context.Context, calls []*call) error {
	if len(calls) == 0 {
		return nil
	}
	if !c.d.pipelines {
		for _, one := range calls {
			if err := c.carryOut(ctx, one); err != nil {
				return err
			}
		}
		return nil
	}
	var failed error
	err := c.conn.Raw(func(conn any) error {
		failed = c.pipeline(ctx, conn.(*stdlib.Conn).Conn(), calls) //nolint:forcetypeassert // it is what OpenPostgres opens
		return nil
	})
	return errors.Join(err, failed)
}

func (c *connection) carryOut(ctx context.Context, one *call) error {
	s := c.prepared[one.statement]
	if s == nil {
		var err error
		if s, err = c.conn.PrepareContext(ctx, c.d.sql(one.statement)); err != nil {
			return fmt.Errorf("prepare %q: %w", one.statement, err)
		}
		c.prepared[one.statement] = s
	}
	if one.scan == nil {
		r, err := s.ExecContext(ctx, c.d.args(one.args)...)
		if err != nil {
			return err
		}
		if one.changed, err = r.RowsAffected(); err != nil {
			return err
		}
		return one.check()
	}
	rows, err := s.QueryContext(ctx, c.d.args(one.args)...)
	if err != nil {
		return err
	}
	if err := each(rows, one.read); err != nil {
		return err
	}
	return one.check()
}

// mostSent is about how many bytes of parameters are sent at once: pgx has a copy of them meanwhile.
const mostSent = 4 << 20

// pipeline sends statements before it reads the first answer.
func (c *connection) pipeline(ctx context.Context, conn *pgx.Conn, calls []*call) error {
	for len(calls) > 0 {
		n, bytes := 0, 0
		for n < len(calls) && bytes < mostSent {
			bytes += calls[n].bytes()
			n++
		}
		if err := c.send(ctx, conn, calls[:n]); err != nil {
			return err
		}
		calls = calls[n:]
	}
	return nil
}

// send sends all of these statements. pgx prepares those that are new.
func (c *connection) send(ctx context.Context, conn *pgx.Conn, calls []*call) (err error) {
	batch := &pgx.Batch{}
	for _, one := range calls {
		statement := c.sql[one.statement]
		if statement == "" {
			statement = c.d.sql(one.statement)
			c.sql[one.statement] = statement
		}
		batch.Queue(statement, c.d.args(one.args)...)
	}
	results := conn.SendBatch(ctx, batch)
	defer func() {
		if closed := results.Close(); err == nil { // otherwise it is the same error, or that of a statement after the one that failed
			err = closed
		}
	}()
	for _, one := range calls {
		if err := one.receive(results); err != nil {
			return err
		}
	}
	return nil
}

// bytes is about how long the parameters are.
func (one *call) bytes() (n int) {
	for _, arg := range one.args {
		switch arg := arg.(type) {
		case string:
			n += len(arg)
		case []byte:
			n += len(arg)
		}
	}
	return n
}

func (one *call) receive(results pgx.BatchResults) error {
	if one.scan == nil {
		tag, err := results.Exec()
		if err != nil {
			return err
		}
		one.changed = tag.RowsAffected()
		return one.check()
	}
	rows, err := results.Query()
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := one.read(rows); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return one.check()
}

func (one *call) read(r row) error {
	one.changed++
	return one.scan(r)
}

func (one *call) check() error {
	if one.fewer != nil && one.changed != one.rows {
		return one.fewer
	}
	return nil
}
