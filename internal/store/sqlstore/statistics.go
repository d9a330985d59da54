package sqlstore

import (
	"context"
	"strings"
	"time"

	"github.com/mayfly-run/mayfly/internal/store"
)

// Queued implements store.Statistics. It reads the index of what waits, and one run of each pool.
func (s *Store) Queued(ctx context.Context) (all []store.Queued, err error) {
	err = s.read(ctx, func(rows row) error {
		var q store.Queued
		var age int64
		err := rows.Scan(&q.Pool, &q.Runs, &age)
		q.Oldest = time.Duration(max(0, age)) * time.Millisecond
		all = append(all, q)
		return err
	}, `SELECT g.pool, g.number, NOW - r.accepted FROM
		(SELECT pool, COUNT(*) AS number, MIN(run) AS first FROM queue WHERE runner = '' GROUP BY pool) g JOIN runs r ON r.id = g.first ORDER BY g.pool`)
	return all, err
}

// QueuedIn implements store.Statistics. It reads the index of what waits.
func (s *Store) QueuedIn(ctx context.Context, projects []string, most int) (map[string]int, error) {
	all := map[string]int{}
	err := someOf(projects, func(args []any) error {
		return s.read(ctx, func(rows row) error {
			var project string
			var n int
			err := rows.Scan(&project, &n)
			all[project] = n
			return err
		}, `WITH v(project) AS (VALUES `+strings.Repeat(", (?)", some)[2:]+`)
			SELECT p.project, (SELECT COUNT(*) FROM (SELECT 1 FROM queue q WHERE q.runner = '' AND q.last >= 0 AND q.project = p.project LIMIT ?) AS waiting)
			FROM (SELECT DISTINCT project FROM v) p`, append(args, most)...)
	})
	return all, err
}

// Observe implements store.Statistics.
func (s *Store) Observe(f func(store.Written), detailed bool) {
	s.writer.detailed.Store(detailed)
	s.writer.observe.Store(&f)
}

// observed tells of a transaction.
func (w *writer) observed(t *tx, writes int, began time.Time, err error) {
	f := w.observe.Load()
	if f == nil {
		return
	}
	one := store.Written{Writes: writes, Took: time.Since(began), Failed: err != nil}
	if err == nil && t != nil {
		one.Ended = t.ended
	}
	(*f)(one)
}
