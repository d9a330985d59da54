package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/mayfly-run/mayfly/internal/store"
)

// AddRunner implements store.Runners.
func (s *Store) AddRunner(ctx context.Context, r store.Runner) (drain bool, err error) {
	return s.putRunner(ctx, r, `INSERT INTO runners (version, labels, slots, capacity, kept, holder, pool, name, drain, seen) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, NOW)
		ON CONFLICT (holder) DO UPDATE SET version = excluded.version, labels = excluded.labels, slots = excluded.slots, capacity = excluded.capacity, kept = excluded.kept, seen = excluded.seen
		RETURNING drain`, r.Pool, r.Name)
}

// SawRunner implements store.Runners.
func (s *Store) SawRunner(ctx context.Context, r store.Runner) (drain bool, err error) {
	return s.putRunner(ctx, r, `UPDATE runners SET version = ?, labels = ?, slots = ?, capacity = ?, kept = ?, seen = NOW WHERE holder = ? RETURNING drain`)
}

// putRunner writes a runner's row. The first parameters of a statement are the same.
func (s *Store) putRunner(ctx context.Context, r store.Runner, statement string, more ...any) (drain bool, err error) {
	labels, err := json.Marshal(r.Labels)
	if err != nil {
		return false, err
	}
	capacity, err := json.Marshal(r.Capacity)
	if err != nil {
		return false, err
	}
	kept := []byte{}
	if len(r.Kept) > 0 {
		if kept, err = json.Marshal(r.Kept); err != nil {
			return false, err
		}
	}
	err = s.write(ctx, func(ctx context.Context, tx *tx) error {
		drain = false
		return tx.rows(ctx, func(rows row) error {
			var at int64
			err := rows.Scan(&at)
			drain = at > 0
			return err
		}, statement, append([]any{r.Version, string(labels), r.Slots, string(capacity), string(kept), r.Holder}, more...)...)
	})
	return drain, err
}

// Runners implements store.Runners.
func (s *Store) Runners(ctx context.Context, within time.Duration) ([]store.Runner, error) {
	all := []store.Runner{}
	err := s.read(ctx, func(rows row) error {
		var r store.Runner
		var labels, capacity, kept string
		var drain, silent int64
		if err := rows.Scan(&r.Holder, &r.Pool, &r.Name, &r.Version, &labels, &r.Slots, &capacity, &kept, &drain, &silent, &r.Busy); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(labels), &r.Labels); err != nil {
			return fmt.Errorf("read the labels of runner %s: %w", r.Name, err)
		}
		if r.Capacity = store.Unbounded(); capacity != "" {
			if err := json.Unmarshal([]byte(capacity), &r.Capacity); err != nil {
				return fmt.Errorf("read the capacity of runner %s: %w", r.Name, err)
			}
		}
		if kept != "" {
			if err := json.Unmarshal([]byte(kept), &r.Kept); err != nil {
				return fmt.Errorf("read what runner %s keeps: %w", r.Name, err)
			}
		}
		r.Drain, r.Silent = drain > 0, time.Duration(silent)*time.Millisecond
		all = append(all, r)
		return nil
	}, `SELECT holder, pool, name, version, labels, slots, capacity, kept, drain, NOW - seen, (SELECT COUNT(*) FROM queue q WHERE q.runner = r.holder AND q.runner <> '')
		FROM runners r WHERE seen > NOW - ? ORDER BY pool, name, seen`, within.Milliseconds())
	return all, err
}

// DrainRunner implements store.Runners.
func (s *Store) DrainRunner(ctx context.Context, name string) (holders []string, err error) {
	err = s.write(ctx, func(ctx context.Context, tx *tx) error {
		holders = nil
		err := tx.rows(ctx, func(rows row) error {
			var h string
			err := rows.Scan(&h)
			holders = append(holders, h)
			return err
		}, `UPDATE runners SET drain = NOW WHERE name = ? RETURNING holder`, name)
		if err == nil && len(holders) == 0 {
			err = refused{store.ErrNotFound}
		}
		return err
	})
	return holders, err
}

// RemoveRunner implements store.Runners.
func (s *Store) RemoveRunner(ctx context.Context, holder string) error {
	return s.write(ctx, func(ctx context.Context, tx *tx) error {
		_, err := tx.exec(ctx, `DELETE FROM runners WHERE holder = ? AND drain > 0`, holder)
		return err
	})
}

// ForgetRunners implements store.Runners.
func (s *Store) ForgetRunners(ctx context.Context, within time.Duration) error {
	return s.write(ctx, func(ctx context.Context, tx *tx) error {
		_, err := tx.exec(ctx, `DELETE FROM runners WHERE seen < NOW - ?`, within.Milliseconds())
		return err
	})
}
