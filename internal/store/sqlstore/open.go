// Package sqlstore keeps what a server has in SQLite or in PostgreSQL, with one schema and the same statements.
//
// Writes are grouped: a writer takes all that are waiting, carries them out in one transaction, and answers them when it is
// durable. So many requests share one sync of the disk. If one of a group fails, each of them is carried out again on its own.
package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing/fstest"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx
	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver sqlite

	"github.com/mayfly-run/mayfly/internal/store"
)

// Store is a database. It is closed once, after all calls have returned.
type Store struct {
	db      *sql.DB // for reading; PostgreSQL also writes on it
	d       dialect
	writing *sql.DB
	writer  *writer

	mu       sync.Mutex
	prepared map[string]*sql.Stmt // for reading
}

var (
	_ store.Tools   = (*Store)(nil)
	_ store.Queue   = (*Store)(nil)
	_ store.Runs    = (*Store)(nil)
	_ store.Access  = (*Store)(nil)
	_ store.Secrets = (*Store)(nil)
	_ store.Runners = (*Store)(nil)
)

// dialect is what SQLite and PostgreSQL write differently.
type dialect struct {
	goose goose.Dialect
	now   string // the database's time in milliseconds
	// locked follows a SELECT whose rows the transaction will change, and passes over rows that another one is changing.
	locked   string
	numbered bool // parameters are $1, $2, … instead of ?
	begin    string
	writers  int
}

var (
	sqlite = dialect{
		goose: goose.DialectSQLite3, now: "CAST(unixepoch('subsec') * 1000 AS INTEGER)", begin: "BEGIN IMMEDIATE", writers: 1,
	}
	postgres = dialect{
		goose: goose.DialectPostgres, now: "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)", locked: " FOR UPDATE SKIP LOCKED",
		numbered: true, begin: "BEGIN", writers: 4,
	}
)

//go:embed migrations/*.sql
var migrations embed.FS

// OpenSQLite opens or makes the database in a file.
func OpenSQLite(ctx context.Context, file string) (*Store, error) {
	// The file's name may have characters that mean something in an address.
	dsn := "file:" + (&url.URL{Path: file}).EscapedPath() +
		"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)"
	reading, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", file, err)
	}
	reading.SetMaxOpenConns(8)
	reading.SetMaxIdleConns(8)
	writing, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", file, err), reading.Close())
	}
	s, err := open(ctx, reading, writing, sqlite)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", file, err)
	}
	return s, nil
}

// OpenPostgres opens a database by its address, postgres://… .
func OpenPostgres(ctx context.Context, address string) (*Store, error) {
	db, err := sql.Open("pgx", address)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	s, err := open(ctx, db, db, postgres)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	return s, nil
}

func open(ctx context.Context, reading, writing *sql.DB, d dialect) (_ *Store, err error) {
	s := &Store{db: reading, d: d, writing: writing, prepared: map[string]*sql.Stmt{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	files, err := d.migrations()
	if err != nil {
		return nil, err
	}
	steps, err := goose.NewProvider(d.goose, writing, files)
	if err != nil {
		return nil, fmt.Errorf("read the migrations: %w", err)
	}
	if _, err := steps.Up(ctx); err != nil {
		return nil, fmt.Errorf("bring the database to this version: %w", err)
	}
	s.writer = newWriter(writing, d)
	return s, nil
}

// migrations returns the migrations in this dialect.
func (d dialect) migrations() (fs.FS, error) {
	out := fstest.MapFS{}
	entries, err := migrations.ReadDir("migrations")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		data, err := migrations.ReadFile("migrations/" + e.Name())
		if err != nil {
			return nil, err
		}
		text := string(data)
		if d.goose == goose.DialectPostgres {
			text = strings.NewReplacer(" BLOB", " BYTEA", ") WITHOUT ROWID;", ");").Replace(text)
		}
		out[e.Name()] = &fstest.MapFile{Data: []byte(text)}
	}
	return out, nil
}

// sql returns a statement in this dialect: with NOW for the database's time, LOCKED for the dialect's, and ? for parameters.
func (d dialect) sql(q string) string {
	q = strings.ReplaceAll(strings.ReplaceAll(q, "LOCKED", d.locked), "NOW", d.now)
	if !d.numbered {
		return q
	}
	var b strings.Builder
	n := 0
	for _, r := range q {
		if r == '?' {
			n++
			b.WriteString("$" + strconv.Itoa(n))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Close ends all writes that have begun, and closes the database.
func (s *Store) Close() error {
	if s.writer != nil {
		s.writer.close()
	}
	var err error
	if s.writing != s.db {
		err = s.writing.Close()
	}
	return errors.Join(err, s.db.Close())
}
