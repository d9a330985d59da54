package sqlstore

import (
	"context"
	"time"

	"github.com/mayfly-run/mayfly/internal/store"
)

// millis is a time for the database; 0 is no time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// AddToken implements store.Access.
func (s *Store) AddToken(ctx context.Context, t store.Token) error {
	return s.makeOnce(ctx, func(ctx context.Context, tx *tx) (any, error) {
		n, err := tx.exec(ctx, `INSERT INTO tokens (hash, name, project, role, pool, created, expires) VALUES (?, ?, ?, ?, ?, NOW, ?)
			ON CONFLICT (project, name) DO NOTHING`, t.Hash, t.Name, t.Project, t.Role, t.Pool, millis(t.Expires))
		if err == nil && n == 0 {
			return nil, refused{store.ErrExists}
		}
		return nil, err
	})
}

// Token implements store.Access.
func (s *Store) Token(ctx context.Context, hash []byte) (t store.Token, err error) {
	found := false
	err = s.read(ctx, func(rows row) error {
		found = true
		t, err = scanToken(rows)
		return err
	}, `SELECT `+tokenColumns+` FROM tokens WHERE hash = ? AND (expires = 0 OR expires > NOW)`, hash)
	if err == nil && !found {
		err = store.ErrNotFound
	}
	return t, err
}

const tokenColumns = `hash, name, project, role, pool, created, expires`

func scanToken(rows row) (store.Token, error) {
	var t store.Token
	var created, expires int64
	err := rows.Scan(&t.Hash, &t.Name, &t.Project, &t.Role, &t.Pool, &created, &expires)
	t.Created, t.Expires = timeOf(created), timeOf(expires)
	return t, err
}

// Tokens implements store.Access.
func (s *Store) Tokens(ctx context.Context, project string, p store.Page) ([]store.Token, error) {
	all := []store.Token{}
	err := s.read(ctx, func(rows row) error {
		t, err := scanToken(rows)
		all = append(all, t)
		return err
	}, `SELECT `+tokenColumns+` FROM tokens WHERE project = ? AND name > ? ORDER BY name LIMIT ?`, project, p.After, limit(p.Most))
	return all, err
}

// RemoveToken implements store.Access.
func (s *Store) RemoveToken(ctx context.Context, project, name string) error {
	return s.change(ctx, `DELETE FROM tokens WHERE project = ? AND name = ?`, project, name)
}
