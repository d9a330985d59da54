package sqlstore

import (
	"context"
	"math"

	"github.com/mayfly-run/mayfly/internal/store"
)

const versionColumns = `project, tool, version, kind, description, note, digest, created, created_by`

func scanVersion(rows row, more ...any) (store.Version, error) {
	var v store.Version
	var created int64
	err := rows.Scan(append([]any{&v.Project, &v.Tool, &v.Version, &v.Kind, &v.Description, &v.Note, &v.Digest, &created, &v.CreatedBy}, more...)...)
	v.Created = timeOf(created)
	return v, err
}

// AddVersion implements store.Tools.
func (s *Store) AddVersion(ctx context.Context, v store.Version) (is store.Version, made bool, err error) {
	err = s.makeOnce(ctx, func(ctx context.Context, tx *tx) (any, error) {
		for made = false; !made; {
			is = store.Version{}
			err := tx.rows(ctx, func(rows row) (err error) {
				is, err = scanVersion(rows)
				return err
			}, `SELECT `+versionColumns+` FROM versions WHERE project = ? AND tool = ? ORDER BY version DESC LIMIT 1`, v.Project, v.Tool)
			if err != nil || is.Version > 0 && is.Digest == v.Digest {
				return store.Made{Version: is}, err
			}
			// If another server makes a version with this number meanwhile, no row is inserted, and that version is the latest.
			err = tx.rows(ctx, func(rows row) (err error) {
				made = true
				is, err = scanVersion(rows)
				return err
			}, `INSERT INTO versions (project, tool, version, kind, description, note, digest, manifest, created, created_by)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, NOW, ?) ON CONFLICT DO NOTHING RETURNING `+versionColumns,
				v.Project, v.Tool, is.Version+1, v.Kind, v.Description, v.Note, v.Digest, v.Manifest, v.CreatedBy)
			if err != nil {
				return nil, err
			}
		}
		return store.Made{Version: is, New: true}, nil
	})
	return is, made, err
}

// Version implements store.Tools.
func (s *Store) Version(ctx context.Context, project, tool string, version int) (v store.Version, err error) {
	err = s.read(ctx, func(rows row) (err error) {
		var manifest []byte
		v, err = scanVersion(rows, &manifest)
		v.Manifest = manifest
		return err
	}, `SELECT `+versionColumns+`, manifest FROM versions WHERE project = ? AND tool = ? AND (version = ? OR ? = 0) ORDER BY version DESC LIMIT 1`,
		project, tool, version, version)
	if err == nil && v.Version == 0 {
		err = store.ErrNotFound
	}
	return v, err
}

// Versions implements store.Tools.
func (s *Store) Versions(ctx context.Context, project, tool string, before, most int) ([]store.Version, error) {
	return s.versions(ctx, `WHERE project = ? AND tool = ? AND version < ? ORDER BY version DESC LIMIT ?`, project, tool, limit(before), limit(most))
}

// Tools implements store.Tools.
func (s *Store) Tools(ctx context.Context, project string, p store.Page) ([]store.Version, error) {
	return s.versions(ctx, `v WHERE project = ? AND version = (SELECT MAX(version) FROM versions o WHERE o.project = v.project AND o.tool = v.tool) AND tool > ?
		ORDER BY tool LIMIT ?`, project, p.After, limit(p.Most))
}

// limit is a number of rows, where 0 stands for any number.
func limit(most int) int {
	if most == 0 {
		return math.MaxInt32
	}
	return most
}

func (s *Store) versions(ctx context.Context, where string, args ...any) ([]store.Version, error) {
	all := []store.Version{}
	err := s.read(ctx, func(rows row) error {
		v, err := scanVersion(rows)
		all = append(all, v)
		return err
	}, `SELECT `+versionColumns+` FROM versions `+where, args...)
	return all, err
}
