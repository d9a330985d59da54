// Command load puts the load of a server on an SQLite database and prints its measurements as JSON. It is built with the tag of a
// driver: modernc or ncruces.
//
//	load -file FILE -schema FILE         makes the database
//	load -file FILE -clients N -runs N   measures
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Measured is what one load has shown.
type Measured struct {
	OpenMillis      float64 `json:"open_ms"` // of a database that exists, to the first answer
	RunsPerSecond   float64 `json:"runs_per_second"`
	CPUSeconds      float64 `json:"cpu_s"`
	AcceptP50Millis float64 `json:"accept_p50_ms"`
	AcceptP99Millis float64 `json:"accept_p99_ms"`
	ListP50Millis   float64 `json:"list_p50_ms"` // of 50 runs, while others are written
	PeakMiB         float64 `json:"peak_mib"`    // the largest resident set
}

func main() {
	file := flag.String("file", "", "the database's `file`")
	schema := flag.String("schema", "", "make the database by the statements of this `file`, and do nothing else")
	clients := flag.Int("clients", 128, "how many clients write at once")
	runs := flag.Int("runs", 20_000, "how many runs are accepted and ended")
	flag.Parse()
	if err := load(context.Background(), *file, *schema, *clients, *runs); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func load(ctx context.Context, file, schema string, clients, runs int) error {
	begin := time.Now()
	// As package sqlstore opens it.
	dsn := "file:" + (&url.URL{Path: file}).EscapedPath() +
		"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)"
	reading, err := sql.Open(driver, dsn)
	if err != nil {
		return err
	}
	defer reading.Close()
	reading.SetMaxOpenConns(8)
	reading.SetMaxIdleConns(8)
	if schema != "" {
		statements, err := os.ReadFile(schema)
		if err != nil {
			return err
		}
		_, err = reading.ExecContext(ctx, string(statements))
		return err
	}
	writing, err := sql.Open(driver, dsn)
	if err != nil {
		return err
	}
	defer writing.Close()
	w, err := newWriter(ctx, writing)
	if err != nil {
		return err
	}
	var m Measured
	var n int
	if err := reading.QueryRowContext(ctx, "SELECT count(*) FROM tokens").Scan(&n); err != nil {
		return err
	}
	m.OpenMillis = millis(time.Since(begin))

	var before, after syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &before); err != nil {
		return err
	}
	begin = time.Now()
	stop, listed := make(chan struct{}), make(chan error, 1)
	var lists []time.Duration
	go func() {
		var err error
		lists, err = listUntil(ctx, reading, stop)
		listed <- err
	}()
	accepts, err := writeRuns(w, clients, runs)
	m.RunsPerSecond = float64(runs) / time.Since(begin).Seconds()
	close(stop)
	if err := errors.Join(err, <-listed, w.close(), syscall.Getrusage(syscall.RUSAGE_SELF, &after)); err != nil {
		return err
	}
	m.CPUSeconds = (cpu(after) - cpu(before)).Seconds()
	m.PeakMiB = float64(after.Maxrss) / 1024
	m.AcceptP50Millis, m.AcceptP99Millis = millis(quantile(accepts, 0.5)), millis(quantile(accepts, 0.99))
	m.ListP50Millis = millis(quantile(lists, 0.5))
	return json.NewEncoder(os.Stdout).Encode(m)
}

func cpu(u syscall.Rusage) time.Duration { return time.Duration(u.Utime.Nano() + u.Stime.Nano()) }

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func quantile(all []time.Duration, q float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[int(q*float64(len(all)-1))]
}

// writeRuns has clients accept and end runs, each one after the other. It returns how long each accept took.
func writeRuns(w *writer, clients, runs int) ([]time.Duration, error) {
	var (
		next    atomic.Int64
		mu      sync.Mutex
		accepts []time.Duration
		failed  error
		all     sync.WaitGroup
	)
	for range clients {
		all.Go(func() {
			var mine []time.Duration
			var err error
			for err == nil {
				n := int(next.Add(1))
				if n > runs {
					break
				}
				id := fmt.Sprintf("019abc12-3456-7890-abcd-%012d", n)
				begin := time.Now()
				if err = w.write(accept(id)); err == nil {
					mine = append(mine, time.Since(begin))
					err = w.write(end(id))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			accepts, failed = append(accepts, mine...), errors.Join(failed, err)
		})
	}
	all.Wait()
	return accepts, failed
}

// listUntil lists 50 runs again and again, as a page does that is open.
func listUntil(ctx context.Context, db *sql.DB, stop <-chan struct{}) (all []time.Duration, err error) {
	statement, err := db.PrepareContext(ctx, `SELECT r.id, COALESCE(q.state, r.status), r.tool, r.accepted, r.finished
		FROM runs r LEFT JOIN queue q ON q.run = r.id WHERE r.project = ? ORDER BY r.id DESC LIMIT 50`)
	if err != nil {
		return nil, err
	}
	defer statement.Close()
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for {
		select {
		case <-stop:
			return all, nil
		case <-pause.C:
		}
		begin := time.Now()
		if err := list(ctx, statement); err != nil {
			return all, err
		}
		all = append(all, time.Since(begin))
	}
}

func list(ctx context.Context, statement *sql.Stmt) error {
	rows, err := statement.QueryContext(ctx, "default")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id, status, tool string
		var accepted, finished int64
		if err := rows.Scan(&id, &status, &tool, &accepted, &finished); err != nil {
			return err
		}
	}
	return rows.Err()
}
