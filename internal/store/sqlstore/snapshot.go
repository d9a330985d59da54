package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
)

// Snapshot writes a copy of a SQLite database to a new file, as it is at one moment, while a server writes to it. Nobody waits for it, but
// until it ends the database's write-ahead log grows.
func Snapshot(ctx context.Context, from, to string) (err error) {
	// The file must be there: SQLite would make an empty one.
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: from}).EscapedPath()+"?mode=rw&_pragma=busy_timeout(10000)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, "VACUUM INTO ?", to); err != nil {
		return fmt.Errorf("copy the database %s: %w", from, err)
	}
	return nil
}

// Check reads all of a SQLite database, and fails if it is damaged.
func Check(ctx context.Context, file string) (err error) {
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: file}).EscapedPath()+"?mode=ro&immutable=1")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var answer string
	if err := db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&answer); err != nil {
		return fmt.Errorf("check the database %s: %w", file, err)
	}
	if answer != "ok" {
		return fmt.Errorf("the database %s is damaged: %s", file, answer)
	}
	return nil
}
