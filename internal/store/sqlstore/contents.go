package sqlstore

import (
	"context"
	"encoding/json"
	"slices"
)

const addContents = `INSERT INTO contents (project, digest) SELECT CAST(? AS TEXT), value FROM json_each(?) WHERE true ON CONFLICT DO NOTHING`

// listed is a list as json_each takes it, so that there is one statement whatever its length.
func listed(texts []string) string {
	data, _ := json.Marshal(append([]string{}, texts...)) // texts have no error
	return string(data)
}

// AddContents implements store.Contents.
func (s *Store) AddContents(ctx context.Context, project string, digests []string) error {
	list := listed(slices.Sorted(slices.Values(digests))) // in order, so that two servers don't wait for each other
	return s.write(ctx, func(ctx context.Context, tx *tx) error {
		_, err := tx.exec(ctx, addContents, project, list)
		return err
	})
}

// Contents implements store.Contents.
func (s *Store) Contents(ctx context.Context, project string, digests []string) (map[string]bool, error) {
	has := map[string]bool{}
	return has, s.read(ctx, func(rows row) error {
		var digest string
		err := rows.Scan(&digest)
		has[digest] = true
		return err
	}, `SELECT digest FROM contents WHERE project = ? AND digest IN (SELECT value FROM json_each(?))`, project, listed(digests))
}

// ForgetContent implements store.Contents.
func (s *Store) ForgetContent(ctx context.Context, digest string) error {
	return s.write(ctx, func(ctx context.Context, tx *tx) error {
		_, err := tx.exec(ctx, `DELETE FROM contents WHERE digest = ?`, digest)
		return err
	})
}
