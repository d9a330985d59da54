package sqlstore

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// A list is read from the index of a tool, of a state or of all runs, in the order of ids. What no index has is compared run by run, so a list
// with such a condition looks only at a part of the index at once, however few of its runs match.

// condition is a part of a statement with its parameters.
type condition struct {
	where string
	args  []any
}

func all(conditions ...condition) condition {
	var out condition
	for _, c := range conditions {
		if c.where == "" {
			continue
		}
		if out.where != "" {
			out.where += " AND "
		}
		out.where, out.args = out.where+c.where, append(out.args, c.args...)
	}
	return out
}

// place is where runs are in an index.
type place struct {
	in condition // of the table runs alone
	// also is compared run by run. So few runs fail it that it needs no bound.
	also condition
}

// Runs implements store.Runs.
func (s *Store) Runs(ctx context.Context, f store.Filter) (runs []store.Run, next string, err error) {
	places, rest, err := placesOf(f)
	if err != nil {
		return nil, "", err
	}
	runs = []store.Run{}
	from := "" // of no place, runs with smaller ids were looked at
	for _, p := range places {
		ids := idsOf(f)
		if rest.where != "" && f.Look > 0 {
			last, err := s.lastOf(ctx, all(p.in, ids), f.Look)
			if err != nil {
				return nil, "", err
			}
			f := f
			f.From, from = max(f.From, last), max(from, last)
			ids = idsOf(f)
		}
		where := all(p.in, ids, p.also, rest)
		err = s.read(ctx, func(rows row) error {
			r, err := scanRun(rows)
			runs = append(runs, r)
			return err
		}, `SELECT `+columns+` WHERE `+where.where+` ORDER BY r.id DESC LIMIT ?`, append(where.args, f.Most+1)...)
		if err != nil {
			return nil, "", err
		}
	}
	slices.SortStableFunc(runs, func(a, b store.Run) int { return cmp.Compare(b.ID, a.ID) }) // of a run that was found twice, the open one comes first
	runs = slices.CompactFunc(runs, func(a, b store.Run) bool { return a.ID == b.ID })
	runs = slices.DeleteFunc(runs, func(r store.Run) bool { return r.ID < from })
	if len(runs) > f.Most {
		runs = runs[:f.Most]
		return runs, runs[f.Most-1].ID, nil
	}
	return runs, from, nil
}

// idsOf is the range of ids of a list. It is the only one of a statement, since SQLite looks up one bound of each side in an index, and compares
// others run by run.
func idsOf(f store.Filter) condition {
	return condition{"r.id >= ? AND r.id < ?", []any{f.From, cmp.Or(f.Before, lastID)}}
}

// lastOf returns the id of the last one of so many runs of a place; "" if there are fewer.
func (s *Store) lastOf(ctx context.Context, in condition, runs int) (id string, err error) {
	err = s.read(ctx, func(rows row) error { return rows.Scan(&id) },
		`SELECT r.id FROM runs r WHERE `+in.where+` ORDER BY r.id DESC LIMIT 1 OFFSET ?`, append(slices.Clone(in.args), runs-1)...)
	return id, err
}

// placesOf returns where runs of a list are, and what else is compared. Open runs are read first: one that ends
// meanwhile is then found in both places, and never in neither.
func placesOf(f store.Filter) (places []place, rest condition, err error) {
	in := condition{"r.project = ? AND r.parent = ?", []any{f.Project, f.Parent}}
	if rest, err = compared(f); err != nil {
		return nil, rest, err
	}
	if f.Tool != "" {
		in = all(in, condition{"r.tool = ?", []any{f.Tool}})
		return []place{{in: in}}, all(rest, stateIn("COALESCE(q.state, r.status)", f.Status)), nil
	}
	var open []run.State
	var ended []place
	for _, st := range slices.Compact(slices.Sorted(slices.Values(f.Status))) {
		if slices.Contains(active, st) {
			open = append(open, st)
		} else {
			ended = append(ended, place{in: all(in, stateIn("r.status", []run.State{st}))})
		}
	}
	switch {
	case len(f.Status) == 0:
		places = []place{{in: in}}
	case slices.Contains(open, run.Queued):
		// The history has all runs as queued that aren't over. Of those, most are.
		places = append(places, place{all(in, stateIn("r.status", []run.State{run.Queued})), stateIn("q.state", open)})
	case len(open) > 0:
		queued := stateIn("state", open)
		queued.where = "r.id IN (SELECT run FROM queue WHERE runner <> '' AND " + queued.where + ")"
		// PostgreSQL may begin with the history, of which only what isn't over is of use.
		places = append(places, place{in: all(in, stateIn("r.status", []run.State{run.Queued}), queued)})
	}
	return append(places, ended...), rest, nil
}

// lastID is after all ids.
const lastID = "\U0010FFFF"

// active are the states of runs that aren't over.
var active = []run.State{run.Queued, run.Pulling, run.Creating, run.Running}

func stateIn(column string, states []run.State) condition {
	if len(states) == 0 {
		return condition{}
	}
	c := condition{where: column + " IN (" + strings.Repeat(", ?", len(states))[2:] + ")"}
	for _, st := range states {
		c.args = append(c.args, string(st))
	}
	return c
}

// compared is what no index has.
func compared(f store.Filter) (condition, error) {
	var needed []condition
	add := func(where string, args ...any) { needed = append(needed, condition{where, args}) }
	if f.AcceptedBy != "" {
		add("r.accepted_by = ?", f.AcceptedBy)
	}
	if f.Runner != "" { // POOL/NAME@INSTANCE
		add("strpos(COALESCE(q.runner, r.runner), ?) > 0", "/"+f.Runner+"@")
	}
	for _, key := range slices.Sorted(maps.Keys(f.Labels)) {
		// The column is JSON. Neither keys nor values have a quotation mark there that isn't escaped, and keys have none.
		label, err := json.Marshal(map[string]string{key: f.Labels[key]})
		if err != nil {
			return condition{}, fmt.Errorf("write the label %s: %w", key, err)
		}
		add("strpos(r.labels, ?) > 0", string(label[1:len(label)-1]))
	}
	if f.Text != "" {
		text := lower(f.Text)
		add("(strpos(lower(r.tool), ?) > 0 OR strpos(lower(r.reason), ?) > 0 OR strpos(r.id, ?) > 0)", text, text, text)
	}
	return all(needed...), nil
}

// lower is what lower does in both databases: it changes only ASCII.
func lower(text string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, text)
}
