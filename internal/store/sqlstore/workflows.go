package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"math"

	"github.com/mayfly-run/mayfly/internal/store"
)

// The run of a workflow is in the queue like any other one, but in no pool, and it is this runner's, whose lease never ends.
const (
	serverItself = "@server"
	forEver      = math.MaxInt64 / 2
)

// AcceptWorkflow implements store.Workflows.
func (s *Store) AcceptWorkflow(ctx context.Context, r store.NewRun, f store.StepForward) error {
	return s.makeOnce(ctx, func(ctx context.Context, tx *tx) (any, error) {
		tx.tell = true
		if err := enqueue(tx, r, placed{attempt: 1, runner: serverItself, lease: 1}); err != nil {
			return nil, err
		}
		// Its pool is that of its steps.
		if _, err := tx.exec(ctx, `UPDATE queue SET pool = '', state = 'running', lease_until = ? WHERE run = ?`, int64(forEver), r.ID); err != nil {
			return nil, err
		}
		if _, err := tx.exec(ctx, `INSERT INTO workflows (run, project, entries, happened, seen, deadline) VALUES (?, ?, 0, 0, 0, 0)`, r.ID, r.Project); err != nil {
			return nil, err
		}
		return nil, forward(ctx, tx, f)
	})
}

// happened says that something has happened to a workflow.
func happened(ctx context.Context, tx *tx, id string) error {
	_, err := tx.exec(ctx, `UPDATE workflows SET happened = happened + 1 WHERE run = ?`, id)
	return err
}

// Due implements store.Workflows.
func (s *Store) Due(ctx context.Context, most int) (ids []string, err error) {
	scan := func(rows row) error {
		var id string
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	}
	if err := s.read(ctx, scan, `SELECT run FROM workflows WHERE happened > seen ORDER BY run LIMIT ?`, most); err != nil {
		return nil, err
	}
	err = s.read(ctx, scan, `SELECT run FROM workflows WHERE deadline > 0 AND deadline <= NOW AND happened <= seen LIMIT ?`, most)
	return ids, err
}

// Workflow implements store.Workflows.
func (s *Store) Workflow(ctx context.Context, id string) (w store.Workflow, err error) {
	// What has happened is read first: what happens from here on makes it due again.
	found := false
	err = s.read(ctx, func(rows row) error {
		found = true
		var needs, labels string
		var accepted, now int64
		if err := rows.Scan(&w.Run, &w.Project, &w.Tool, &w.Version, &w.Happened, &w.Cancelling, &w.Pool, &needs, &w.Priority, &labels, &w.AcceptedBy, &accepted, &now); err != nil {
			return err
		}
		w.Accepted, w.Now = timeOf(accepted), timeOf(now)
		if err := json.Unmarshal([]byte(needs), &w.Needs); err != nil {
			return fmt.Errorf("read the labels of run %s: %w", id, err)
		}
		return json.Unmarshal([]byte(labels), &w.Labels)
	}, `SELECT w.run, w.project, r.tool, r.version, w.happened, q.cancel > 0, r.pool, r.needs, r.priority, r.labels, r.accepted_by, r.accepted, NOW
		FROM workflows w JOIN queue q ON q.run = w.run JOIN runs r ON r.id = w.run WHERE w.run = ?`, id)
	if err == nil && !found {
		err = store.ErrNotFound
	}
	if err != nil {
		return w, err
	}
	if w.Request, err = s.Request(ctx, w.Project, id); err == nil {
		w.Journal, err = s.Journal(ctx, id)
	}
	return w, err
}

// Journal implements store.Workflows.
func (s *Store) Journal(ctx context.Context, id string) (all [][]byte, err error) {
	err = s.read(ctx, func(rows row) error {
		var entry []byte
		err := rows.Scan(&entry)
		all = append(all, entry)
		return err
	}, `SELECT entry FROM journal WHERE run = ? ORDER BY number`, id)
	return all, err
}

// Results implements store.Workflows.
func (s *Store) Results(ctx context.Context, ids []string) (map[string][]byte, error) {
	all := map[string][]byte{}
	for _, id := range ids {
		err := s.read(ctx, func(rows row) error {
			var result []byte
			err := rows.Scan(&result)
			all[id] = result
			return err
		}, `SELECT result FROM results WHERE run = ?`, id)
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Steps implements store.Workflows.
func (s *Store) Steps(ctx context.Context, project, id string) (runs []store.Run, err error) {
	err = s.read(ctx, func(rows row) error {
		r, err := scanRun(rows)
		runs = append(runs, r)
		return err
	}, `SELECT `+columns+` WHERE r.project = ? AND r.parent = ? ORDER BY r.id`, project, id)
	return runs, err
}

// StepForward implements store.Workflows.
func (s *Store) StepForward(ctx context.Context, f store.StepForward) error {
	return s.carry(&write{ctx: ctx, forward: &f, do: func(ctx context.Context, tx *tx) error {
		tx.tell = true
		return forward(ctx, tx, f)
	}})
}

func forward(ctx context.Context, tx *tx, f store.StepForward) error {
	at, found, err := lockPosition(ctx, tx, f.Run) // lockSteps has locked the steps that end
	if err != nil {
		return err
	}
	deadline := `0`
	args := []any{len(f.Entries), f.Seen}
	if f.Within != 0 {
		deadline = `NOW + ?`
		args = append(args, f.Within.Milliseconds())
	}
	n, err := tx.exec(ctx, `UPDATE workflows SET entries = entries + ?, seen = ?, deadline = `+deadline+` WHERE run = ? AND entries = ?`,
		append(args, f.Run, f.After)...)
	if err != nil {
		return err
	}
	if n != 1 {
		return refused{store.ErrNotHeld}
	}
	for i, entry := range f.Entries {
		if _, err := tx.exec(ctx, `INSERT INTO journal (run, number, entry) VALUES (?, ?, ?)`, f.Run, f.After+int64(i)+1, entry); err != nil {
			return err
		}
	}
	for _, one := range f.Begin {
		if err := enqueue(tx, one.NewRun, placedAt(one.To)); err != nil {
			return err
		}
	}
	// In this order: the end of a step adds events to those of the workflow.
	for _, one := range f.End {
		if err := endStep(ctx, tx, one); err != nil {
			return err
		}
	}
	if len(f.End) > 0 {
		if at, found, err = lockPosition(ctx, tx, f.Run); err != nil {
			return err
		}
	}
	if found {
		if at, err = addEvents(ctx, tx, f.Run, at, f.Encode); err != nil {
			return err
		}
	}
	if f.Ended == nil {
		return nil
	}
	if err := over(ctx, tx, f.Run, at, *f.Ended); err != nil {
		return err
	}
	if n, err := tx.exec(ctx, `DELETE FROM queue WHERE run = ? AND last = ?`, f.Run, at.last); err != nil || n != 1 {
		return fenced(n, err)
	}
	_, err = tx.exec(ctx, `DELETE FROM workflows WHERE run = ?`, f.Run)
	return err
}

// lockPosition locks the row of a run in the queue, if there is one, and returns how many events it has.
func lockPosition(ctx context.Context, tx *tx, id string) (at position, found bool, err error) {
	err = tx.rows(ctx, func(rows row) error {
		found = true
		return rows.Scan(&at.last, &at.bytes, &at.lines)
	}, `SELECT last, bytes, lines FROM queue WHERE run = ? FOR UPDATE`, id)
	return at, found, err
}

// addEvents adds events to a run in the queue, whose row is locked, and returns where it is then.
func addEvents(ctx context.Context, tx *tx, id string, at position, encode func(before int64) (store.Chunk, error)) (position, error) {
	if encode == nil {
		return at, nil
	}
	chunk, err := encode(at.last)
	if err != nil {
		return at, err
	}
	addChunk(tx, id, chunk, at.lines)
	for one := &chunk; one != nil; one = one.Next {
		at.last = one.Last
	}
	at.bytes, at.lines = at.sizes(chunk)
	_, err = tx.exec(ctx, `UPDATE queue SET last = ?, bytes = ?, lines = ? WHERE run = ?`, at.last, at.bytes, at.lines, id)
	return at, err
}

// addToParent adds the events of a step to those of its workflow, unless that is over.
func addToParent(ctx context.Context, tx *tx, p store.Parent, encode func(store.Parent, int64) (store.Chunk, error)) error {
	if p.Run == "" || encode == nil {
		return nil
	}
	at, found, err := lockPosition(ctx, tx, p.Run)
	if err != nil || !found {
		return err
	}
	_, err = addEvents(ctx, tx, p.Run, at, func(before int64) (store.Chunk, error) { return encode(p, before) })
	return err
}

// endStep asks for the end of a step's run. One that no runner has ends at once.
func endStep(ctx context.Context, tx *tx, e store.StepEnd) error {
	all, err := attempts(ctx, tx, `run = ? FOR UPDATE`, e.Run)
	if err != nil || len(all) == 0 {
		return err
	}
	if all[0].Runner == "" {
		return endLost(ctx, tx, all[0], func(store.Claimed) (store.Ended, error) { return e.Ended, nil }, "")
	}
	_, err = tx.exec(ctx, `UPDATE queue SET cancel = NOW WHERE run = ? AND cancel = 0`, e.Run)
	return err
}
