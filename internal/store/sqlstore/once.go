package sqlstore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/mayfly-run/mayfly/internal/store"
)

// errTaken says that another server has made the same meanwhile. The transaction is tried again, and finds what the other one has made.
var errTaken = errors.New("another server makes the same")

// makeOnce is write for what is made at most once for a key. do returns what it has made.
func (s *Store) makeOnce(ctx context.Context, do func(ctx context.Context, tx *tx) (any, error)) error {
	once := store.OnceOf(ctx)
	return s.write(ctx, func(ctx context.Context, tx *tx) error {
		if once != nil {
			there, err := answered(ctx, tx, once)
			if err != nil {
				return err
			}
			if once.Repeated = there; there {
				return refused{store.ErrRepeated}
			}
		}
		made, err := do(ctx, tx)
		if err != nil || once == nil {
			return err
		}
		body, err := once.Body(made)
		if err != nil {
			return err
		}
		// One that is too old stays until it is forgotten, and another server may have made the same since the look above.
		n, err := tx.exec(ctx, `INSERT INTO answers (token, idempotency_key, print, body, created) VALUES (?, ?, ?, ?, NOW)
			ON CONFLICT (token, idempotency_key) DO UPDATE SET print = excluded.print, body = excluded.body, created = excluded.created
			WHERE answers.created <= NOW - ?`, once.Token, once.Key, once.Print, body, store.AnswersKept.Milliseconds())
		if err == nil && n != 1 {
			err = errTaken
		}
		return err
	})
}

func answered(ctx context.Context, tx *tx, once *store.Once) (there bool, err error) {
	err = tx.rows(ctx, func(*sql.Rows) error { there = true; return nil },
		`SELECT created FROM answers WHERE token = ? AND idempotency_key = ? AND created > NOW - ?`, once.Token, once.Key, store.AnswersKept.Milliseconds())
	return there, err
}

// Answer implements store.Answers.
func (s *Store) Answer(ctx context.Context, token []byte, key string) (a store.Answer, err error) {
	found := false
	err = s.read(ctx, func(rows *sql.Rows) error {
		found = true
		return rows.Scan(&a.Print, &a.Body)
	}, `SELECT print, body FROM answers WHERE token = ? AND idempotency_key = ? AND created > NOW - ?`, token, key, store.AnswersKept.Milliseconds())
	if err == nil && !found {
		err = store.ErrNotFound
	}
	return a, err
}

// ForgetAnswers implements store.Answers.
func (s *Store) ForgetAnswers(ctx context.Context) error {
	return s.write(ctx, func(ctx context.Context, tx *tx) error {
		_, err := tx.exec(ctx, `DELETE FROM answers WHERE created <= NOW - ?`, store.AnswersKept.Milliseconds())
		return err
	})
}
