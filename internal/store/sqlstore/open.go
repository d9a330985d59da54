// Package sqlstore keeps what a server has in SQLite or in PostgreSQL, with one schema and the same statements.
//
// Writes are grouped: a writer takes all that are waiting, carries them out in one transaction, and answers them when it is
// durable. So many requests share one sync of the disk, and statements: the rows of one kind are collected and
// written together. So a statement that one write makes may fail with the rows of another one. If one of a group fails, each of them is
// carried out again on its own.
package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/mayfly-run/mayfly/internal/store"
)

// Store is a database. It is closed once, after all calls have returned.
type Store struct {
	db      *sql.DB // for reading
	d       dialect
	writing *sql.DB
	writer  *writer
	wake    *wake // nil for SQLite, which has one server

	mu       sync.Mutex
	prepared map[string]*sql.Stmt // for reading
	turns    map[string]string    // the project that got a run last, by the pool
	opened   openedDraft
}

var (
	_ store.Tools      = (*Store)(nil)
	_ store.Queue      = (*Store)(nil)
	_ store.Runs       = (*Store)(nil)
	_ store.Workflows  = (*Store)(nil)
	_ store.Access     = (*Store)(nil)
	_ store.Audit      = (*Store)(nil)
	_ store.Clock      = (*Store)(nil)
	_ store.Policies   = (*Store)(nil)
	_ store.Secrets    = (*Store)(nil)
	_ store.Runners    = (*Store)(nil)
	_ store.Logs       = (*Store)(nil)
	_ store.Statistics = (*Store)(nil)
	_ store.Answers    = (*Store)(nil)
	_ store.Contents   = (*Store)(nil)
	_ store.Wake       = (*Store)(nil)
)

// dialect is what SQLite and PostgreSQL write differently.
type dialect struct {
	goose goose.Dialect
	now   string // the database's time in milliseconds
	begin string
	setup string // of a connection that writes
	// text, unless nil, makes a text one that the database takes: PostgreSQL takes neither NUL nor what isn't UTF-8. A reason or
	// a label is kept with U+FFFD in it.
	text func(string) string
	// patience bounds a transaction or a query; 0 for no bound: a file answers, or fails.
	patience time.Duration
	// writers is how many transactions write at the same time; with one, rows need no locks. Of several, one is for the audit log and the others
	// for everything else. More of them make smaller groups: with PostgreSQL, four carried out a fifth fewer runs than two.
	writers int
	// pipelines: a connection sends statements before it has the answers of those before them.
	pipelines bool
}

var (
	sqliteDialect = dialect{
		goose: goose.DialectSQLite3, now: "CAST(unixepoch('subsec') * 1000 AS INTEGER)", begin: "BEGIN IMMEDIATE", writers: 1,
	}
	postgres = dialect{
		goose: goose.DialectPostgres, now: "CAST(extract(epoch FROM statement_timestamp()) * 1000 AS BIGINT)", begin: "BEGIN", setup: byKeys, text: printable, writers: 2, pipelines: true, patience: databasePatience,
	}
)

// byKeys has PostgreSQL look rows up by keys. A plan that reads a whole table is better while that is small, and kept for when it no longer
// is. A plan that must read a whole table then has a cost above jit_above_cost, so JIT is off too. At most one index may fit a condition: while
// a table is small, PostgreSQL may choose to read all of a partial index instead of looking up a key (TestPostgresPlans).
const byKeys = "SELECT set_config(name, 'off', false) FROM (VALUES ('enable_seqscan'), ('enable_hashjoin'), ('enable_mergejoin'), ('jit')) AS v(name)"

func printable(text string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", "\uFFFD"), "\uFFFD")
}

// args returns the parameters of a statement as the database takes them.
func (d dialect) args(all []any) []any {
	if d.text == nil {
		return all
	}
	for i, one := range all {
		if text, ok := one.(string); ok {
			all[i] = d.text(text)
		}
	}
	return all
}

//go:embed migrations/*.sql
var migrations embed.FS

// OpenSQLite opens or makes the database in a file.
func OpenSQLite(ctx context.Context, file string) (*Store, error) {
	// The file's name may have characters that mean something in an address.
	dsn := "file:" + (&url.URL{Path: file}).EscapedPath() +
		"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)"
	// The files beside it get its mode.
	made, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		err = errors.Join(made.Chmod(0o600), made.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", file, err)
	}
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
	s, err := open(ctx, reading, writing, writing, sqliteDialect, nil)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", file, err)
	}
	return s, nil
}

// OpenPostgres opens a database by its address, postgres://… . It takes up to 20 connections. log gets
// problems of the connections by which servers wake each other; all others are the errors of calls.
func OpenPostgres(ctx context.Context, address string, log *slog.Logger) (*Store, error) {
	return dialPostgres(ctx, address, log, postgres)
}

func dialPostgres(ctx context.Context, address string, log *slog.Logger, d dialect) (*Store, error) {
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, fmt.Errorf("read the address of the database: %w", err)
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	dialBounded(config)
	bounds := d.databaseBounds(config)
	migrating := stdlib.OpenDB(*config) // which may take long
	reading := stdlib.OpenDB(*config, bounds)
	reading.SetMaxOpenConns(16)
	reading.SetMaxIdleConns(16)
	// A writer takes a connection when it needs a new one, so one that broke while it lay idle would only cost it another write.
	writing := stdlib.OpenDB(*config, bounds, stdlib.OptionShouldPing(func(context.Context, stdlib.ShouldPingParams) bool { return true }))
	writing.SetMaxOpenConns(d.writers)
	s, err := open(ctx, reading, writing, migrating, d, newWake(config, log))
	if err = errors.Join(err, migrating.Close()); err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	return s, nil
}

// connectTimeout bounds how long a request waits for a database that doesn't answer, unless its address says otherwise.
const connectTimeout = 10 * time.Second

func open(ctx context.Context, reading, writing, migrating *sql.DB, d dialect, w *wake) (_ *Store, err error) {
	s := &Store{db: reading, d: d, writing: writing, prepared: map[string]*sql.Stmt{}, turns: map[string]string{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	files, err := d.migrations()
	if err != nil {
		return nil, err
	}
	options := []goose.ProviderOption{goose.WithGoMigrations(d.noteContents())}
	if d.goose == goose.DialectPostgres {
		// Another server may start at the same time. It is asked for every second, and for at most five minutes.
		one, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300))
		if err != nil {
			return nil, err
		}
		options = append(options, goose.WithSessionLocker(one))
	}
	steps, err := goose.NewProvider(d.goose, migrating, files, options...)
	if err != nil {
		return nil, fmt.Errorf("read the migrations: %w", err)
	}
	if _, err := steps.Up(ctx); err != nil {
		return nil, fmt.Errorf("bring the database to this version: %w", err)
	}
	w.start()
	s.wake, s.writer = w, newWriter(writing, d, w)
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
			// Texts sort as bytes, whatever the language of the database.
			text = strings.NewReplacer(" BLOB", " BYTEA", ") WITHOUT ROWID;", ");", " TEXT", ` TEXT COLLATE "C"`).Replace(text)
		}
		out[e.Name()] = &fstest.MapFile{Data: []byte(text)}
	}
	return out, nil
}

// sql returns a statement in this dialect. Statements are written with NOW for the database's time, ? for parameters, and
// PostgreSQL's FOR UPDATE: without it, another transaction may change a row between a transaction's SELECT and its UPDATE. OR FAIL and json_each are
// SQLite's, and strpos PostgreSQL's.
func (d dialect) sql(q string) string {
	q = strings.ReplaceAll(q, "NOW", d.now)
	if d.goose != goose.DialectPostgres {
		return strings.NewReplacer(" FOR UPDATE SKIP LOCKED", "", " FOR UPDATE", "", "strpos(", "instr(").Replace(q)
	}
	q = strings.NewReplacer(" OR FAIL", "", "AS BLOB", "AS BYTEA", "json_each(?)", "json_array_elements_text(CAST(? AS json))").Replace(q)
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
	s.wake.close()
	return errors.Join(s.writing.Close(), s.db.Close())
}
