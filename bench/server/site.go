package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/archive"
	"github.com/mayfly-run/mayfly/internal/content"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/runner"
	"github.com/mayfly-run/mayfly/internal/secret"
	"github.com/mayfly-run/mayfly/internal/server"
	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/store/postgrestest"
	"github.com/mayfly-run/mayfly/internal/store/sqlstore"
)

// kind is what a site is made of.
type kind struct {
	slots        int // of each runner
	engine       run.Runner
	archiveAfter time.Duration
	embedded     bool // the runners are in the servers; otherwise they speak to them over TLS
	replicas     int  // with PostgreSQL; 0 for one server with SQLite
}

// site is one server or several, each with a runner and a client over HTTPS.
type site struct {
	kind
	client  *api.Client // of the first server
	clients []*api.Client
	db      *sqlstore.Store // of the first server
	dir     string
	as      func(ctx context.Context, role, pool string) (*api.Client, error) // of the first server
	ends    []func() error                                                    // the last one first
}

// archiveAfter is longer than the windows of a log in the database are measured.
const archiveAfter = 15 * time.Second

// open starts a site.
func open(ctx context.Context, k kind) (_ *site, err error) {
	s := &site{kind: k}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.dir, err = os.MkdirTemp("/var/tmp", "mayfly-bench-server-"); err != nil {
		return nil, err
	}
	s.ends = append(s.ends, func() error { return os.RemoveAll(s.dir) })
	connect := func() (*sqlstore.Store, error) { return sqlstore.OpenSQLite(ctx, filepath.Join(s.dir, "mayfly.db")) }
	if k.replicas > 0 {
		address, end, err := postgrestest.Serve()
		if err != nil {
			return nil, fmt.Errorf("start PostgreSQL: %w", err)
		}
		s.ends = append(s.ends, end)
		connect = func() (*sqlstore.Store, error) { return sqlstore.OpenPostgres(ctx, address, slog.Default()) }
	}
	for n := range max(1, k.replicas) {
		db, err := connect()
		if err != nil {
			return nil, err
		}
		s.ends = append(s.ends, db.Close)
		if n == 0 {
			s.db = db
		}
		if err := s.start(ctx, n, db); err != nil {
			return nil, err
		}
	}
	s.client = s.clients[0]
	return s, nil
}

// start starts a server with its runner.
func (s *site) start(ctx context.Context, n int, db *sqlstore.Store) error {
	keys, err := secret.OpenKeys(filepath.Join(s.dir, "keys"))
	if err != nil {
		return err
	}
	one := server.New(server.Options{Store: db, Archive: archive.Dir(s.dir), Keys: keys, Keep: server.Keep{ArchiveAfter: s.archiveAfter, Every: time.Second}})
	if err := one.Start(ctx); err != nil {
		return err
	}
	front := httptest.NewUnstartedServer(one.Handler())
	front.EnableHTTP2 = true
	front.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	front.StartTLS()
	s.ends = append(s.ends, func() error {
		one.Close()
		front.Close()
		return nil
	})
	as := func(ctx context.Context, role, pool string) (*api.Client, error) {
		text, hash := server.NewToken()
		if err := db.AddToken(ctx, store.Token{Hash: hash, Name: fmt.Sprint(role, pool, n), Role: role, Pool: pool}); err != nil {
			return nil, err
		}
		return api.NewClient(api.ClientOptions{Server: front.URL, Token: text, Fingerprint: api.Fingerprint(front.Certificate().Raw)})
	}
	client, err := as(ctx, server.RoleAdmin, "")
	if err != nil {
		return err
	}
	s.clients = append(s.clients, client)
	if s.as == nil {
		s.as = as
	}
	there, err := as(ctx, server.RoleRunner, "default")
	if err != nil {
		return err
	}
	name, instance := fmt.Sprint("bench", n), fmt.Sprintf("bench%020d", n)
	var link runner.Server = there.Runner(name, instance)
	if s.embedded {
		link = one.Link("default", name, instance)
	}
	r, err := runner.New(runner.Options{
		Server: link, Name: name, Slots: s.slots, Content: content.Store(filepath.Join(s.dir, "trees-"+name)),
		Spool: filepath.Join(s.dir, "spool-"+name), SpoolSize: runner.DefaultSpoolSize,
		Carry: func(runner.Carriage) run.Runner { return s.engine },
	})
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- r.Run(running) }()
	s.ends = append(s.ends, func() error {
		stop()
		err := <-ended
		client.Close()
		there.Close()
		return err
	})
	return nil
}

// close ends everything, and removes it.
func (s *site) close() (err error) {
	for n := len(s.ends) - 1; n >= 0; n-- {
		err = errors.Join(err, s.ends[n]())
	}
	return err
}

const definition = "name: nothing\nimage: none\ncommand: [nothing]\n"

// push makes the tool that is run.
func (s *site) push(ctx context.Context) error {
	digest := archive.Digest([]byte(definition))
	if err := s.client.PutContent(ctx, "default", digest, strings.NewReader(definition)); err != nil {
		return err
	}
	_, err := s.client.CreateVersion(ctx, "default", "nothing", &api.NewVersion{Bundle: api.Bundle{
		Definition: "tool.yaml", Files: []api.File{{Path: "tool.yaml", Digest: digest, Size: int64(len(definition))}},
	}})
	return err
}
