package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"

	"github.com/mayfly-run/mayfly/internal/store"
)

// lost makes the error of a PostgreSQL that can't be reached, or takes too long, one that callers know. SQLite is in this process.
func (d dialect) lost(err error) error {
	switch {
	case d.goose != goose.DialectPostgres, errors.Is(err, store.ErrUnsure):
		return err
	case slow(err):
		return fmt.Errorf("%w: %w", store.ErrSlow, err)
	case away(err):
		return fmt.Errorf("%w: %w", store.ErrUnreachable, err)
	}
	return err
}

// awayCodes are what PostgreSQL says when it ends a connection or takes none (its manual, appendix A), besides the class 08:
// idle_in_transaction_session_timeout, too_many_connections, admin_shutdown, crash_shutdown and cannot_connect_now.
var awayCodes = []string{"25P03", "53300", "57P01", "57P02", "57P03"}

func away(err error) bool {
	var connecting *pgconn.ConnectError
	var network net.Error
	var p *pgconn.PgError
	switch {
	case err == nil, errors.Is(err, context.Canceled): // the caller has gone
		return false
	case errors.As(err, &connecting), errors.As(err, &network), silent(err):
		return true
	case errors.As(err, &p):
		return strings.HasPrefix(p.Code, "08") || slices.Contains(awayCodes, p.Code)
	}
	broken := func(is error) bool { return errors.Is(err, is) }
	return slices.ContainsFunc([]error{driver.ErrBadConn, sql.ErrConnDone, io.EOF, io.ErrUnexpectedEOF}, broken)
}
