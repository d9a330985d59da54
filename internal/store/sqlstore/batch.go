package sqlstore

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/store"
)

// A statement for many rows takes little longer than one for a single row, above all with PostgreSQL, where each statement is a round trip.
// So the rows that the writes of a group add or change most often are collected, and written together: before the group's next other
// statement, and at its end.

// If a statement fails, its transaction is rolled back. OR FAIL tells SQLite that it needn't be able to undo the statement alone, for which it
// copies pages.

// statements has the statements of one kind, by the number of rows.
type statements map[int]string

// together are the numbers of rows for which there are statements of each kind: each connection keeps those that it has prepared.
var together = []int{64, 16, 4, 1}

func statementsFor(before, row, after string) statements {
	all := statements{}
	for _, n := range together {
		all[n] = before + row + strings.Repeat(", "+row, n-1) + after
	}
	return all
}

// each calls do with statements for all rows, the largest first, and the parameters of each.
func (all statements) each(rows [][]any, do func(statement string, n int, args []any)) {
	for len(rows) > 0 {
		n := 0
		for size := range all {
			if size <= len(rows) {
				n = max(n, size)
			}
		}
		do(all[n], n, slices.Concat(rows[:n]...))
		rows = rows[n:]
	}
}

// kind describes rows that are written together.
type kind struct {
	statements

	fewer error                      // the statement changes fewer rows than it has; nil if it can't
	scan  func(t *tx, row row) error // reads a row that the statement returns; nil if it returns none
}

func kindOf(before, row, after string, fewer error) *kind {
	return &kind{statements: statementsFor(before, row, after), fewer: fewer}
}

// marks is a row of n parameters.
func marks(n int) string { return "(?" + strings.Repeat(", ?", n-1) + ")" }

// end is how endedRuns ends a run. What the queue knows of it goes into its history.
const end = `) UPDATE OR FAIL runs SET status = v.status, exit_code = v.exit_code, code = v.code, reason = v.reason, events = v.events, bytes = v.bytes, lines = v.lines,
	finished = NOW, runner = q.runner, attempt = q.attempt, started = q.started FROM v JOIN queue q ON q.run = v.run WHERE runs.id = v.run AND runs.finished = 0`

// The rows of WITH have types only by their casts.
const (
	endRow     = `(?, ?, CAST(? AS BIGINT), ?, ?, CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS BIGINT))`
	endColumns = `WITH v(run, status, exit_code, code, reason, events, bytes, lines) AS (VALUES `
)

var (
	newRuns = kindOf(`INSERT OR FAIL INTO runs (id, project, tool, version, kind, status, exit_code, code, reason, pool, runner, attempt, priority, labels, needs,
		accepted, accepted_by, started, finished, events, bytes, lines, parent, step, resumes, cpu, memory, disk, limits) VALUES `,
		`(?, ?, ?, ?, ?, 'queued', 0, '', '', ?, '', 0, ?, ?, ?, NOW, ?, 0, 0, 0, 0, 0, ?, ?, ?, ?, ?, ?, ?)`, ``, nil)
	newRequests = kindOf(`INSERT OR FAIL INTO requests (run, request) VALUES `, marks(2), ``, nil)
	newInQueue  = kindOf(`INSERT OR FAIL INTO queue (run, project, pool, needs, priority, state, attempt, runner, lease_until, started, base, last, bytes, lines, cancel,
		parent, step, cpu, memory, disk, retries, limits, secrets) VALUES `,
		`(?, ?, ?, ?, ?, 'queued', ?, ?, CASE WHEN ? > 0 THEN NOW + ? ELSE 0 END, CASE WHEN ? > 0 THEN NOW ELSE 0 END, 0, 0, 0, 0, 0, ?, ?, ?, ?, ?, ?, ?, CAST(? AS BLOB))`, ``, nil)
	// An answer that is too old stays until it is forgotten. Another server may have written an answer for the same key since look read them.
	newAnswers = kindOf(`INSERT OR FAIL INTO answers (token, idempotency_key, print, body, created) VALUES `, `(?, ?, ?, ?, NOW)`,
		fmt.Sprintf(` ON CONFLICT (token, idempotency_key) DO UPDATE SET print = excluded.print, body = excluded.body, created = excluded.created
		WHERE answers.created <= NOW - %d`, store.AnswersKept.Milliseconds()), errTaken)
	newChunks   = kindOf(`INSERT OR FAIL INTO chunks (run, first, last, first_line, lines, bytes, data, checksum, object, at, size, output) VALUES `, marks(12), ``, nil)
	newResults  = kindOf(`INSERT OR FAIL INTO results (run, result) VALUES `, marks(2), ``, nil)
	endedRuns   = kindOf(endColumns, endRow, end, store.ErrOver)
	endedInFull = &kind{statementsFor(endColumns, endRow, end+` RETURNING runs.id, runs.project, runs.tool, runs.kind, runs.parent, runs.step, runs.attempt,
		runs.accepted, runs.started, runs.finished`), store.ErrOver, (*tx).scanEnded}
	// The fence of a runner: it has the attempt, and what the queue knows of it is what was read.
	reportedOn = kindOf(`WITH v(run, attempt, runner, before, last, bytes, lines, state, lease) AS (VALUES `,
		`(?, CAST(? AS BIGINT), ?, CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS BIGINT), ?, CAST(? AS BIGINT))`,
		`) UPDATE OR FAIL queue SET last = v.last, bytes = v.bytes, lines = v.lines, state = CASE WHEN v.state = '' THEN queue.state ELSE v.state END, lease_until = NOW + v.lease
		FROM v WHERE queue.run = v.run AND queue.attempt = v.attempt AND queue.runner = v.runner AND queue.last = v.before AND queue.lease_until > NOW`, store.ErrNotHeld)
	reportedAll = kindOf(`WITH v(run, attempt, runner, before) AS (VALUES `, `(?, CAST(? AS BIGINT), ?, CAST(? AS BIGINT))`,
		`) DELETE FROM queue WHERE run IN (SELECT run FROM v) AND (run, attempt, runner, last) IN (SELECT run, attempt, runner, before FROM v) AND lease_until > NOW`,
		store.ErrNotHeld)
)

// kinds are in the order in which a write that adds rows of several kinds needs them.
var kinds = []*kind{newRuns, newRequests, newInQueue, newAnswers, newChunks, newResults, endedRuns, endedInFull, reportedOn, reportedAll, countedEnds, newEntries}

// add has a row be written with others of its kind.
func (t *tx) add(k *kind, row ...any) {
	if t.rowsOf == nil {
		t.rowsOf = map[*kind][][]any{}
	}
	t.rowsOf[k] = append(t.rowsOf[k], row)
}

// flush writes the rows that were added, and carries out other statements after them. Once it has failed, it always fails: the rows may be
// those of another write than the one that gets the error.
func (t *tx) flush(ctx context.Context, after ...*call) error {
	if t.failed == nil {
		t.failed = t.c.all(ctx, append(t.collected(), after...))
	}
	return t.failed
}

// collected returns the statements for the rows that were added, which it forgets.
func (t *tx) collected() []*call {
	if len(t.rowsOf) == 0 {
		return nil
	}
	var calls []*call
	for _, k := range kinds {
		k.each(t.rowsOf[k], func(statement string, n int, args []any) {
			one := &call{statement: statement, args: args}
			if k.fewer != nil {
				one.rows, one.fewer = int64(n), k.fewer
			}
			if k.scan != nil {
				one.scan = func(row row) error { return k.scan(t, row) }
			}
			calls = append(calls, one)
		})
	}
	clear(t.rowsOf)
	return calls
}

// scanEnded completes what observers are told of a run that has ended.
func (t *tx) scanEnded(row row) error {
	var one store.Over
	var accepted, started, finished int64
	if err := row.Scan(&one.Run, &one.Project, &one.Tool, &one.Kind, &one.Parent.Run, &one.Parent.Step, &one.Attempt, &accepted, &started, &finished); err != nil {
		return err
	}
	for i := range t.ended {
		if e := &t.ended[i]; e.Run == one.Run {
			one.Status, one.ExitCode, one.Code = e.Status, e.ExitCode, e.Code
			one.Accepted, one.Started, one.Finished = timeOf(accepted), timeOf(started), timeOf(finished)
			*e = one
		}
	}
	return nil
}

var (
	lockRows      = statementsFor(`SELECT run FROM queue WHERE run IN (`, `?`, `) ORDER BY run FOR UPDATE`)
	readPositions = statementsFor(`WITH v(run) AS (VALUES `, `(?)`, `) SELECT run, `+positionColumns+` FROM queue WHERE run IN (SELECT run FROM v)`)
	readAnswers   = statementsFor(`WITH v(token, idempotency_key) AS (VALUES `, `(CAST(? AS BLOB), ?)`, fmt.Sprintf(`)
		SELECT a.token, a.idempotency_key FROM v JOIN answers a ON a.token = v.token AND a.idempotency_key = v.idempotency_key
		WHERE a.created > NOW - %d`, store.AnswersKept.Milliseconds()))
)

// look returns the statements that read for all writes of a group which of them have an answer already, and where their runs are in the
// queue. A write that is alone locks the position of its run when it reads it.
func (t *tx) look(group []*write) (calls []*call) {
	t.positions, t.answered = map[string]position{}, map[answer]bool{}
	var runs, keys [][]any
	for _, one := range group {
		if one.run != "" && len(group) > 1 {
			runs = append(runs, []any{one.run})
		}
		if one.once != nil {
			keys = append(keys, []any{one.once.Token, one.once.Key})
		}
	}
	add := func(scan func(row row) error) func(string, int, []any) {
		return func(statement string, _ int, args []any) {
			calls = append(calls, &call{statement: statement, args: args, scan: scan})
		}
	}
	readPositions.each(runs, add(func(row row) error {
		var id string
		var at position
		err := row.Scan(append([]any{&id}, at.columns()...)...)
		t.positions[id] = at
		return err
	}))
	readAnswers.each(keys, add(func(row row) error {
		var token []byte
		var key string
		err := row.Scan(&token, &key)
		t.answered[answer{string(token), key}] = true
		return err
	}))
	return calls
}

// lockSteps returns the statements that lock the steps that reports, cancels and steps forward of a group are about, and then their workflows, each
// in the order of their ids. One after another, writes lock a step and its workflow, and then another step: two groups that do so wait for each
// other, which PostgreSQL notices after a second. Other writes that lock several runs are rare; they are tried again then.
func (t *tx) lockSteps(group []*write) (calls []*call) {
	var steps, flows []string
	ends := false // a step forward ends steps
	for _, one := range group {
		at := t.positions[one.run]
		if at.parent.Run != "" {
			steps, flows = append(steps, one.run), append(flows, at.parent.Run)
		}
		if at.runner == serverItself {
			flows = append(flows, one.run)
		}
		if one.forward != nil {
			flows = append(flows, one.forward.Run)
			for _, end := range one.forward.End {
				steps, ends = append(steps, end.Run), true
			}
		}
	}
	if len(steps) < 2 && len(flows) < 2 && !ends {
		return nil // the write itself locks a step before its workflow
	}
	for _, ids := range [][]string{steps, flows} {
		var rows [][]any
		for _, id := range slices.Compact(slices.Sorted(slices.Values(ids))) {
			rows = append(rows, []any{id})
		}
		lockRows.each(rows, func(statement string, _ int, args []any) {
			calls = append(calls, &call{statement: statement, args: args, scan: func(row) error { return nil }})
		})
	}
	return calls
}
