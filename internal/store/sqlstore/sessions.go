package sqlstore

import (
	"context"
	"time"

	"github.com/mayfly-run/mayfly/internal/store"
)

// AddSession implements store.Sessions.
func (s *Store) AddSession(ctx context.Context, hash, token []byte, within time.Duration, most int) (one store.Session, err error) {
	err = s.write(ctx, func(ctx context.Context, tx *tx) error {
		found := false
		err := tx.rows(ctx, func(rows row) error {
			found = true
			one, err = scanSession(rows)
			return err
		}, `SELECT CAST(? AS BLOB), NOW + ?, 0, `+tokenColumns+` FROM tokens WHERE hash = ? AND (expires = 0 OR expires > NOW) FOR UPDATE`, hash, within.Milliseconds(), token)
		if err != nil {
			return err
		}
		if !found {
			return refused{store.ErrNotFound}
		}
		// The row of the token, which is locked, keeps out another server that adds a session of it.
		// SQLite has no OFFSET without a LIMIT.
		_, err = tx.exec(ctx, `DELETE FROM sessions WHERE hash IN (SELECT hash FROM sessions WHERE token = ? ORDER BY used DESC, hash LIMIT ? OFFSET ?)`, token, limit(0), most-1)
		if err != nil {
			return err
		}
		_, err = tx.exec(ctx, `INSERT INTO sessions (hash, token, created, used, expires) VALUES (?, ?, NOW, NOW, ?)`, hash, token, millis(one.Expires))
		return err
	})
	return one, err
}

func scanSession(rows row) (one store.Session, err error) {
	var expires, unused int64
	one.Token, err = scanToken(scanner(func(to ...any) error { return rows.Scan(append([]any{&one.Hash, &expires, &unused}, to...)...) }))
	one.Expires, one.Unused = timeOf(expires), time.Duration(max(0, unused))*time.Millisecond
	return one, err
}

// scanner is a row whose first columns were read.
type scanner func(to ...any) error

// Scan implements row.
func (s scanner) Scan(to ...any) error { return s(to...) }

// Session implements store.Sessions.
func (s *Store) Session(ctx context.Context, hash []byte, idle time.Duration) (one store.Session, err error) {
	found := false
	err = s.read(ctx, func(rows row) (err error) {
		found = true
		one, err = scanSession(rows)
		return err
	}, `SELECT s.hash, s.expires, NOW - s.used, t.hash, t.name, t.project, t.role, t.pool, t.created, t.expires FROM sessions s JOIN tokens t ON t.hash = s.token
		WHERE s.hash = ? AND s.expires > NOW AND s.used > NOW - ? AND (t.expires = 0 OR t.expires > NOW)`, hash, idle.Milliseconds())
	if err == nil && !found {
		err = store.ErrNotFound
	}
	return one, err
}

// UseSession implements store.Sessions.
func (s *Store) UseSession(ctx context.Context, hash []byte) error {
	return s.write(ctx, func(ctx context.Context, tx *tx) error {
		_, err := tx.exec(ctx, `UPDATE sessions SET used = NOW WHERE hash = ?`, hash)
		return err
	})
}

// RemoveSession implements store.Sessions.
func (s *Store) RemoveSession(ctx context.Context, hash, token []byte) error {
	return s.change(ctx, `DELETE FROM sessions WHERE hash = ? AND token = ?`, hash, token)
}

// ForgetSessions implements store.Sessions.
func (s *Store) ForgetSessions(ctx context.Context, idle time.Duration) error {
	return s.write(ctx, func(ctx context.Context, tx *tx) error {
		_, err := tx.exec(ctx, `DELETE FROM sessions WHERE expires <= NOW OR used <= NOW - ? OR token NOT IN (SELECT hash FROM tokens)`, idle.Milliseconds())
		return err
	})
}
