//go:build linux

package sqlstore

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/store/postgrestest"
)

// swallower passes bytes on to a database, until it swallows all of them and closes nothing, as a broken network does.
type swallower struct {
	address  string
	swallows atomic.Bool
}

func newSwallower(t *testing.T, database string) *swallower {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	socket := u.Query().Get("host") + "/.s.PGSQL.5432"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Del("host")
	q.Set("sslmode", "disable")
	u.Host, u.RawQuery = l.Addr().String(), q.Encode()
	s := &swallower{address: u.String()}
	var work sync.WaitGroup
	var mu sync.Mutex
	var open []io.Closer
	pass := func(to io.Writer, from io.Reader) {
		buf := make([]byte, 64<<10)
		for {
			n, err := from.Read(buf)
			if err != nil {
				return
			}
			if s.swallows.Load() {
				continue
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
	}
	work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			d, err := net.Dial("unix", socket)
			if err != nil {
				t.Error(err)
				_ = c.Close() // nobody needs it
				return
			}
			mu.Lock()
			open = append(open, c, d)
			mu.Unlock()
			both := func() {
				if !s.swallows.Load() {
					_, _ = c.Close(), d.Close() // one end has ended, so does the other
				}
			}
			work.Go(func() { pass(c, d); both() })
			work.Go(func() { pass(d, c); both() })
		}
	})
	t.Cleanup(func() {
		_ = l.Close() // it ends the loop
		mu.Lock()
		for _, one := range open {
			_ = one.Close() // it may be closed
		}
		mu.Unlock()
		work.Wait()
	})
	return s
}

// TestSilentPostgres has the network to PostgreSQL swallow all packets: writes and reads fail in bounded time, as many at once as there
// are, and work again when the network does.
func TestSilentPostgres(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	server := postgrestest.Start(t)
	network := newSwallower(t, server.Database(t))
	d := postgres
	d.patience = 2 * time.Second
	s, err := dialPostgres(t.Context(), network.address+"&connect_timeout=1", slog.Default(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	accept(t, s, "before")
	network.swallows.Store(true)
	const writes = 100
	var work sync.WaitGroup
	begin := time.Now()
	var failed atomic.Int64
	for range writes {
		work.Go(func() {
			if err := s.Accept(context.Background(), store.NewRun{ID: run.NewID(), Project: "p", Pool: "default", Request: []byte("{}")}, nil); err != nil {
				failed.Add(1)
			}
		})
	}
	work.Go(func() {
		if _, err := s.Run(context.Background(), "p", "before"); err == nil {
			t.Error("a run is read through a network that swallows everything")
		}
	})
	ended := make(chan struct{})
	go func() { work.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(2 * time.Minute):
		t.Fatal("the writes don't end")
	}
	if failed.Load() != writes {
		t.Errorf("%d of %d writes failed", failed.Load(), writes)
	}
	t.Logf("%d writes failed after %s", writes, time.Since(begin))
	network.swallows.Store(false)
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		err := s.Accept(t.Context(), store.NewRun{ID: run.NewID(), Project: "p", Pool: "default", Request: []byte("{}")}, nil)
		if err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the network is back, and a write fails: %v", err)
		}
	}
	var timeout string
	if err := s.db.QueryRowContext(t.Context(), "SHOW statement_timeout").Scan(&timeout); err != nil || timeout != "1800ms" {
		t.Errorf("the database's own bound is %q, %v", timeout, err)
	}
}
