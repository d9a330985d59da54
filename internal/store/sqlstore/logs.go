package sqlstore

import (
	"context"
	"strings"
	"time"

	"github.com/mayfly-run/mayfly/internal/store"
)

// What to do is looked for outside of transactions, and checked again by the statement that does it.

// Compact implements store.Logs.
func (s *Store) Compact(ctx context.Context, id string, chunks int, with store.Chunk) error {
	return s.write(ctx, func(ctx context.Context, tx *tx) error {
		n, err := tx.exec(ctx, `DELETE FROM chunks WHERE run = ? AND first >= ? AND last <= ? AND object = ''`, id, with.First, with.Last)
		if err != nil || n != int64(chunks) {
			return fenced(0, err)
		}
		insertChunk(tx, id, &with)
		return nil
	})
}

// KeepSmallLogs implements store.Logs.
func (s *Store) KeepSmallLogs(ctx context.Context, after time.Duration, bytes int64, most int) (runs int, err error) {
	ids, _, err := s.ended(ctx, `kept = 0 AND bytes <= ? AND finished <= NOW - ?`, most, bytes, after.Milliseconds())
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	return len(ids), s.write(ctx, func(ctx context.Context, tx *tx) error {
		for _, id := range ids {
			if _, err := tx.exec(ctx, `UPDATE runs SET kept = NOW, stored = COALESCE((SELECT SUM(length(data)) FROM chunks WHERE run = ?), 0)
				WHERE id = ? AND kept = 0 AND finished > 0`, id, id); err != nil {
				return err
			}
		}
		return nil
	})
}

// ended returns runs that are over, the oldest first, and what their logs take.
func (s *Store) ended(ctx context.Context, where string, most int, args ...any) (ids []string, stored []int64, err error) {
	err = s.read(ctx, func(rows row) error {
		var id string
		var n int64
		err := rows.Scan(&id, &n)
		ids, stored = append(ids, id), append(stored, n)
		return err
	}, `SELECT id, stored FROM runs WHERE finished > 0 AND `+where+` ORDER BY finished LIMIT ?`, append(args, most)...)
	return ids, stored, err
}

// ClaimLog implements store.Logs.
func (s *Store) ClaimLog(ctx context.Context, claim string, after, lease time.Duration) (id string, err error) {
	const few = 16 // others look at the same time
	ids, _, err := s.ended(ctx, `kept = 0 AND finished <= NOW - ? AND claim_until <= NOW`, few, after.Milliseconds())
	if err != nil || len(ids) == 0 {
		return "", err
	}
	err = s.write(ctx, func(ctx context.Context, tx *tx) error {
		id = ""
		for _, one := range ids {
			n, err := tx.exec(ctx, `UPDATE runs SET claim = ?, claim_until = NOW + ? WHERE id = ? AND kept = 0 AND finished > 0 AND claim_until <= NOW`,
				claim, lease.Milliseconds(), one)
			if err != nil {
				return err
			}
			if n == 1 {
				id = one
				return nil
			}
		}
		return nil
	})
	return id, err
}

// KeepLog implements store.Logs.
func (s *Store) KeepLog(ctx context.Context, id, claim string, chunks int, with []store.Chunk) error {
	object, stored := "", int64(0)
	for _, c := range with {
		object = c.Object
		stored += max(c.Size, int64(len(c.Data)))
	}
	return s.write(ctx, func(ctx context.Context, tx *tx) error {
		n, err := tx.exec(ctx, `UPDATE runs SET kept = NOW, object = ?, stored = ?, claim = '', claim_until = 0 WHERE id = ? AND claim = ? AND kept = 0`,
			object, stored, id, claim)
		if err := fenced(n, err); err != nil {
			return err
		}
		n, err = tx.exec(ctx, `DELETE FROM chunks WHERE run = ?`, id)
		if err != nil || n != int64(chunks) {
			return fenced(0, err)
		}
		for i := range with {
			insertChunk(tx, id, &with[i])
		}
		return nil
	})
}

// LogObjects implements store.Logs.
func (s *Store) LogObjects(ctx context.Context, ids []string) (map[string]string, error) {
	objects := make(map[string]string, len(ids))
	return objects, someOf(ids, func(args []any) error {
		return s.read(ctx, func(rows row) error {
			var id, object string
			err := rows.Scan(&id, &object)
			objects[id] = object
			return err
		}, `SELECT id, object FROM runs WHERE object <> '' AND id IN (`+someMarks+`)`, args...)
	})
}

// some is how many ids statements have that are about some ids: there are few statements, since connections keep those that they have prepared.
const some = 100

// someMarks are the parameters of such a statement.
var someMarks = strings.Repeat(", ?", some)[2:]

// someOf calls each with some ids at a time, of which the last may repeat.
func someOf(ids []string, each func(args []any) error) error {
	for begin := 0; begin < len(ids); begin += some {
		args := make([]any, some)
		for i := range args {
			args[i] = ids[min(begin+i, len(ids)-1)]
		}
		if err := each(args); err != nil {
			return err
		}
	}
	return nil
}

// LogBytes implements store.Logs.
func (s *Store) LogBytes(ctx context.Context) (bytes int64, err error) {
	err = s.read(ctx, func(rows row) error { return rows.Scan(&bytes) },
		`SELECT CAST(COALESCE(SUM(stored), 0) AS BIGINT) FROM runs WHERE finished > 0 AND log_removed = 0`)
	return bytes, err
}

// DropLogs implements store.Logs.
func (s *Store) DropLogs(ctx context.Context, d store.Drop) (store.Dropped, error) {
	return s.drop(ctx, d, `log_removed = 0 AND finished <= NOW - ?`, func(ctx context.Context, tx *tx, id string) (object string, bytes int64, n int64, err error) {
		if object, bytes, n, err = logOf(ctx, tx, id, `log_removed = 0`); err != nil || n == 0 {
			return "", 0, n, err
		}
		if n, err = tx.exec(ctx, `UPDATE runs SET log_removed = NOW, kept = CASE WHEN kept = 0 THEN NOW ELSE kept END, object = '', stored = 0, claim = ''
			WHERE id = ? AND finished > 0 AND log_removed = 0`, id); err != nil || n == 0 {
			return "", 0, n, err
		}
		_, err = tx.exec(ctx, `DELETE FROM chunks WHERE run = ?`, id)
		return object, bytes, n, err
	})
}

// DropRuns implements store.Logs.
func (s *Store) DropRuns(ctx context.Context, d store.Drop) (store.Dropped, error) {
	// The steps of a workflow that isn't over are still needed.
	return s.drop(ctx, d, `finished <= NOW - ? AND (parent = '' OR parent NOT IN (SELECT run FROM workflows))`, func(ctx context.Context, tx *tx, id string) (object string, bytes int64, n int64, err error) {
		if object, bytes, n, err = logOf(ctx, tx, id, `finished > 0`); err != nil || n == 0 {
			return "", 0, n, err
		}
		if n, err = tx.exec(ctx, `DELETE FROM runs WHERE id = ? AND finished > 0`, id); err != nil || n == 0 {
			return "", 0, n, err
		}
		for _, q := range []string{
			`DELETE FROM chunks WHERE run = ?`, `DELETE FROM requests WHERE run = ?`, `DELETE FROM results WHERE run = ?`, `DELETE FROM journal WHERE run = ?`,
		} {
			if _, err := tx.exec(ctx, q, id); err != nil {
				return "", 0, 0, err
			}
		}
		return object, bytes, n, nil
	})
}

// logOf locks a run that is over, and returns where its log is and what it takes. n is 0 if there is none.
func logOf(ctx context.Context, tx *tx, id, where string) (object string, bytes int64, n int64, err error) {
	err = tx.rows(ctx, func(rows row) error {
		n = 1
		return rows.Scan(&object, &bytes)
	}, `SELECT object, stored FROM runs WHERE id = ? AND finished > 0 AND `+where+` FOR UPDATE`, id)
	return object, bytes, n, err
}

// dropTogether is how many runs are removed in one transaction.
const dropTogether = 20

// drop removes something of runs that are over, a few in each transaction.
func (s *Store) drop(ctx context.Context, d store.Drop, where string, one func(ctx context.Context, tx *tx, id string) (string, int64, int64, error)) (all store.Dropped, err error) {
	ids, stored, err := s.ended(ctx, where, d.Most, d.Ended.Milliseconds())
	if err != nil {
		return all, err
	}
	if d.Free > 0 {
		free, n := int64(0), 0
		for n < len(ids) && free < d.Free {
			free += stored[n]
			n++
		}
		ids = ids[:n]
	}
	for begin := 0; begin < len(ids); begin += dropTogether {
		var some store.Dropped
		err := s.write(ctx, func(ctx context.Context, tx *tx) error {
			some = store.Dropped{}
			for _, id := range ids[begin:min(begin+dropTogether, len(ids))] {
				object, bytes, n, err := one(ctx, tx, id)
				if err != nil {
					return err
				}
				some.Runs, some.Bytes = some.Runs+int(n), some.Bytes+bytes
				if object != "" {
					some.Objects = append(some.Objects, object)
				}
			}
			return nil
		})
		if err != nil {
			return all, err
		}
		all.Runs, all.Bytes, all.Objects = all.Runs+some.Runs, all.Bytes+some.Bytes, append(all.Objects, some.Objects...)
	}
	return all, nil
}

// References implements store.Logs.
func (s *Store) References(ctx context.Context, take func(text []byte)) error {
	for _, q := range []string{`SELECT manifest FROM versions`, `SELECT manifest FROM drafts`} {
		err := s.read(ctx, func(rows row) error {
			var text []byte
			err := rows.Scan(&text)
			take(text)
			return err
		}, q)
		if err != nil {
			return err
		}
	}
	for _, q := range []string{
		`SELECT run, request FROM requests WHERE run > ? ORDER BY run LIMIT ?`,
		`SELECT run, result FROM results WHERE run > ? ORDER BY run LIMIT ?`,
	} {
		const page = 500
		after := ""
		for n := page; n == page; {
			n = 0
			err := s.read(ctx, func(rows row) error {
				var text []byte
				err := rows.Scan(&after, &text)
				n++
				take(text)
				return err
			}, q, after, page)
			if err != nil {
				return err
			}
		}
	}
	return s.journalReferences(ctx, take)
}

// journalReferences has what the journals of workflows name: a run that resumes another has the artifacts of that one only there.
func (s *Store) journalReferences(ctx context.Context, take func(text []byte)) error {
	const page = 500
	run, number := "", int64(0)
	for n := page; n == page; {
		n = 0
		err := s.read(ctx, func(rows row) error {
			var text []byte
			err := rows.Scan(&run, &number, &text)
			n++
			take(text)
			return err
		}, `SELECT run, number, entry FROM journal WHERE run > ? OR run = ? AND number > ? ORDER BY run, number LIMIT ?`, run, run, number, page)
		if err != nil {
			return err
		}
	}
	return nil
}
