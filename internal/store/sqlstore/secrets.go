package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/mayfly-run/mayfly/internal/store"
)

const secretColumns = `project, name, version, sealed, tools, set_at, set_by, used, used_by`

func scanSecret(rows row) (store.Secret, error) {
	var s store.Secret
	var tools string
	var set, used int64
	if err := rows.Scan(&s.Project, &s.Name, &s.Version, &s.Sealed, &tools, &set, &s.SetBy, &used, &s.UsedBy); err != nil {
		return s, err
	}
	if err := json.Unmarshal([]byte(tools), &s.Tools); err != nil {
		return s, fmt.Errorf("read the tools of secret %s: %w", s.Name, err)
	}
	s.Set, s.Used = timeOf(set), timeOf(used)
	return s, nil
}

// SetSecret implements store.Secrets.
func (s *Store) SetSecret(ctx context.Context, n store.Secret, was *store.Secret, seal func(version int, set time.Time) ([]byte, error)) (store.Secret, error) {
	tools, err := json.Marshal(n.Tools)
	if err != nil {
		return n, err
	}
	var is store.Secret
	err = s.write(ctx, func(ctx context.Context, tx *tx) error {
		version, now, at, old := 0, int64(0), int64(0), ""
		if err := tx.rows(ctx, func(rows row) error { return rows.Scan(&now, &version, &at, &old) },
			`SELECT NOW, COALESCE(version, 0), COALESCE(set_at, 0), COALESCE(tools, '') FROM (SELECT 1) one LEFT JOIN secrets ON project = ? AND name = ?`, n.Project, n.Name); err != nil {
			return err
		}
		if was != nil && (version != was.Version || version > 0 && !sameSecret(was, at, old)) {
			return refused{store.ErrChanged}
		}
		sealed, err := seal(version+1, timeOf(now))
		if err != nil {
			return err
		}
		is = store.Secret{}
		// The version, time and tools in the condition keep out another server that changes the secret meanwhile.
		err = tx.rows(ctx, func(rows row) (err error) {
			is, err = scanSecret(rows)
			return err
		}, `INSERT INTO secrets (project, name, version, sealed, tools, set_at, set_by, used, used_by) VALUES (?, ?, ?, ?, ?, ?, ?, 0, '')
			ON CONFLICT (project, name) DO UPDATE SET version = excluded.version, sealed = excluded.sealed,
			tools = CASE WHEN ? THEN secrets.tools ELSE excluded.tools END, set_at = excluded.set_at,
			set_by = excluded.set_by WHERE secrets.version = excluded.version - 1 AND secrets.set_at = ? AND secrets.tools = ? RETURNING `+secretColumns,
			n.Project, n.Name, version+1, sealed, string(tools), now, n.SetBy, n.Tools == nil, at, old)
		switch {
		case err != nil:
			return err
		case is.Version == 0:
			return errTaken
		}
		return addSecretVersion(ctx, tx, is)
	})
	return is, err
}

// sameSecret says whether the time and the tools of a row are those of a secret.
func sameSecret(was *store.Secret, at int64, tools string) bool {
	var have []string
	return timeOf(at).Equal(was.Set) && json.Unmarshal([]byte(tools), &have) == nil && slices.Equal(have, was.Tools)
}

// LimitSecret implements store.Secrets.
func (s *Store) LimitSecret(ctx context.Context, project, name string, tools []string, is *store.Secret) error {
	text, err := json.Marshal(tools)
	if err != nil {
		return err
	}
	return s.write(ctx, func(ctx context.Context, tx *tx) error {
		if err := lockSecret(ctx, tx, project, name, is); err != nil {
			return err
		}
		_, err := tx.exec(ctx, `UPDATE secrets SET tools = ? WHERE project = ? AND name = ?`, string(text), project, name)
		return err
	})
}

// lockSecret keeps others from changing a secret until the transaction ends. If is isn't nil, the secret must be that.
func lockSecret(ctx context.Context, tx *tx, project, name string, is *store.Secret) error {
	version, at, tools := 0, int64(0), ""
	err := tx.rows(ctx, func(rows row) error { return rows.Scan(&version, &at, &tools) },
		`SELECT version, set_at, tools FROM secrets WHERE project = ? AND name = ? FOR UPDATE`, project, name)
	switch {
	case err != nil:
		return err
	case version == 0:
		return refused{store.ErrNotFound}
	case is != nil && (version != is.Version || !sameSecret(is, at, tools)):
		return refused{store.ErrChanged}
	}
	return nil
}

// change carries out a statement that must change a row.
func (s *Store) change(ctx context.Context, q string, args ...any) error {
	return s.write(ctx, func(ctx context.Context, tx *tx) error {
		n, err := tx.exec(ctx, q, args...)
		if err == nil && n == 0 {
			err = refused{store.ErrNotFound}
		}
		return err
	})
}

// Secret implements store.Secrets.
func (s *Store) Secret(ctx context.Context, project, name string) (one store.Secret, err error) {
	err = s.read(ctx, func(rows row) (err error) {
		one, err = scanSecret(rows)
		return err
	}, `SELECT `+secretColumns+` FROM secrets WHERE project = ? AND name = ?`, project, name)
	if err == nil && one.Version == 0 {
		err = store.ErrNotFound
	}
	return one, err
}

// Secrets implements store.Secrets.
func (s *Store) Secrets(ctx context.Context, project string, p store.Page) ([]store.Secret, error) {
	all := []store.Secret{}
	err := s.read(ctx, func(rows row) error {
		one, err := scanSecret(rows)
		all = append(all, one)
		return err
	}, `SELECT `+secretColumns+` FROM secrets WHERE (project = ? OR ? = '') AND name > ? ORDER BY project, name LIMIT ?`, project, project, p.After, limit(p.Most))
	return all, err
}

// UsedSecrets implements store.Secrets.
func (s *Store) UsedSecrets(ctx context.Context, project string, names []string, run string) error {
	return s.write(ctx, func(ctx context.Context, tx *tx) error {
		var calls []*call
		for _, name := range slices.Sorted(slices.Values(names)) { // in one order, so that two runs with the same secrets don't wait for each other
			calls = append(calls, useOfSecret(project, name, run)...)
		}
		return tx.carryOut(ctx, calls...)
	})
}

// RewrapSecret implements store.Secrets.
func (s *Store) RewrapSecret(ctx context.Context, one store.Secret, sealed []byte) error {
	return s.write(ctx, func(ctx context.Context, tx *tx) error {
		_, err := tx.exec(ctx, `UPDATE secrets SET sealed = ? WHERE project = ? AND name = ? AND version = ?`, sealed, one.Project, one.Name, one.Version)
		return err
	})
}

// RemoveSecret implements store.Secrets.
func (s *Store) RemoveSecret(ctx context.Context, project, name string, is *store.Secret) error {
	return s.write(ctx, func(ctx context.Context, tx *tx) error {
		if err := lockSecret(ctx, tx, project, name, is); err != nil {
			return err
		}
		var calls []*call
		for _, table := range []string{"secrets", "secret_versions", "secret_uses"} {
			calls = append(calls, callOf(`DELETE FROM `+table+` WHERE project = ? AND name = ?`, project, name))
		}
		return tx.carryOut(ctx, calls...)
	})
}
