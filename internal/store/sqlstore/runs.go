package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// columns are those of a run: of its history, and of the queue where it isn't over.
const columns = `r.id, r.project, r.tool, r.version, r.kind, COALESCE(q.state, r.status), r.exit_code, r.code, r.reason, r.pool,
	COALESCE(q.runner, r.runner), COALESCE(q.attempt, r.attempt), r.priority, r.labels, r.needs, COALESCE(q.cancel, 0), r.accepted, r.accepted_by,
	COALESCE(q.started, r.started), r.finished, COALESCE(q.last, r.events), COALESCE(q.bytes, r.bytes), COALESCE(q.lines, r.lines),
	r.parent, r.step, r.resumes, r.cpu, r.memory, r.disk, r.limits
	FROM runs r LEFT JOIN queue q ON q.run = r.id`

func scanRun(rows *sql.Rows) (store.Run, error) {
	var r store.Run
	var status, code, labels, needs, limits string
	var cancel, accepted, started, finished int64
	err := rows.Scan(&r.ID, &r.Project, &r.Tool, &r.Version, &r.Kind, &status, &r.ExitCode, &code, &r.Reason, &r.Pool,
		&r.Runner, &r.Attempt, &r.Priority, &labels, &needs, &cancel, &accepted, &r.AcceptedBy, &started, &finished, &r.Events, &r.EventBytes, &r.Lines, &r.Parent.Run, &r.Parent.Step, &r.Resumes,
		&r.Size.CPU, &r.Size.Memory, &r.Size.Disk, &limits)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal([]byte(labels), &r.Labels); err != nil {
		return r, fmt.Errorf("read the labels of run %s: %w", r.ID, err)
	}
	if err := json.Unmarshal([]byte(needs), &r.Needs); err != nil {
		return r, fmt.Errorf("read the needs of run %s: %w", r.ID, err)
	}
	if r.Limits, err = limitsOf(limits); err != nil {
		return r, fmt.Errorf("read the limits of run %s: %w", r.ID, err)
	}
	r.Status, r.Code, r.Cancelling, r.Over = run.State(status), run.Code(code), cancel > 0, finished > 0
	r.Accepted, r.Started, r.Finished = timeOf(accepted), timeOf(started), timeOf(finished)
	return r, nil
}

// timeOf returns the time of the database's milliseconds; 0 is no time.
func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// Run implements store.Runs.
func (s *Store) Run(ctx context.Context, project, id string) (r store.Run, err error) {
	found := false
	err = s.read(ctx, func(rows *sql.Rows) (err error) {
		found = true
		r, err = scanRun(rows)
		return err
	}, `SELECT `+columns+` WHERE r.id = ? AND r.project = ?`, id, project)
	if err == nil && !found {
		err = store.ErrNotFound
	}
	return r, err
}

// Runs implements store.Runs.
func (s *Store) Runs(ctx context.Context, f store.Filter) ([]store.Run, error) {
	where, args := []string{"r.project = ?", "r.parent = ''"}, []any{f.Project}
	if f.Tool != "" {
		where, args = append(where, "r.tool = ?"), append(args, f.Tool)
	}
	if f.Before != "" {
		where, args = append(where, "r.id < ?"), append(args, f.Before)
	}
	if len(f.Status) > 0 {
		marks := strings.Repeat(", ?", len(f.Status))[2:]
		where = append(where, "COALESCE(q.state, r.status) IN ("+marks+")")
		for _, st := range f.Status {
			args = append(args, string(st))
		}
	}
	runs := []store.Run{}
	err := s.read(ctx, func(rows *sql.Rows) error {
		r, err := scanRun(rows)
		runs = append(runs, r)
		return err
	}, `SELECT `+columns+` WHERE `+strings.Join(where, " AND ")+` ORDER BY r.id DESC LIMIT ?`, append(args, f.Most)...)
	return runs, err
}

// Request implements store.Runs.
func (s *Store) Request(ctx context.Context, project, id string) (request []byte, err error) {
	err = s.read(ctx, func(rows *sql.Rows) error { return rows.Scan(&request) },
		`SELECT q.request FROM requests q JOIN runs r ON r.id = q.run WHERE r.id = ? AND r.project = ?`, id, project)
	if err == nil && request == nil {
		err = store.ErrNotFound
	}
	return request, err
}

// Chunks implements store.Runs.
func (s *Store) Chunks(ctx context.Context, id string, after int64, most int) ([]store.Chunk, error) {
	return s.chunks(ctx, most, `run = ? AND last > ?`, func(last store.Chunk) []any {
		if last.Last > after {
			after = last.Last
		}
		return []any{id, after}
	})
}

// ChunksOfLines implements store.Runs.
func (s *Store) ChunksOfLines(ctx context.Context, id string, first, last int64, most int) ([]store.Chunk, error) {
	chunks, err := s.chunks(ctx, most, `run = ? AND first_line <= ? AND first_line + lines >= ? AND last > ?`, func(c store.Chunk) []any {
		return []any{id, last, first, c.Last}
	})
	if err != nil || len(chunks) == 0 {
		return chunks, err
	}
	end := &chunks[len(chunks)-1]
	end.LastOfRun = true
	return chunks, s.read(ctx, func(*sql.Rows) error { end.LastOfRun = false; return nil }, `SELECT 1 FROM chunks WHERE run = ? AND last > ? LIMIT 1`, id, end.Last)
}

// chunks returns chunks until they have more than most bytes. from returns the parameters for those after one.
func (s *Store) chunks(ctx context.Context, most int, where string, from func(after store.Chunk) []any) ([]store.Chunk, error) {
	const page = 64
	var chunks []store.Chunk
	var last store.Chunk
	for size := int64(0); size <= int64(most); {
		n := 0
		err := s.read(ctx, func(rows *sql.Rows) error {
			var c store.Chunk
			err := rows.Scan(&c.First, &c.Last, &c.FirstLine, &c.Lines, &c.Bytes, &c.Data)
			n++
			if size > int64(most) {
				return err // the page has more than was asked for
			}
			chunks, last, size = append(chunks, c), c, size+c.Bytes
			return err
		}, `SELECT first, last, first_line, lines, bytes, data FROM chunks WHERE `+where+` ORDER BY first LIMIT ?`, append(from(last), page)...)
		if err != nil || n < page {
			return chunks, err
		}
	}
	return chunks, nil
}
