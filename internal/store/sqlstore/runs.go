package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// columns are those of a run: of its history, and of the queue where it isn't over.
const columns = `r.id, r.project, r.tool, r.version, r.kind, COALESCE(q.state, r.status), r.exit_code, r.code, r.reason, r.pool,
	COALESCE(q.runner, r.runner), COALESCE(q.attempt, r.attempt), r.priority, r.labels, r.needs, COALESCE(q.cancel, 0), r.accepted, r.accepted_by,
	COALESCE(q.started, r.started), r.finished, COALESCE(q.last, r.events), COALESCE(q.bytes, r.bytes), COALESCE(q.lines, r.lines), r.log_removed,
	r.parent, r.step, r.resumes, r.cpu, r.memory, r.disk, r.limits
	FROM runs r LEFT JOIN queue q ON q.run = r.id`

func scanRun(rows row) (store.Run, error) {
	var r store.Run
	var status, code, labels, needs, limits string
	var cancel, accepted, started, finished, removed int64
	err := rows.Scan(&r.ID, &r.Project, &r.Tool, &r.Version, &r.Kind, &status, &r.ExitCode, &code, &r.Reason, &r.Pool,
		&r.Runner, &r.Attempt, &r.Priority, &labels, &needs, &cancel, &accepted, &r.AcceptedBy, &started, &finished, &r.Events, &r.EventBytes, &r.Lines, &removed,
		&r.Parent.Run, &r.Parent.Step, &r.Resumes, &r.Size.CPU, &r.Size.Memory, &r.Size.Disk, &limits)
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
	r.Accepted, r.Started, r.Finished, r.LogRemoved = timeOf(accepted), timeOf(started), timeOf(finished), timeOf(removed)
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
	err = s.read(ctx, func(rows row) (err error) {
		found = true
		r, err = scanRun(rows)
		return err
	}, `SELECT `+columns+` WHERE r.id = ? AND r.project = ?`, id, project)
	if err == nil && !found {
		err = store.ErrNotFound
	}
	return r, err
}

// Request implements store.Runs.
func (s *Store) Request(ctx context.Context, project, id string) (request []byte, err error) {
	err = s.read(ctx, func(rows row) error { return rows.Scan(&request) },
		`SELECT q.request FROM requests q JOIN runs r ON r.id = q.run WHERE r.id = ? AND r.project = ?`, id, project)
	if err == nil && request == nil {
		err = store.ErrNotFound
	}
	return request, err
}
