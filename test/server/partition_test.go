//go:build linux

package server

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store/postgrestest"
)

// gate passes connections on to an address, until it is told otherwise.
type gate struct {
	t        *testing.T
	listener net.Listener
	network  string
	to       string
	work     sync.WaitGroup

	mu      sync.Mutex
	changed *sync.Cond
	state   gateState
	conns   map[net.Conn]bool
}

type gateState int

const (
	gateOpen   gateState = iota
	gateSilent           // nothing passes, and no side hears of it: connections are half-open
	gateShut             // connections are closed, also new ones
)

func newGate(t *testing.T, network, to string) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{t: t, listener: l, network: network, to: to, conns: map[net.Conn]bool{}}
	g.changed = sync.NewCond(&g.mu)
	g.work.Go(g.serve)
	t.Cleanup(func() {
		_ = l.Close() // once
		g.set(gateShut)
		g.work.Wait()
	})
	return g
}

func (g *gate) set(to gateState) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.state = to
	if to == gateShut {
		for c := range g.conns {
			_ = c.Close()
		}
	}
	g.changed.Broadcast()
}

// passes waits while the gate is silent, and reports whether it is open then.
func (g *gate) passes() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.state == gateSilent {
		g.changed.Wait()
	}
	return g.state == gateOpen
}

func (g *gate) serve() {
	for {
		c, err := g.listener.Accept()
		if err != nil {
			return
		}
		g.work.Go(func() { g.connect(c) })
	}
}

// keep has set close a connection. It returns a function that closes it, which may be called before.
func (g *gate) keep(c net.Conn) func() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.conns[c] = true
	return func() {
		_ = c.Close() // it may be already
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.conns, c)
	}
}

func (g *gate) connect(c net.Conn) {
	defer g.keep(c)()
	if !g.passes() {
		return
	}
	there, err := net.Dial(g.network, g.to)
	if err != nil {
		return // the caller is told so
	}
	defer g.keep(there)()
	g.work.Go(func() {
		defer c.Close()
		g.copy(c, there)
	})
	g.copy(there, c)
}

func (g *gate) copy(to io.Writer, from io.Reader) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if !g.passes() {
			return
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// TestPartition cuts one of two servers off from their database, while both have runners and clients. In make test it only tries the gate that does
// so: with servers it takes as long as several leases.
func TestPartition(t *testing.T) {
	t.Run("Gate", tryGate)
	if full {
		t.Run("Silent", func(t *testing.T) { surviveCut(t, gateSilent) })
		t.Run("Closed", func(t *testing.T) { surviveCut(t, gateShut) })
	}
}

func tryGate(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() {
				defer c.Close()
				_, _ = io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c}) // until the other side closes
			})
		}
	})
	g := newGate(t, "tcp", l.Addr().String())
	defer work.Wait()
	defer l.Close()
	defer g.set(gateShut)
	dial := func() net.Conn {
		c, err := net.Dial("tcp", g.listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	hears := func(c net.Conn, wait time.Duration) error {
		if err := c.SetDeadline(time.Now().Add(wait)); err != nil {
			t.Fatal(err)
		}
		_, err := io.ReadFull(c, make([]byte, 1))
		return err
	}
	says := func(c net.Conn) {
		if _, err := c.Write([]byte("x")); err != nil {
			t.Error(err)
		}
	}
	one := dial()
	says(one)
	if err := hears(one, patience); err != nil {
		t.Errorf("an open gate: %v", err)
	}
	g.set(gateSilent)
	two := dial()
	for _, c := range []net.Conn{one, two} {
		says(c)
		var late net.Error
		if err := hears(c, 50*time.Millisecond); !errors.As(err, &late) || !late.Timeout() {
			t.Errorf("a silent gate: %v", err)
		}
	}
	g.set(gateOpen)
	for _, c := range []net.Conn{one, two} {
		if err := hears(c, patience); err != nil {
			t.Errorf("what was said to a silent gate: %v", err)
		}
	}
	g.set(gateShut)
	for _, c := range []net.Conn{one, two} {
		if err := hears(c, patience); !errors.Is(err, io.EOF) {
			t.Errorf("a shut gate: %v", err)
		}
	}
}

// databasePatience is for how long a transaction of a server that has vanished may keep its locks (package sqlstore).
const databasePatience = 30 * time.Second

// surviveCut has a server that its database can't hear. The other one gives the runs of that server's runner to its own within the lease, serves
// everybody, and is joined by the first one when it is heard again.
func surviveCut(t *testing.T, how gateState) {
	const lease = 5 * time.Second
	database := postgrestest.Start(t).Database(t)
	at, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	g := newGate(t, "unix", filepath.Join(at.Query().Get("host"), ".s.PGSQL.5432"))
	far := url.URL{Scheme: "postgres", Host: g.listener.Addr().String(), Path: at.Path, RawQuery: "user=postgres&sslmode=disable"}
	shared := []string{"--archive", t.TempDir(), "--lease", lease.String()}
	near := replica(t, nil, append(shared, "--database", database)...)
	near.begin()
	cut := replica(t, near, append(shared, "--database", far.String())...)
	cut.begin()
	near.write("chatty.yaml", chatty+"retry: {attempts: 5, on_exit: [125]}\n")
	near.write("made.yaml", made+"retry: {attempts: 5, on_exit: [125]}\n")
	near.write("flow.yaml", strings.Replace(killsFlow, "{image: busybox,", "{image: busybox, retry: {attempts: 5, on_exit: [125]},", 1))
	near.must("tool", "push", "chatty.yaml", "made.yaml", "flow.yaml")
	near.remote("one", "default", t.TempDir(), "--label", "one").start()
	cut.remote("two", "default", t.TempDir(), "--label", "two").start()

	here, there := near.client(), cut.client()
	c := newCrowd(t, here)
	c.retries = true
	asking, stop := context.WithCancel(t.Context())
	defer stop()
	var work sync.WaitGroup
	for n, client := range []*api.Client{here, there} {
		work.Go(func() { c.as(client).ask(asking, n) })
	}
	has := func(runner string) bool {
		list, err := here.Runs(t.Context(), "default", api.RunFilter{Runner: runner, Status: []string{"running"}})
		if err != nil {
			t.Fatal(err)
		}
		return len(list.Runs) > 0
	}
	eventually(t, "both runners have runs", func() bool { return has("one") && has("two") })

	g.set(how)
	begin := time.Now()
	eventually(t, "the runner of the server that is cut off has no run", func() bool { return !has("two") })
	took := time.Since(begin)
	t.Logf("its runs were taken over after %s", took)
	bound := lease
	if how == gateSilent {
		bound = databasePatience // what the server has locked stays so
	}
	if took > bound+patience {
		t.Errorf("the runs were taken over after %s; the bound is %s", took, bound)
	}
	near.write("hello.yaml", "name: hello\nimage: busybox\ncommand: [echo, hello]\n")
	cut.write("hello.yaml", "name: hello\nimage: busybox\ncommand: [echo, hello]\n")
	if a := near.run("run", "hello.yaml", "--runner-label", "one", "--priority", "100"); a.status != 0 || a.out != "hello\n" {
		t.Errorf("on the other server meanwhile: %+v", a)
	}
	asks, end := context.WithTimeout(t.Context(), databasePatience+patience)
	_, err = there.Runs(asks, "default", api.RunFilter{})
	end()
	var p *api.Problem
	if !errors.As(err, &p) || p.Status != 503 {
		t.Errorf("the server that is cut off answers %v", err)
	}

	g.set(gateOpen)
	for _, one := range []struct {
		s      *site
		runner string
	}{{cut, "two"}, {near, "two"}, {cut, "one"}} {
		eventually(t, "a run is made at each server on each runner", func() bool {
			a := one.s.run("run", "hello.yaml", "--runner-label", one.runner, "--priority", "100")
			return a.status == 0 && a.out == "hello\n"
		})
	}
	stop()
	work.Wait()
	c.settle(t.Context())
	statuses := map[run.State]int{}
	for _, id := range c.accepted {
		status := c.check(id)
		statuses[status]++
		// What is to end isn't given to another runner.
		if status != run.Succeeded && status != run.Cancelled && (status != run.Lost || !c.tried[id]) {
			r, err := here.Run(t.Context(), "default", id)
			t.Errorf("a run that may be given to another runner has ended as %s: %+v, %v", status, r, err)
		}
	}
	operations, unknown := c.history.Operations()
	t.Logf("%d runs accepted, %d cancels, %d of %d operations without an answer; they ended as %v", len(c.accepted), c.cancels, unknown, operations, statuses)
	if statuses[run.Succeeded] == 0 {
		t.Errorf("no run succeeded: %v", statuses)
	}
	for _, name := range c.history.Check() {
		t.Errorf("no order of operations explains what clients were told of the run named %s", name)
	}
	near.must("audit", "verify")
}
