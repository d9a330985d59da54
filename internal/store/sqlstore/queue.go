package sqlstore

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/mayfly-run/mayfly/internal/store"
)

// Accept implements store.Queue.
func (s *Store) Accept(ctx context.Context, r store.NewRun, to *store.Lessee) error {
	return s.makeOnce(ctx, func(ctx context.Context, tx *tx) (any, error) {
		tx.tell = tx.tell || to == nil
		return nil, enqueue(tx, r, placedAt(to))
	})
}

// placed is who has a new run; it is zero for one that waits, which has no lease and has not started.
type placed struct {
	attempt int
	runner  string
	lease   int64 // in milliseconds
}

func placedAt(to *store.Lessee) placed {
	if to == nil {
		return placed{}
	}
	return placed{attempt: 1, runner: to.Runner, lease: to.Lease.Milliseconds()}
}

func enqueue(tx *tx, r store.NewRun, at placed) error {
	labels, err := json.Marshal(r.Labels)
	if err != nil {
		return err
	}
	needs, err := json.Marshal(r.Needs)
	if err != nil {
		return err
	}
	limits, err := limitText(r.Limits)
	if err != nil {
		return err
	}
	tx.add(newRuns, r.ID, r.Project, r.Tool, r.Version, r.Kind, r.Pool, r.Priority, string(labels), string(needs), r.AcceptedBy, r.Parent.Run, r.Parent.Step, r.Resumes,
		r.Size.CPU, r.Size.Memory, r.Size.Disk, limits)
	tx.add(newRequests, r.ID, r.Request)
	tx.add(newInQueue, r.ID, r.Project, r.Pool, string(needs), r.Priority, at.attempt, at.runner, at.lease, at.lease, at.lease, r.Parent.Run, r.Parent.Step,
		r.Size.CPU, r.Size.Memory, r.Size.Disk, r.Retries, limits, given(r.Secrets))
	return nil
}

// given is what the queue has of the secrets of a run.
func given(sealed []byte) any {
	if len(sealed) == 0 {
		return nil
	}
	return sealed
}

// Extend implements store.Queue.
func (s *Store) Extend(ctx context.Context, runner string, holds []store.Hold, lease time.Duration) (store.Extended, error) {
	var out store.Extended
	err := s.write(ctx, func(ctx context.Context, tx *tx) error {
		out = store.Extended{}
		for _, h := range holds {
			cancel := int64(-1)
			err := tx.rows(ctx, func(rows row) error { return rows.Scan(&cancel) },
				`UPDATE queue SET lease_until = NOW + ? WHERE run = ? AND attempt = ? AND runner = ? AND lease_until > NOW RETURNING cancel`,
				lease.Milliseconds(), h.Run, h.Attempt, runner)
			switch {
			case err != nil:
				return err
			case cancel < 0:
				out.Lost = append(out.Lost, h)
			case cancel > 0:
				out.Cancel = append(out.Cancel, h)
			}
		}
		return nil
	})
	return out, err
}

// position is where a run's row in the queue is.
type position struct {
	attempt      int
	runner       string
	held         bool  // its lease hasn't run out
	base, last   int64 // numbers of events: before this attempt, and in all
	bytes, lines int64
	parent       store.Parent
	limited      bool // the run has limits
}

const positionColumns = `attempt, runner, lease_until > NOW, base, last, bytes, lines, parent, step, limits <> ''`

func (p *position) columns() []any {
	return []any{&p.attempt, &p.runner, &p.held, &p.base, &p.last, &p.bytes, &p.lines, &p.parent.Run, &p.parent.Step, &p.limited}
}

// position returns where a run is in the queue. held says whether the runner has the attempt. What was read for the whole group is used for the
// first write on the run: the fence of what it writes keeps it out if something has changed since. A step is locked before its
// workflow, as everywhere.
func (t *tx) position(ctx context.Context, r store.Report) (at position, held bool, err error) {
	at, found := t.positions[r.Run]
	delete(t.positions, r.Run)
	if !found || at.parent.Run != "" {
		err = t.rows(ctx, func(rows row) error { return rows.Scan(at.columns()...) }, `SELECT `+positionColumns+` FROM queue WHERE run = ? FOR UPDATE`, r.Run)
	}
	return at, at.held && at.attempt == r.Attempt && at.runner == r.Runner, err
}

// Report implements store.Queue.
func (s *Store) Report(ctx context.Context, r store.Report) (int64, error) {
	var last int64
	err := s.carry(&write{ctx: ctx, run: r.Run, do: func(ctx context.Context, tx *tx) (err error) {
		last, err = report(ctx, tx, r)
		tx.tell, tx.events = tx.tell || r.Ended != nil, tx.events || r.Count > 0
		return err
	}})
	return last, err
}

// report adds a report to its run. It returns the number of the last event of the attempt.
func report(ctx context.Context, tx *tx, r store.Report) (int64, error) {
	at, held, err := tx.position(ctx, r)
	if err != nil {
		return 0, err
	}
	if !held {
		return repeated(ctx, tx, r)
	}
	have := at.last - at.base
	switch {
	case r.First > have+1:
		return have, refused{store.ErrGap}
	case r.First+r.Count-1 <= have && r.Ended == nil:
		return have, nil // it came before
	case r.First <= have:
		return have, refused{store.ErrGap} // a part of it came before; the runner sends the rest
	}
	end := position{last: at.last + r.Count, bytes: at.bytes, lines: at.lines, parent: at.parent, limited: at.limited}
	if r.Count > 0 {
		chunk, err := r.Encode(at.last)
		if err != nil {
			return have, err
		}
		addChunk(tx, r.Run, chunk, at.lines)
		end.bytes, end.lines = at.sizes(chunk)
		if err := addToParent(ctx, tx, at.parent, r.EncodeFor); err != nil {
			return have, err
		}
	}
	if r.Ended != nil {
		if err := over(ctx, tx, r.Run, end, *r.Ended); err != nil {
			return have, err
		}
		tx.add(reportedAll, r.Run, r.Attempt, r.Runner, at.last)
	} else {
		tx.add(reportedOn, r.Run, r.Attempt, r.Runner, at.last, end.last, end.bytes, end.lines, string(r.State), r.Lease.Milliseconds())
	}
	return have + r.Count, nil
}

// fenced fails a write that the fence kept out, so that nothing of its transaction stays.
func fenced(n int64, err error) error {
	if err == nil && n != 1 {
		return store.ErrNotHeld
	}
	return err
}

// repeated answers a report on an attempt that isn't the runner's: with its receipt, if it is the one that ended the run.
func repeated(ctx context.Context, tx *tx, r store.Report) (int64, error) {
	if r.Ended == nil {
		return 0, refused{store.ErrNotHeld}
	}
	var err error = refused{store.ErrNotHeld}
	failed := tx.rows(ctx, func(row) error { err = nil; return nil },
		`SELECT id FROM runs WHERE id = ? AND attempt = ? AND runner = ? AND finished > 0 AND status = ?`, r.Run, r.Attempt, r.Runner, string(r.Ended.Status))
	if failed != nil {
		return 0, failed
	}
	return r.First + r.Count - 1, err
}

// sizes are those after a chunk, and those that follow it.
func (p position) sizes(c store.Chunk) (bytes, lines int64) {
	bytes, lines = p.bytes, p.lines
	for one := &c; one != nil; one = one.Next {
		bytes, lines = bytes+one.Bytes, lines+one.Lines
	}
	return bytes, lines
}

// addChunk adds a chunk, and those that follow it, after so many lines.
func addChunk(tx *tx, id string, c store.Chunk, lines int64) {
	for one := &c; one != nil; one = one.Next {
		one.FirstLine = lines + 1
		insertChunk(tx, id, one)
		lines += one.Lines
	}
}

// over moves what the queue knows of a run into its history, with its result.
func over(ctx context.Context, tx *tx, id string, at position, e store.Ended) error {
	tx.add(newResults, id, e.Result)
	ended := endedRuns
	if tx.detailed {
		ended = endedInFull
	}
	tx.add(ended, id, string(e.Status), e.ExitCode, string(e.Code), e.Reason, at.last, at.bytes, at.lines)
	tx.ended = append(tx.ended, store.Over{Run: id, Status: e.Status, ExitCode: e.ExitCode, Code: e.Code})
	if at.parent.Run == "" {
		tx.counted = append(tx.counted, id)
	}
	if at.limited {
		if _, err := tx.exec(ctx, `DELETE FROM running WHERE run = ?`, id); err != nil {
			return err
		}
	}
	if at.parent.Run == "" {
		return nil
	}
	return happened(ctx, tx, at.parent.Run)
}

// Cancel implements store.Queue.
func (s *Store) Cancel(ctx context.Context, project, id string, ended store.Ended) (string, error) {
	var runner string
	err := s.carry(&write{ctx: ctx, run: id, do: func(ctx context.Context, tx *tx) error {
		runner = ""
		found := false
		var at position
		err := tx.rows(ctx, func(rows row) error {
			found = true
			return rows.Scan(&runner, &at.last, &at.bytes, &at.lines, &at.parent.Run, &at.parent.Step, &at.limited)
		}, `UPDATE queue SET cancel = CASE WHEN cancel = 0 THEN NOW ELSE cancel END WHERE run = ? AND project = ? RETURNING runner, last, bytes, lines, parent, step, limits <> ''`, id, project)
		if err != nil {
			return err
		}
		if !found {
			return s.missing(ctx, tx, project, id)
		}
		tx.tell = true
		if runner == serverItself {
			runner = ""
			return happened(ctx, tx, id)
		}
		if runner != "" {
			return nil
		}
		if at, err = encodeEnd(ctx, tx, id, at, ended); err != nil {
			return err
		}
		if err := over(ctx, tx, id, at, ended); err != nil {
			return err
		}
		n, err := tx.exec(ctx, `DELETE FROM queue WHERE run = ? AND `+waits+` AND last = ?`, id, at.base)
		return fenced(n, err)
	}})
	return runner, err
}

// encodeEnd adds the events that the server itself has for the end of a run. base of what it returns is the number of events
// before them.
func encodeEnd(ctx context.Context, tx *tx, id string, at position, e store.Ended) (position, error) {
	at.base = at.last
	if e.Encode == nil {
		return at, nil
	}
	chunk, err := e.Encode(at.last)
	if err != nil {
		return at, err
	}
	addChunk(tx, id, chunk, at.lines)
	at.last = chunk.Last
	at.bytes, at.lines = at.sizes(chunk)
	return at, addToParent(ctx, tx, at.parent, e.EncodeFor)
}

// missing says why a run isn't in the queue.
func (s *Store) missing(ctx context.Context, tx *tx, project, id string) error {
	err := refused{store.ErrNotFound}
	failed := tx.rows(ctx, func(row) error { err = refused{store.ErrOver}; return nil }, `SELECT id FROM runs WHERE id = ? AND project = ?`, id, project)
	if failed != nil {
		return failed
	}
	return err
}

// expired is an attempt that ends without its runner.
type expired struct {
	store.Claimed
	at position
}

// Expire implements store.Queue.
func (s *Store) Expire(ctx context.Context, most int, ended func(store.Claimed) (store.Ended, error)) ([]string, error) {
	var ids []string
	err := s.write(ctx, func(ctx context.Context, tx *tx) error {
		ids = nil
		all, err := attempts(ctx, tx, `runner <> '' AND lease_until <= NOW ORDER BY lease_until LIMIT ? FOR UPDATE SKIP LOCKED`, most)
		if err != nil {
			return err
		}
		for _, e := range all {
			if err := endLost(ctx, tx, e, ended, ` AND lease_until <= NOW`); err != nil {
				return err
			}
			ids = append(ids, e.Run)
			tx.tell = true
		}
		return nil
	})
	return ids, err
}

// attempts returns attempts of the queue.
func attempts(ctx context.Context, tx *tx, where string, args ...any) ([]expired, error) {
	var all []expired
	err := tx.rows(ctx, func(rows row) error {
		var e expired
		err := rows.Scan(&e.Run, &e.Project, &e.Attempt, &e.Runner, &e.at.base, &e.at.last, &e.at.bytes, &e.at.lines, &e.at.parent.Run, &e.at.parent.Step, &e.at.limited,
			&e.Retries, &e.Cancelling)
		e.Last, e.Reported = e.at.last, e.at.last != e.at.base
		all = append(all, e)
		return err
	}, `SELECT run, project, attempt, runner, base, last, bytes, lines, parent, step, limits <> '', retries, cancel > 0 FROM queue WHERE `+where, args...)
	return all, err
}

// endLost ends an attempt in its runner's place, and its run unless it is to be given to another one. fence is a further condition on its row.
func endLost(ctx context.Context, tx *tx, e expired, ended func(store.Claimed) (store.Ended, error), fence string) error {
	end, err := ended(e.Claimed)
	if err != nil {
		return err
	}
	at, err := encodeEnd(ctx, tx, e.Run, e.at, end)
	if err != nil {
		return err
	}
	if end.Again {
		n, err := tx.exec(ctx, `UPDATE queue SET runner = '', lease_until = 0, state = 'queued', retries = retries - 1, last = ?, bytes = ?, lines = ?
			WHERE run = ? AND attempt = ? AND runner = ? AND last = ?`+fence, at.last, at.bytes, at.lines, e.Run, e.Attempt, e.Runner, at.base)
		return fenced(n, err)
	}
	if err := over(ctx, tx, e.Run, at, end); err != nil {
		return err
	}
	n, err := tx.exec(ctx, `DELETE FROM queue WHERE run = ? AND attempt = ? AND runner = ? AND last = ?`+fence, e.Run, e.Attempt, e.Runner, at.base)
	return fenced(n, err)
}

// Reclaim implements store.Queue.
func (s *Store) Reclaim(ctx context.Context, runner string, holds []store.Hold, ended func(store.Claimed) (store.Ended, error)) (waiting, over []string, err error) {
	err = s.write(ctx, func(ctx context.Context, tx *tx) error {
		waiting, over = nil, nil
		all, err := attempts(ctx, tx, `runner = ? AND runner <> '' FOR UPDATE`, runner)
		if err != nil {
			return err
		}
		for _, e := range all {
			switch {
			case slices.Contains(holds, store.Hold{Run: e.Run, Attempt: e.Attempt}):
				continue
			case !e.Reported && !e.Cancelling:
				err = release(ctx, tx, e)
				waiting = append(waiting, e.Run)
			default:
				err = endLost(ctx, tx, e, ended, "")
				over = append(over, e.Run)
			}
			if err != nil {
				return err
			}
			tx.tell = true
		}
		return nil
	})
	return waiting, over, err
}

// Release implements store.Queue.
func (s *Store) Release(ctx context.Context, runner string, h store.Hold, ended func(store.Claimed) (store.Ended, error)) (over bool, err error) {
	err = s.write(ctx, func(ctx context.Context, tx *tx) error {
		over = false
		all, err := attempts(ctx, tx, `run = ? AND attempt = ? AND runner = ? AND last = base FOR UPDATE`, h.Run, h.Attempt, runner)
		if err != nil || len(all) == 0 {
			return err
		}
		tx.tell = true
		if over = all[0].Cancelling; over {
			return endLost(ctx, tx, all[0], ended, "")
		}
		return release(ctx, tx, all[0])
	})
	return over, err
}

func release(ctx context.Context, tx *tx, e expired) error {
	_, err := tx.exec(ctx, `UPDATE queue SET runner = '', lease_until = 0 WHERE run = ? AND attempt = ? AND runner = ? AND last = base`, e.Run, e.Attempt, e.Runner)
	return err
}

// Renew implements store.Queue.
func (s *Store) Renew(ctx context.Context, lease time.Duration) error {
	return s.write(ctx, func(ctx context.Context, tx *tx) error {
		_, err := tx.exec(ctx, `UPDATE queue SET lease_until = NOW + ? WHERE runner <> '' AND lease_until < NOW + ?`, lease.Milliseconds(), lease.Milliseconds())
		return err
	})
}

// Cancelling implements store.Queue.
func (s *Store) Cancelling(ctx context.Context) (all []store.Leased, err error) {
	err = s.read(ctx, func(rows row) error {
		var l store.Leased
		err := rows.Scan(&l.Run, &l.Attempt, &l.Runner)
		all = append(all, l)
		return err
	}, `SELECT run, attempt, runner FROM queue WHERE cancel > 0 AND runner <> '' AND pool <> ''`)
	return all, err
}

// Progress implements store.Queue.
func (s *Store) Progress(ctx context.Context, ids []string) (map[string]int64, error) {
	last := make(map[string]int64, len(ids))
	err := someOf(ids, func(args []any) error {
		return s.read(ctx, func(rows row) error {
			var id string
			var n int64
			err := rows.Scan(&id, &n)
			last[id] = n
			return err
		}, `SELECT run, last FROM queue WHERE run IN (`+someMarks+`)`, args...)
	})
	if err != nil {
		return nil, err
	}
	return last, nil
}
