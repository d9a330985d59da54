package sqlstore

import (
	"context"

	"github.com/mayfly-run/mayfly/internal/store"
)

const policyColumns = `project, version, text, set_at, set_by`

func scanPolicy(rows row) (store.Policy, error) {
	var p store.Policy
	var set int64
	err := rows.Scan(&p.Project, &p.Version, &p.Text, &set, &p.SetBy)
	p.Set = timeOf(set)
	return p, err
}

const latestPolicy = `SELECT ` + policyColumns + ` FROM policies WHERE project = ? ORDER BY version DESC LIMIT 1`

// SetPolicy implements store.Policies.
func (s *Store) SetPolicy(ctx context.Context, n store.Policy, is int) (store.Policy, error) {
	var made store.Policy
	err := s.write(ctx, func(ctx context.Context, tx *tx) error {
		var old store.Policy
		made = store.Policy{}
		err := tx.rows(ctx, func(rows row) (err error) {
			old, err = scanPolicy(rows)
			return err
		}, latestPolicy, n.Project)
		if err != nil {
			return err
		}
		there := old.Version
		if old.Text == "" {
			there = 0
		}
		switch {
		case is != store.AnyVersion && is != there:
			return refused{store.ErrChanged}
		case n.Text == "" && there == 0:
			return refused{store.ErrNotFound}
		}
		// If another server makes a version with this number meanwhile, no row is inserted.
		err = tx.rows(ctx, func(rows row) (err error) {
			made, err = scanPolicy(rows)
			return err
		}, `INSERT INTO policies (project, version, text, set_at, set_by) VALUES (?, ?, ?, NOW, ?) ON CONFLICT DO NOTHING RETURNING `+policyColumns,
			n.Project, old.Version+1, n.Text, n.SetBy)
		if err == nil && made.Version == 0 {
			err = refused{store.ErrChanged}
			if is == store.AnyVersion {
				err = errTaken
			}
		}
		return err
	})
	return made, err
}

// Used implements store.Policies.
func (s *Store) Used(ctx context.Context, project string) (used bool, err error) {
	err = s.read(ctx, func(rows row) error { return rows.Scan(&used) },
		`SELECT EXISTS (SELECT 1 FROM versions WHERE project = ?) OR EXISTS (SELECT 1 FROM runs WHERE project = ?)
		OR EXISTS (SELECT 1 FROM secrets WHERE project = ?) OR EXISTS (SELECT 1 FROM tokens WHERE project = ?)
		OR EXISTS (SELECT 1 FROM drafts WHERE project = ?)`, project, project, project, project, project)
	return used, err
}

// Policy implements store.Policies.
func (s *Store) Policy(ctx context.Context, project string) (p store.Policy, err error) {
	err = s.read(ctx, func(rows row) (err error) {
		p, err = scanPolicy(rows)
		return err
	}, latestPolicy, project)
	if err == nil && p.Text == "" {
		return store.Policy{}, store.ErrNotFound
	}
	return p, err
}
