// Command server measures the budgets of the server (docs/BENCHMARKS.md): with an engine that does nothing, so that only the
// server's own work is measured, and through the API over TLS on loopback, as clients and runners use it.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/archive"
	"github.com/mayfly-run/mayfly/internal/content"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/runner"
	"github.com/mayfly-run/mayfly/internal/secret"
	"github.com/mayfly-run/mayfly/internal/server"
	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/store/sqlstore"
)

func main() {
	runs := flag.Int("runs", 20_000, "how many runs the throughput is measured with")
	clients := flag.Int("clients", 64, "how many clients ask for runs at once")
	lines := flag.Int("lines", 1_000_000, "how many lines the log has whose windows are read")
	megabytes := flag.Int("megabytes", 2000, "how much 50 runs print together")
	stored := flag.Int("stored", 1_000_000, "how many runs are in the store whose lists are read")
	only := flag.String("only", "", "measure only `PART`: runs, sandboxes, connections, logs or history")
	rounds := flag.Int("rounds", 40, "how many runs with real sandboxes are compared")
	runners := flag.Int("runners", 1000, "how many runners are connected at once")
	readers := flag.Int("readers", 10_000, "how many readers follow logs at once")
	profile := flag.String("cpuprofile", "", "`FILE` for a profile of the processor")
	flag.Parse()
	if *only != "" && !slices.Contains([]string{"runs", "sandboxes", "connections", "logs", "history"}, *only) {
		wrong("-only must be runs, sandboxes, connections, logs or history")
	}
	if *lines <= window {
		wrong(fmt.Sprintf("-lines must exceed %d", window))
	}
	if *profile != "" {
		f, err := os.Create(*profile)
		if err == nil {
			err = pprof.StartCPUProfile(f)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench/server:", err)
			os.Exit(1)
		}
		defer pprof.StopCPUProfile()
	}
	ctx := context.Background()
	for _, part := range []struct {
		name    string
		measure func() error
	}{
		{"runs", func() error {
			return errors.Join(measure(ctx, *runs, *clients, true), measure(ctx, *runs, *clients, false))
		}},
		{"sandboxes", func() error { return measureSandboxes(ctx, *rounds) }},
		{"connections", func() error { return measureConnections(ctx, *runners, *readers) }},
		{"logs", func() error { return measureLogs(ctx, *lines, *megabytes) }},
		{"history", func() error { return history(ctx, *stored) }},
	} {
		if *only != "" && *only != part.name {
			continue
		}
		if err := part.measure(); err != nil {
			fmt.Fprintln(os.Stderr, "bench/server:", err)
			pprof.StopCPUProfile()
			os.Exit(1) //nolint:gocritic // the profile is stopped
		}
	}
}

// wrong ends the program because of a flag.
func wrong(text string) {
	fmt.Fprintln(os.Stderr, "bench/server:", text)
	os.Exit(2)
}

// nothing is an engine that succeeds at once. It tells when it has got a run.
type nothing struct{ got func(id string) }

func (n *nothing) Run(_ context.Context, req *run.Request, watch run.Watch) (*run.Result, error) {
	n.got(req.ID)
	now := time.Now().UTC()
	result := &run.Result{Status: run.Succeeded, Outputs: map[string]string{}, Image: "none", Timeline: run.Timeline{Queued: now, Finished: now}}
	events := run.NewSequence(req.ID, watch.Emit)
	for _, s := range []run.State{run.Queued, run.Creating, run.Running} {
		events.Emit(run.Event{State: &run.StateChange{State: s}})
	}
	events.Emit(run.Event{Log: &run.Log{Stream: "stdout", Data: "hello\n"}})
	events.Emit(run.Event{State: &run.StateChange{State: run.Succeeded}})
	events.Emit(run.Event{Result: result})
	return result, nil
}

// site is a server with a runner over HTTPS, and a client.
type site struct {
	client *api.Client
	db     *sqlstore.Store
	dir    string
	as     func(ctx context.Context, role, pool string) (*api.Client, error)
	close  func() error
}

// archiveAfter is longer than the windows of a log in the database are measured.
const archiveAfter = 15 * time.Second

// open starts a server and its runner, which has the given number of slots.
func open(ctx context.Context, slots int, engine run.Runner, archiveAfter time.Duration, embedded bool) (_ *site, err error) {
	dir, err := os.MkdirTemp("/var/tmp", "mayfly-bench-server-")
	if err != nil {
		return nil, err
	}
	db, err := sqlstore.OpenSQLite(ctx, filepath.Join(dir, "mayfly.db"))
	if err != nil {
		return nil, err
	}
	keys, err := secret.OpenKeys(filepath.Join(dir, "keys"))
	if err != nil {
		return nil, err
	}
	s := server.New(server.Options{Store: db, Archive: archive.Dir(dir), Keys: keys, Keep: server.Keep{ArchiveAfter: archiveAfter, Every: time.Second}})
	if err := s.Start(ctx); err != nil {
		return nil, err
	}
	front := httptest.NewUnstartedServer(s.Handler())
	front.EnableHTTP2 = true
	front.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	front.StartTLS()
	connect := func(ctx context.Context, role, pool string) (*api.Client, error) {
		text, hash := server.NewToken()
		if err := db.AddToken(ctx, store.Token{Hash: hash, Name: role + pool, Role: role, Pool: pool}); err != nil {
			return nil, err
		}
		return api.NewClient(api.ClientOptions{Server: front.URL, Token: text, Fingerprint: api.Fingerprint(front.Certificate().Raw)})
	}
	client, err := connect(ctx, server.RoleAdmin, "")
	if err != nil {
		return nil, err
	}
	there, err := connect(ctx, server.RoleRunner, "default")
	if err != nil {
		return nil, err
	}
	var link runner.Server = there.Runner("bench", "bench00000000000000000000")
	if embedded {
		link = s.Link("default", "bench", "bench00000000000000000000")
	}
	r, err := runner.New(runner.Options{
		Server: link, Name: "bench", Slots: slots, Content: content.Store(filepath.Join(dir, "trees")),
		Spool: filepath.Join(dir, "spool"), SpoolSize: runner.DefaultSpoolSize,
		Carry: func(runner.Carriage) run.Runner { return engine },
	})
	if err != nil {
		return nil, err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- r.Run(running) }()
	return &site{client, db, dir, connect, func() error {
		stop()
		err := <-ended
		s.Close()
		client.Close()
		there.Close()
		front.Close()
		return errors.Join(err, db.Close(), os.RemoveAll(dir))
	}}, nil
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

func measure(ctx context.Context, runs, clients int, embedded bool) error {
	got := make(map[string]time.Time, runs)
	var mu sync.Mutex
	engine := &nothing{got: func(id string) {
		now := time.Now()
		mu.Lock()
		got[id] = now
		mu.Unlock()
	}}
	s, err := open(ctx, 4*clients, engine, time.Hour, embedded)
	if err != nil {
		return err
	}
	defer func() {
		if err := s.close(); err != nil {
			fmt.Fprintln(os.Stderr, "bench/server: close:", err)
		}
	}()
	if err := s.push(ctx); err != nil {
		return err
	}
	took, err := s.throughput(ctx, runs, clients)
	if err != nil {
		return err
	}
	where := "the runner over TLS too"
	if embedded {
		where = "the runner in the server"
	}
	fmt.Printf("| runs accepted and finished, no engine, SQLite with full sync | %.0f/s | %d runs, %d clients over TLS, %s | >= 2000/s |\n", float64(runs)/took.Seconds(), runs, clients, where)
	begun := make(map[string]time.Time)
	if err := s.paced(ctx, 1000, 100, begun); err != nil {
		return err
	}
	var waits []time.Duration
	mu.Lock()
	for id, at := range begun {
		waits = append(waits, got[id].Sub(at))
	}
	mu.Unlock()
	slices.Sort(waits)
	fmt.Printf("| asked for -> the runner has it, at 100/s | p50 %s, p99 %s | 1000 runs, "+where+" | p50 <= 3ms, p99 <= 10ms |\n",
		waits[len(waits)/2].Round(10*time.Microsecond), waits[len(waits)*99/100].Round(10*time.Microsecond))
	return nil
}

// throughput returns how long it takes until so many runs have ended.
func (s *site) throughput(ctx context.Context, runs, clients int) (time.Duration, error) {
	begin := time.Now()
	var next atomic.Int64
	errs := make(chan error, clients)
	for range clients {
		go func() {
			for next.Add(1) <= int64(runs) {
				if _, err := s.client.CreateRun(ctx, "default", &api.NewRun{Tool: "nothing"}); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range clients {
		if err := <-errs; err != nil {
			return 0, err
		}
	}
	for {
		waiting, err := s.db.Runs(ctx, store.Filter{Project: "default", Status: []run.State{run.Queued, run.Creating, run.Running}, Most: 1})
		if err != nil || len(waiting) == 0 {
			return time.Since(begin), err
		}
		time.Sleep(time.Millisecond)
	}
}

// paced asks for runs at an even pace, and says when it asked for each.
func (s *site) paced(ctx context.Context, runs, perSecond int, begun map[string]time.Time) error {
	var mu sync.Mutex
	var all sync.WaitGroup
	var failed error
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	for range runs {
		<-tick.C
		all.Go(func() {
			at := time.Now()
			r, err := s.client.CreateRun(ctx, "default", &api.NewRun{Tool: "nothing"})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
				return
			}
			begun[r.ID] = at
		})
	}
	all.Wait()
	time.Sleep(time.Second) // the last ones arrive
	return failed
}
