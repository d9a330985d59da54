// Command server measures the budgets of the server (docs/BENCHMARKS.md): with an engine that does nothing, so that only the
// server's own work is measured, and through the API over TLS on loopback, as clients and runners use it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime/pprof"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
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
		{"runs", func() error { return measureRuns(ctx, *runs, *clients) }},
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

// kinds are the servers whose throughput is measured.
var kinds = []struct {
	kind
	what, where string
	least       int // runs a second
}{
	{kind{embedded: true}, "SQLite with full sync", "the runner in the server", 2000},
	{kind{}, "SQLite with full sync", "the runner over TLS too", 2000},
	{kind{embedded: true, replicas: 2}, "PostgreSQL, two replicas", "a runner in each", 1000},
}

func measureRuns(ctx context.Context, runs, clients int) error {
	for _, k := range kinds {
		if err := measure(ctx, runs, clients, k.kind, k.what, k.where, k.least); err != nil {
			return fmt.Errorf("%s, %s: %w", k.what, k.where, err)
		}
	}
	return nil
}

func measure(ctx context.Context, runs, clients int, k kind, what, where string, least int) error {
	got := make(map[string]time.Time, runs)
	var mu sync.Mutex
	engine := &nothing{got: func(id string) {
		now := time.Now()
		mu.Lock()
		got[id] = now
		mu.Unlock()
	}}
	k.slots, k.engine, k.archiveAfter = 4*clients, engine, time.Hour
	s, err := open(ctx, k)
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
	fmt.Printf("| runs accepted and finished, no engine, %s | %.0f/s | %d runs, %d clients over TLS, %s | >= %d/s |\n", what, float64(runs)/took.Seconds(), runs, clients, where, least)
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
	fmt.Printf("| asked for -> the runner has it, at 100/s, %s | p50 %s, p99 %s | 1000 runs, %s | p50 <= 3ms, p99 <= 10ms |\n",
		what, waits[len(waits)/2].Round(10*time.Microsecond), waits[len(waits)*99/100].Round(10*time.Microsecond), where)
	return nil
}

// throughput returns how long it takes until so many runs have ended.
func (s *site) throughput(ctx context.Context, runs, clients int) (time.Duration, error) {
	begin := time.Now()
	var next atomic.Int64
	errs := make(chan error, clients)
	for i := range clients {
		client := s.clients[i%len(s.clients)]
		go func() {
			for next.Add(1) <= int64(runs) {
				if _, err := client.CreateRun(ctx, "default", &api.NewRun{Tool: "nothing"}); err != nil {
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
		waiting, _, err := s.db.Runs(ctx, store.Filter{Project: "default", Status: []run.State{run.Queued, run.Creating, run.Running}, Most: 1})
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
	for i := range runs {
		client := s.clients[i%len(s.clients)]
		<-tick.C
		all.Go(func() {
			at := time.Now()
			r, err := client.CreateRun(ctx, "default", &api.NewRun{Tool: "nothing"})
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
