package sqlstore

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// How runs ended is counted with their ends, in a few rows for each tool, so that statistics read no runs. The statement is the last one of a
// group, the only one of its kind unless more than mostGrouped runs end together, and its rows have an order: whoever writes to the same rows waits
// for the commit, and for nothing else. Runs of steps aren't counted.

// shards is among how many rows the writers of the servers of a database are spread.
const shards = 8

var countedEnds = newCountedEnds()

func newCountedEnds() *kind {
	columns := endedColumns()
	values := []string{"SUM(e.waited) AS waited", "MAX(e.waited) AS waited_most"}
	for _, status := range run.Ends() {
		values = append(values, fmt.Sprintf("SUM(CASE WHEN e.status = '%[1]s' THEN 1 ELSE 0 END) AS %[1]s", status))
	}
	bucket := "CASE WHEN r.started = 0 THEN -1"
	var h store.Histogram
	for i := range h {
		values = append(values, fmt.Sprintf("SUM(CASE WHEN e.took = %[1]d THEN 1 ELSE 0 END) AS took%[1]d", i))
		if i < len(h)-1 {
			bucket += fmt.Sprintf(" WHEN r.finished - r.started < %d THEN %d", h.Bound(i).Milliseconds(), i)
		}
	}
	bucket += fmt.Sprintf(" ELSE %d END", len(h)-1)
	var sums, add []string
	for _, c := range columns {
		sums = append(sums, sumOf("h."+c))
		if c == "waited_most" {
			add = append(add, "waited_most = CASE WHEN excluded.waited_most > ended.waited_most THEN excluded.waited_most ELSE ended.waited_most END")
		} else {
			add = append(add, fmt.Sprintf("%[1]s = ended.%[1]s + excluded.%[1]s", c))
		}
	}
	before, row, after := `WITH v(run, shard) AS (VALUES `, `(?, CAST(? AS BIGINT))`, `), hours AS (
			SELECT e.project, e.hour, e.tool, e.shard, `+strings.Join(values, ", ")+`
			FROM (SELECT r.project, `+toolOf+` AS tool, `+fmt.Sprintf("r.finished / %[1]d * %[1]d", spanOf(false))+` AS hour, r.status, v.shard,
					CASE WHEN r.started = 0 THEN 0 ELSE r.started - r.accepted END AS waited, `+bucket+` AS took
				FROM v JOIN runs r ON r.id = v.run WHERE r.kind <> 'test') e
			GROUP BY e.project, e.hour, e.tool, e.shard)
		INSERT INTO ended (project, span, tool, start, shard, `+strings.Join(columns, ", ")+`)
		SELECT h.project, s.column1, CASE WHEN t.column1 = 1 THEN '`+allTools+`' ELSE h.tool END, h.hour / s.column1 * s.column1, h.shard, `+strings.Join(sums, ", ")+`
		FROM hours h CROSS JOIN (VALUES `+fmt.Sprintf("(%d), (%d)", spanOf(false), spanOf(true))+`) s CROSS JOIN (VALUES (0), (1)) t
		WHERE true GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
		ON CONFLICT (project, span, tool, start, shard) DO UPDATE SET `+strings.Join(add, ", ")
	k := kindOf(before, row, after, nil)
	k.statements[mostGrouped] = before + row + strings.Repeat(", "+row, mostGrouped-1) + after
	return k
}

// allTools is the tool of the rows that have all tools. No tool has this name.
const allTools = "*"

// toolOf is the tool that a run is counted for: none for a definition that came with the request, whose name is the client's.
const toolOf = "CASE WHEN r.version > 0 THEN r.tool ELSE '' END"

// spanOf is the length of an hour or a day in the database.
func spanOf(days bool) int64 {
	if days {
		return (24 * time.Hour).Milliseconds()
	}
	return time.Hour.Milliseconds()
}

// countEnds counts the runs that have ended in the transaction. No run has the id of the rows that fill the statement.
func (t *tx) countEnds(shard int) {
	for _, id := range t.counted {
		t.add(countedEnds, id, shard)
	}
	for n := len(t.counted); n > 0 && n < mostGrouped && countedEnds.statements[n] == ""; n++ {
		t.add(countedEnds, "", shard)
	}
}

// endedColumns are the columns that are counted.
func endedColumns() []string {
	columns := []string{"waited", waitedMost}
	for _, status := range run.Ends() {
		columns = append(columns, string(status))
	}
	for i := range (store.Histogram{}) {
		columns = append(columns, fmt.Sprint("took", i))
	}
	return columns
}

const waitedMost = "waited_most"

// sumOf is the sum of a column over several rows, and the largest of what is the most.
func sumOf(column string) string {
	if strings.HasSuffix(column, waitedMost) {
		return "MAX(" + column + ")"
	}
	return "CAST(SUM(" + column + ") AS BIGINT)"
}

// EndedOver implements store.Statistics.
func (s *Store) EndedOver(ctx context.Context, f store.EndedFilter) ([]store.Ends, error) {
	return s.sums(ctx, f, "start", " AND tool = ?", cmp.Or(f.Tool, allTools))
}

// EndedOf implements store.Statistics.
func (s *Store) EndedOf(ctx context.Context, f store.EndedFilter) ([]store.Ends, error) {
	if f.Tool != "" {
		return s.sums(ctx, f, "tool", " AND tool = ?", f.Tool)
	}
	return s.sums(ctx, f, "tool", " AND tool <> ?", allTools)
}

// EndedIn implements store.Statistics.
func (s *Store) EndedIn(ctx context.Context, projects []string, since time.Time) (map[string]map[run.State]int64, error) {
	all, ends, span := map[string]map[run.State]int64{}, run.Ends(), spanOf(false)
	sums := "project"
	for _, status := range ends {
		sums += ", " + sumOf(string(status))
	}
	err := someOf(projects, func(args []any) error {
		return s.read(ctx, func(rows row) error {
			var project string
			numbers, to := make([]int64, len(ends)), []any{&project}
			for i := range numbers {
				to = append(to, &numbers[i])
			}
			if err := rows.Scan(to...); err != nil {
				return err
			}
			all[project] = map[run.State]int64{}
			for i, n := range numbers {
				if n > 0 {
					all[project][ends[i]] = n
				}
			}
			return nil
		}, `SELECT `+sums+` FROM ended WHERE span = ? AND tool = ? AND start >= ? AND project IN (`+someMarks+`) GROUP BY project`,
			append([]any{span, allTools, since.UnixMilli() / span * span}, args...)...)
	})
	return all, err
}

// sums returns sums by a column, in whose order the rows are.
func (s *Store) sums(ctx context.Context, f store.EndedFilter, by, where, tool string) (all []store.Ends, err error) {
	var sums []string
	for _, c := range endedColumns() {
		sums = append(sums, sumOf(c))
	}
	ends := run.Ends()
	numbers := make([]int64, len(ends))
	span := spanOf(f.Days)
	err = s.read(ctx, func(rows row) error {
		var e store.Ends
		var start, waited, most int64
		to := []any{&e.Tool, &start, &waited, &most}
		for i := range numbers {
			to = append(to, &numbers[i])
		}
		for i := range e.Took {
			to = append(to, &e.Took[i])
		}
		if err := rows.Scan(to...); err != nil {
			return err
		}
		if e.Waited, e.WaitedMost = time.Duration(waited)*time.Millisecond, time.Duration(most)*time.Millisecond; by == "start" {
			e.Tool, e.Start = "", timeOf(start)
		}
		e.Status = map[run.State]int64{}
		for i, n := range numbers {
			if n > 0 {
				e.Status[ends[i]] = n
			}
		}
		all = append(all, e)
		return nil
	}, `SELECT MIN(tool), MIN(start), `+strings.Join(sums, ", ")+` FROM ended WHERE project = ? AND span = ? AND start >= ?`+where+` GROUP BY `+by+` ORDER BY `+by,
		f.Project, span, f.Since.UnixMilli()/span*span, tool)
	return all, err
}

// Running implements store.Statistics. It reads the index of what runners have: there is no more than they have slots.
func (s *Store) Running(ctx context.Context, project string) (map[string]int, error) {
	all := map[string]int{}
	err := s.read(ctx, func(rows row) error {
		var tool string
		var n int
		err := rows.Scan(&tool, &n)
		all[tool] = n
		return err
	}, `SELECT `+toolOf+`, COUNT(*) FROM queue q JOIN runs r ON r.id = q.run WHERE q.runner <> '' AND q.pool <> '' AND q.project = ? GROUP BY 1`, project)
	return all, err
}

// ForgetEnds implements store.Statistics.
func (s *Store) ForgetEnds(ctx context.Context) error {
	return s.write(ctx, func(ctx context.Context, tx *tx) error {
		for days, kept := range map[bool]time.Duration{false: store.HoursKept, true: store.DaysKept} {
			if _, err := tx.exec(ctx, `DELETE FROM ended WHERE span = ? AND start < NOW - ?`, spanOf(days), kept.Milliseconds()); err != nil {
				return err
			}
		}
		return nil
	})
}
