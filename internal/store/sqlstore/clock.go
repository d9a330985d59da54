package sqlstore

import (
	"context"
	"time"
)

// Now implements store.Clock.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	now := int64(0)
	err := s.read(ctx, func(rows row) error { return rows.Scan(&now) }, `SELECT NOW`)
	return timeOf(now), err
}
