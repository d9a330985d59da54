package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// A network that swallows packets ends no connection, and whoever waits for an answer waits forever. So each of these has a bound:
//
//   - a transaction, and a query: databasePatience, after which the connection is given up
//   - what was sent and isn't acknowledged by the database's machine: unacknowledged
//   - a connection that is idle, such as the one that listens: keepAlive
//   - a transaction of ours that the database has open, with its locks, when this machine has vanished: a little less than databasePatience, by the
//     database itself
const (
	databasePatience = 30 * time.Second
	unacknowledged   = 20 * time.Second
)

var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3}

// bounded bounds a transaction or a query.
func (d dialect) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if d.patience == 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, d.patience, fmt.Errorf("the database hasn't answered within %s", d.patience))
}

// dialBounded has connections end if the other machine is silent.
func dialBounded(config *pgx.ConnConfig) {
	d := net.Dialer{Timeout: config.ConnectTimeout, KeepAliveConfig: keepAlive, Control: userTimeout}
	config.DialFunc = d.DialContext
}

// databaseBounds has the database itself end what takes too long, unless the address says for how long: a little earlier than we give the connection
// up, so that we hear of it.
func (d dialect) databaseBounds(config *pgx.ConnConfig) stdlib.OptionOpenDB {
	return stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
		for _, name := range []string{"statement_timeout", "idle_in_transaction_session_timeout"} {
			if _, given := config.RuntimeParams[name]; given {
				continue
			}
			if _, err := conn.Exec(ctx, fmt.Sprintf("SET %s = %d", name, (d.patience*9/10).Milliseconds())); err != nil {
				return err
			}
		}
		return nil
	})
}

// silent says whether the database didn't answer.
func silent(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || pgconn.Timeout(err)
}

// slow says whether the database has given up a statement that took too long.
func slow(err error) bool {
	const queryCanceled = "57014"
	var p *pgconn.PgError
	return errors.As(err, &p) && p.Code == queryCanceled
}
