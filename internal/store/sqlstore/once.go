package sqlstore

import (
	"context"
	"errors"

	"github.com/mayfly-run/mayfly/internal/store"
)

// errTaken says that another server has made the same since the transaction looked. It is tried again, and finds what the other one has made.
var errTaken = errors.New("another server makes the same")

// makeOnce is write for what is made at most once for a key. do returns what it has made.
func (s *Store) makeOnce(ctx context.Context, do func(ctx context.Context, tx *tx) (any, error)) error {
	once := store.OnceOf(ctx)
	return s.carry(&write{ctx: ctx, once: once, do: func(ctx context.Context, tx *tx) error {
		if once != nil {
			if once.Repeated = tx.answered[answerOf(once)]; once.Repeated {
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
		tx.add(newAnswers, once.Token, once.Key, once.Print, body)
		tx.answered[answerOf(once)] = true
		return nil
	}})
}

// answer is what an answer is found by.
type answer struct{ token, key string }

func answerOf(o *store.Once) answer { return answer{string(o.Token), o.Key} }

// Answer implements store.Answers.
func (s *Store) Answer(ctx context.Context, token []byte, key string) (a store.Answer, err error) {
	found := false
	err = s.read(ctx, func(rows row) error {
		found = true
		return rows.Scan(&a.Print, &a.Body)
	}, `SELECT print, body FROM answers WHERE token = ? AND idempotency_key = ? AND created > NOW - ?`, token, key, store.AnswersKept.Milliseconds())
	if err == nil && !found {
		err = store.ErrNotFound
	}
	return a, err
}

// KeepAnswer implements store.Answers.
func (s *Store) KeepAnswer(ctx context.Context) error {
	return s.makeOnce(ctx, func(context.Context, *tx) (any, error) { return nil, nil })
}

// ForgetAnswers implements store.Answers.
func (s *Store) ForgetAnswers(ctx context.Context) error {
	return s.write(ctx, func(ctx context.Context, tx *tx) error {
		_, err := tx.exec(ctx, `DELETE FROM answers WHERE created <= NOW - ?`, store.AnswersKept.Milliseconds())
		return err
	})
}
