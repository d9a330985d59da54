package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/server"
)

// reporter is a runner that only reports, so that the server's part of logs is measured.
type reporter struct {
	link  *api.RunnerClient
	holds chan api.Holding
	end   func() error
}

// someKey is the key of a runner that opens nothing.
const someKey = "age1uq65j4vuh495lz0quqyyq7m2dk0tf65hgdf5mzjeh7mmm85a6fes43lj0p"

// connect connects a runner of a pool of its own.
func (s *site) connect(ctx context.Context, pool string, slots int) (*reporter, error) {
	client, err := s.as(ctx, server.RoleRunner, pool)
	if err != nil {
		return nil, err
	}
	r := &reporter{link: client.Runner(pool, rand.Text()), holds: make(chan api.Holding, slots)}
	ctx, stop := context.WithCancel(ctx)
	ended, ready := make(chan error, 1), make(chan struct{})
	hello := &api.Hello{Protocol: api.Protocol, Name: pool, Slots: slots, Key: someKey}
	go func() {
		ended <- r.link.Messages(ctx, hello, func(m api.Message) error {
			if m.Session != nil {
				go r.beat(ctx, hello, time.Duration(m.Session.HeartbeatSeconds)*time.Second)
				close(ready)
			}
			if m.Assign != nil {
				r.holds <- m.Assign.Holding
			}
			return nil
		})
	}()
	r.end = func() error {
		stop()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
		client.Close()
		return nil
	}
	select {
	case <-ready:
		return r, nil
	case err := <-ended:
		return nil, err
	}
}

// beat keeps the runner alive between its reports, which say what it holds.
func (r *reporter) beat(ctx context.Context, h *api.Hello, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if _, err := r.link.Heartbeat(ctx, &api.Heartbeat{Hello: *h}); err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, "bench/server: heartbeat:", err)
		}
	}
}

const lineBytes = 100

// text is some lines of a log, as a tool with times and numbers prints them.
func text(from, lines int) string {
	var b strings.Builder
	for i := range lines {
		line := fmt.Sprintf("2026-11-30T01:09:20.%06dZ INFO request %d took %d us: GET /api/v1/things/%d", from+i, from+i, mrand.IntN(1_000_000), mrand.IntN(1_000_000))
		b.WriteString(line)
		b.WriteString(strings.Repeat(" ", max(0, lineBytes-1-len(line))))
		b.WriteByte('\n')
	}
	return b.String()
}

// print reports so many lines of a run, in events of eventLines and reports of about half a megabyte, and ends it.
func (r *reporter) print(ctx context.Context, h api.Holding, lines int, texts []string) error {
	const eventLines = 40 // 4 KiB, as a pipe gives
	const reportEvents = 128
	first, printed := int64(1), 0
	for printed < lines {
		report := &api.Report{Holding: h, First: first}
		for len(report.Events) < reportEvents && printed < lines {
			report.Events = append(report.Events, run.Event{Time: time.Now().UTC(), Log: &run.Log{Stream: "stdout", Data: texts[printed/eventLines%len(texts)]}})
			printed += eventLines
		}
		if printed >= lines {
			report.Result = &run.Result{Status: run.Succeeded, Outputs: map[string]string{}}
			report.Events = append(report.Events, run.Event{Result: report.Result})
		}
		if _, err := r.link.Report(ctx, report); err != nil {
			return err
		}
		first += int64(len(report.Events))
	}
	return nil
}

// texts are different pieces of eventLines lines.
func texts() []string {
	all := make([]string, 1000)
	for i := range all {
		all[i] = text(40*i, 40)
	}
	return all
}

// measureLogs measures logs on a server of their own.
func measureLogs(ctx context.Context, lines, megabytes int) error {
	s, err := open(ctx, kind{slots: 1, engine: &nothing{got: func(string) {}}, archiveAfter: archiveAfter})
	if err != nil {
		return err
	}
	err = s.push(ctx)
	if err == nil {
		err = s.logs(ctx, lines, megabytes)
	}
	return errors.Join(err, s.close())
}

// logs measures windows of a long log, in the database and in the archive, and the ingest of many logs.
func (s *site) logs(ctx context.Context, lines, megabytes int) error {
	const runs = 50
	r, err := s.connect(ctx, "logs", runs)
	if err != nil {
		return err
	}
	ask := func() (api.Holding, error) {
		if _, err := s.client.CreateRun(ctx, "default", &api.NewRun{Tool: "nothing", Pool: "logs"}); err != nil {
			return api.Holding{}, err
		}
		return <-r.holds, nil
	}
	pieces := texts()
	h, err := ask()
	if err != nil {
		return err
	}
	if err := r.print(ctx, h, lines, pieces); err != nil {
		return err
	}
	if err := s.windows(ctx, h.Run, lines, "database"); err != nil {
		return err
	}
	begin := time.Now()
	for {
		chunks, err := s.db.Chunks(ctx, h.Run, 0, 1)
		if err != nil {
			return err
		}
		if chunks[0].Object != "" {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	moved := time.Since(begin)
	if err := s.windows(ctx, h.Run, lines, fmt.Sprintf("archive, a folder, where it came after %s", moved.Round(100*time.Millisecond))); err != nil {
		return err
	}
	if err := s.ingest(ctx, r, ask, runs, megabytes, pieces); err != nil {
		return err
	}
	return r.end()
}

// window is how many lines are read at once.
const window = 500

// windows reads windows anywhere in a log.
func (s *site) windows(ctx context.Context, id string, lines int, where string) error {
	took := make([]time.Duration, 500)
	for i := range took {
		at := int64(mrand.IntN(lines-window)) + 1
		begin := time.Now()
		page, err := s.client.Log(ctx, "default", id, api.LogQuery{Line: at, Lines: window})
		took[i] = time.Since(begin)
		if err != nil {
			return err
		}
		if len(page.Lines) != window || page.Lines[0].Line != at {
			return fmt.Errorf("the window at line %d has %d lines", at, len(page.Lines))
		}
	}
	fmt.Printf("| a log of %d lines: any window of 500 | %s | in the %s | p99 <= 50ms |\n", lines, percentiles(took), where)
	return nil
}

func percentiles(took []time.Duration) string {
	slices.Sort(took)
	return fmt.Sprintf("p50 %s, p99 %s", took[len(took)/2].Round(10*time.Microsecond), took[len(took)*99/100].Round(10*time.Microsecond))
}

// ingest has many runs print at once.
func (s *site) ingest(ctx context.Context, r *reporter, ask func() (api.Holding, error), runs, megabytes int, pieces []string) error {
	var holds []api.Holding
	for range runs {
		h, err := ask()
		if err != nil {
			return err
		}
		holds = append(holds, h)
	}
	runtime.GC()
	peak, stop := memory()
	var all sync.WaitGroup
	errs := make(chan error, runs)
	begin := time.Now()
	for _, h := range holds {
		all.Go(func() { errs <- r.print(ctx, h, megabytes*1_000_000/lineBytes/runs, pieces) })
	}
	all.Wait()
	took := time.Since(begin)
	stop()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	fmt.Printf("| ingest of logs from %d runs at once | %.0f MB/s raw, heap at most %s | %d MB, TLS, reports of 0.5 MB, client in the same process | >= 100 MB/s, flat memory |\n",
		runs, float64(megabytes)/took.Seconds(), peak(), megabytes)
	return nil
}

// memory looks at the heap until stop is called. peak says how much was in use at most, in each half.
func memory() (peak func() string, stop func()) {
	var samples []uint64
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-time.After(50 * time.Millisecond):
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				samples = append(samples, m.HeapInuse)
			}
		}
	}()
	return func() string {
			if len(samples) < 2 {
				return "unknown"
			}
			half := len(samples) / 2
			return fmt.Sprintf("%d MiB in the first half and %d MiB in the second", slices.Max(samples[:half])>>20, slices.Max(samples[half:])>>20)
		}, func() {
			close(done)
			<-ended
		}
}

// history measures lists of many runs.
func history(ctx context.Context, runs int) error {
	s, err := open(ctx, kind{slots: 1, engine: &nothing{got: func(string) {}}, archiveAfter: time.Hour})
	if err != nil {
		return err
	}
	err = s.fill(ctx, runs)
	if err == nil {
		err = s.lists(ctx, runs)
	}
	return errors.Join(err, s.close())
}

// fill puts runs into the store as they are after their end.
func (s *site) fill(ctx context.Context, runs int) error {
	db, err := sql.Open("sqlite", filepath.Join(s.dir, "mayfly.db")+"?_pragma=busy_timeout(60000)&_pragma=synchronous(OFF)")
	if err != nil {
		return err
	}
	const id = `printf('%08x-%04x-7%03x-8000-%012x', i / 65536, i % 65536, i % 4096, i)`
	for _, q := range []string{
		`INSERT INTO runs (id, project, tool, version, kind, status, exit_code, code, reason, pool, runner, attempt, priority, labels, needs, accepted, accepted_by, started, finished, events, bytes, lines, kept, stored)
			SELECT ` + id + `, 'default', 'tool-' || (i % 50), 1, 'tool', CASE WHEN i % 20 = 0 THEN 'failed' ELSE 'succeeded' END, 0, '', '', 'default', 'default/r@x', 1, 0, 'null', 'null',
			1700000000000 + i * 1000, 'ada', 1700000000000 + i * 1000, 1700000001000 + i * 1000, 6, 900, 1, 1, 300 FROM n`,
		`INSERT INTO requests SELECT ` + id + `, CAST('{"tool":{"name":"x"}}' AS BLOB) FROM n`,
		`INSERT INTO results SELECT ` + id + `, CAST('{}' AS BLOB) FROM n`,
	} {
		begin, rest, _ := strings.Cut(q, "SELECT ")
		q = begin + fmt.Sprintf("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT ", runs) + rest
		if _, err := db.ExecContext(ctx, q); err != nil {
			return errors.Join(err, db.Close())
		}
	}
	// What would have been counted with the ends of the latest 100 hours and days, by its columns.
	var columns, values []string
	rows, err := db.QueryContext(ctx, `SELECT name FROM pragma_table_info('ended')`)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return errors.Join(err, rows.Close(), db.Close())
		}
		value, known := map[string]string{
			"project": "'default'", "span": "s.column1", "tool": "CASE WHEN i % 51 = 50 THEN '*' ELSE 'tool-' || (i % 51) END",
			"start": "(unixepoch() * 1000 / s.column1 - i / 51) * s.column1", "shard": "0",
		}[name]
		if !known {
			value = "i % 97"
		}
		columns, values = append(columns, name), append(values, value)
	}
	_, err = db.ExecContext(ctx, `INSERT INTO ended (`+strings.Join(columns, ", ")+`) WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 5099)
		SELECT `+strings.Join(values, ", ")+` FROM n CROSS JOIN (VALUES (3600000), (86400000)) s`)
	return errors.Join(err, rows.Err(), rows.Close(), db.Close())
}

// statistics asks for statistics since a while ago, and checks that they have something.
func (s *site) statistics(ctx context.Context, tool, step string, ago time.Duration) func() error {
	return func() error {
		got, err := s.client.Statistics(ctx, "default", tool, step, time.Now().Add(-ago))
		if err == nil && (got.Total.Runs == 0 || len(got.Tools) == 0) {
			err = errors.New("the statistics are empty")
		}
		return err
	}
}

func (s *site) lists(ctx context.Context, runs int) error {
	id := func() string {
		i := mrand.IntN(runs) + 1
		return fmt.Sprintf("%08x-%04x-7%03x-8000-%012x", i/65536, i%65536, i%4096, i)
	}
	var seen atomic.Int64
	list := func(f api.RunFilter) func() error {
		return func() error {
			page, err := s.client.Runs(ctx, "default", f)
			if err == nil {
				seen.Add(int64(len(page.Runs)))
			}
			return err
		}
	}
	for _, one := range []struct {
		name string
		do   func() error
	}{
		{"list", list(api.RunFilter{})},
		{"list from anywhere", func() error { return list(api.RunFilter{Cursor: id()})() }},
		{"of a tool", func() error { return list(api.RunFilter{Tool: fmt.Sprint("tool-", mrand.IntN(50)), Cursor: id()})() }},
		{"failed ones", func() error { return list(api.RunFilter{Status: []string{string(run.Failed)}, Cursor: id()})() }},
		{"failed ones of a tool", func() error {
			return list(api.RunFilter{Tool: fmt.Sprint("tool-", 10*mrand.IntN(5)), Status: []string{string(run.Failed)}, Cursor: id()})()
		}},
		{"of two states", func() error {
			return list(api.RunFilter{Status: []string{string(run.Failed), string(run.Lost)}, Cursor: id()})()
		}},
		{"with a text that none has", func() error { return list(api.RunFilter{Text: "no such text", Cursor: id()})() }},
		{"with a label, and by someone", func() error {
			return list(api.RunFilter{Labels: map[string]string{"team": "web"}, By: "bob", Cursor: id()})()
		}},
		{"of a runner, all", func() error { return list(api.RunFilter{Runner: "r", Cursor: id()})() }},
		{"of a state that none has", list(api.RunFilter{Status: []string{string(run.Lost)}})},
		{"statistics of 24 hours", s.statistics(ctx, "", "hour", 23*time.Hour)},
		{"statistics of 30 days", s.statistics(ctx, "", "day", 29*24*time.Hour)},
		{"statistics of 100 days", s.statistics(ctx, "", "day", 99*24*time.Hour)},
		{"statistics of a tool", s.statistics(ctx, "tool-7", "day", 99*24*time.Hour)},
		{"open", func() error { _, err := s.client.Run(ctx, "default", id()); return err }},
	} {
		took := make([]time.Duration, 300)
		for i := range took {
			begin := time.Now()
			if err := one.do(); err != nil {
				return fmt.Errorf("%s: %w", one.name, err)
			}
			took[i] = time.Since(begin)
		}
		fmt.Printf("| %d runs in the store: %s | %s | SQLite | p99 <= 100ms |\n", runs, one.name, percentiles(took))
	}
	if seen.Load() == 0 {
		return errors.New("the lists are empty")
	}
	return nil
}
