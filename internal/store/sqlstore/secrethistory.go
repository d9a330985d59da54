package sqlstore

import (
	"context"

	"github.com/mayfly-run/mayfly/internal/store"
)

// addSecretVersion remembers who has set a version of a secret, and forgets the oldest ones.
func addSecretVersion(ctx context.Context, tx *tx, s store.Secret) error {
	return tx.carryOut(ctx,
		callOf(`INSERT INTO secret_versions (project, name, version, set_at, set_by) VALUES (?, ?, ?, ?, ?)`, s.Project, s.Name, s.Version, millis(s.Set), s.SetBy),
		callOf(`DELETE FROM secret_versions WHERE project = ? AND name = ? AND version <= ?`, s.Project, s.Name, s.Version-store.SecretHistory))
}

// useOfSecret returns the statements that remember that a run has had a secret, and forget the oldest runs: ids of runs are in the order of time.
func useOfSecret(project, name, run string) []*call {
	return []*call{
		callOf(`UPDATE secrets SET used = NOW, used_by = ? WHERE project = ? AND name = ?`, run, project, name),
		callOf(`INSERT INTO secret_uses (project, name, run, used, version) SELECT project, name, ?, NOW, version FROM secrets WHERE project = ? AND name = ?
		ON CONFLICT (project, name, run) DO UPDATE SET used = excluded.used, version = excluded.version`, run, project, name),
		callOf(`DELETE FROM secret_uses WHERE project = ? AND name = ? AND run <= (SELECT run FROM secret_uses WHERE project = ? AND name = ? ORDER BY run DESC LIMIT 1 OFFSET ?)`,
			project, name, project, name, store.SecretHistory),
	}
}

// SecretVersions implements store.Secrets.
func (s *Store) SecretVersions(ctx context.Context, project, name string) (all []store.SecretVersion, err error) {
	err = s.read(ctx, func(rows row) error {
		var v store.SecretVersion
		var set int64
		err := rows.Scan(&v.Version, &set, &v.SetBy)
		v.Set = timeOf(set)
		all = append(all, v)
		return err
	}, `SELECT version, set_at, set_by FROM secret_versions WHERE project = ? AND name = ? ORDER BY version DESC`, project, name)
	return all, err
}

// SecretUses implements store.Secrets.
func (s *Store) SecretUses(ctx context.Context, project, name string) (all []store.SecretUse, err error) {
	err = s.read(ctx, func(rows row) error {
		var u store.SecretUse
		var used int64
		err := rows.Scan(&u.Run, &u.Tool, &used, &u.Version)
		u.Used = timeOf(used)
		all = append(all, u)
		return err
	}, `SELECT u.run, COALESCE(r.tool, ''), u.used, u.version FROM secret_uses u LEFT JOIN runs r ON r.id = u.run WHERE u.project = ? AND u.name = ? ORDER BY u.run DESC`, project, name)
	return all, err
}
