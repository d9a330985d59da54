package sqlstore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/mayfly-run/mayfly/internal/store"
)

// errTaken says that another server has made the same meanwhile. The transaction is tried again, and finds what the other one has made.
var errTaken = errors.New("another server makes the same")

// makeOnce is write for what is made at most once for a key. do returns what it has made. What was made already ends the group of the write,
// and is found when the write is carried out again on its own.
func (s *Store) makeOnce(ctx context.Context, do func(ctx context.Context, tx *tx) (any, error)) error {
	once := store.OnceOf(ctx)
	return s.write(ctx, func(ctx context.Context, tx *tx) error {
		if once == nil {
			_, err := do(ctx, tx)
			return err
		}
		if once.Repeated = false; tx.alone {
			there, err := answered(ctx, tx, once)
			if err != nil {
				return err
			}
			if once.Repeated = there; there {
				return refused{store.ErrRepeated}
			}
		}
		made, err := do(ctx, tx)
		if err != nil && !tx.alone {
			return errTaken // it may be there because it was made for the same key
		}
		if err != nil {
			return err
		}
		body, err := once.Body(made)
		if err == nil {
			tx.add(newAnswers, once.Token, once.Key, once.Print, body)
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
