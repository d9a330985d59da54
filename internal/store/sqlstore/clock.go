package sqlstore

import (
	"context"
	"database/sql"
	"time"
)

// Now implements store.Clock.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	now := int64(0)
	err := s.read(ctx, func(rows *sql.Rows) error { return rows.Scan(&now) }, `SELECT NOW`)
	return timeOf(now), err
}
