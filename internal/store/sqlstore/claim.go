package sqlstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/store"
)

const (
	// claimPage is how many waiting runs are read at once, mostLooked about how many for one claim, and mostOfOne about how many of one
	// project: runs that aren't for the runner, or not yet, are passed over.
	claimPage  = 128
	mostLooked = 100 * claimPage
	mostOfOne  = mostLooked / 4
)

// waiting is a run that waits.
type waiting struct {
	store.Claimed
	priority         int64
	needs            []string
	limits           []store.Limit
	needsIn, limitIn string // as they are in the row
}

const waitingColumns = `SELECT run, project, attempt, last, priority, needs, limits, cpu, memory, disk, retries FROM queue WHERE runner = '' AND pool = ?`

func (t *turns) scan(rows row) (w waiting, err error) {
	if err := rows.Scan(&w.Run, &w.Project, &w.Attempt, &w.Last, &w.priority, &w.needsIn, &w.limitIn, &w.Size.CPU, &w.Size.Memory, &w.Size.Disk, &w.Retries); err != nil {
		return w, err
	}
	// Many runs have the same ones.
	if last := t.last; last.needsIn == w.needsIn {
		w.needs = last.needs
	} else if err := json.Unmarshal([]byte(w.needsIn), &w.needs); err != nil {
		return w, fmt.Errorf("read the labels of run %s: %w", w.Run, err)
	}
	if last := t.last; last.limitIn == w.limitIn {
		w.limits = last.limits
	} else if w.limits, err = limitsOf(w.limitIn); err != nil {
		return w, fmt.Errorf("read the limits of run %s: %w", w.Run, err)
	}
	t.last = w
	w.Limited = len(w.limits) > 0
	return w, nil
}

// limitText is how the limits of a run are kept. They have an order, so that two that wait for each other's are rare.
func limitText(all []store.Limit) (string, error) {
	if len(all) == 0 {
		return "", nil
	}
	all = slices.SortedFunc(slices.Values(all), func(a, b store.Limit) int { return strings.Compare(a.Name, b.Name) })
	data, err := json.Marshal(all)
	return string(data), err
}

func limitsOf(text string) (all []store.Limit, err error) {
	if text == "" {
		return nil, nil
	}
	return all, json.Unmarshal([]byte(text), &all)
}

// turns visits the projects of a pool that have runs waiting, from one on. The rows aren't locked: a lock would hide them from others
// that claim at the same time.
type turns struct {
	rows func(ctx context.Context, scan func(row) error, q string, args ...any) error
	pool string
	from string // begin after this project
	left int    // how many more rows may be read

	skipNeeds, skipLimits []string // rows with these are passed over

	last    waiting
	after   string
	begun   bool
	wrapped bool // it began again with the first project
	done    bool
	page    []waiting
	full    bool // the last project of the page may have more
}

// afterAll sorts after the names of all projects.
const afterAll = "~"

// project is one of the projects, with its runs that wait.
type project struct {
	t    *turns
	name string
	runs []waiting // the next ones
	more bool
	left int // how many more rows may be read
}

// read reads the next page of a query.
func (t *turns) read(ctx context.Context, where string, args ...any) (page []waiting, full bool, err error) {
	if t.left <= 0 {
		return nil, false, nil
	}
	args = append([]any{t.pool}, args...)
	if len(t.skipNeeds)+len(t.skipLimits) > 0 {
		where = ` AND needs NOT IN (` + skipMarks + `) AND limits NOT IN (` + skipMarks + `)` + where
		args = slices.Concat(args[:1], skipped(t.skipNeeds), skipped(t.skipLimits), args[1:])
	}
	err = t.rows(ctx, func(rows row) error {
		w, err := t.scan(rows)
		page = append(page, w)
		return err
	}, waitingColumns+where, append(args, claimPage)...)
	t.left -= claimPage
	return page, len(page) == claimPage, err
}

// mostSkipped bounds how many different needs, and limits, the database passes over.
const mostSkipped = 8

var skipMarks = strings.Repeat(", ?", mostSkipped)[2:]

// skipped is a list of that length for a statement. The text - is in no row.
func skipped(texts []string) []any {
	all := make([]any, mostSkipped)
	for i := range all {
		if all[i] = "-"; i < len(texts) {
			all[i] = texts[i]
		}
	}
	return all
}

// skip adds a text to those that are passed over.
func skip(texts *[]string, one string) {
	if len(*texts) < mostSkipped && !slices.Contains(*texts, one) {
		*texts = append(*texts, one)
	}
}

// next returns the next project, or nil.
func (t *turns) next(ctx context.Context) (*project, error) {
	if !t.begun {
		t.begun, t.after = true, t.from
	}
	for len(t.page) == 0 {
		if t.done {
			return nil, nil //nolint:nilnil // there is no other one
		}
		to := afterAll
		if t.wrapped {
			to = t.from
		}
		var err error
		t.page, t.full, err = t.read(ctx, ` AND project > ? AND project <= ? ORDER BY project, priority DESC, run LIMIT ?`, t.after, to)
		switch {
		case err != nil:
			return nil, err
		case t.full:
			t.after = t.page[claimPage-1].Project
		case t.wrapped || t.from == "":
			t.done = true
		default:
			t.wrapped, t.after = true, ""
		}
	}
	p := &project{t: t, name: t.page[0].Project, left: mostOfOne}
	n := slices.IndexFunc(t.page, func(w waiting) bool { return w.Project != p.name })
	if n < 0 {
		n, p.more = len(t.page), t.full
	}
	p.runs, t.page = t.page[:n:n], t.page[n:]
	return p, nil
}

// next returns the next run of the project. The order is that of its priorities, and then of its age.
func (p *project) next(ctx context.Context, after *waiting) (*waiting, error) {
	if len(p.runs) == 0 && p.more && after != nil && p.left > 0 {
		p.left -= claimPage
		var err error
		p.runs, p.more, err = p.t.read(ctx, ` AND project = ? AND (priority < ? OR priority = ? AND run > ?) ORDER BY priority DESC, run LIMIT ?`,
			p.name, after.priority, after.priority, after.Run)
		if err != nil {
			return nil, err
		}
	}
	if len(p.runs) == 0 {
		return nil, nil //nolint:nilnil // there is no other one
	}
	w := &p.runs[0]
	p.runs = p.runs[1:]
	return w, nil
}

// inTurn calls take with runs of a pool, one of each project after another, until it has taken so many or there are no others. take says
// whether it takes the run, and whether the project has none for it. It returns the project of the last one, or if it took none, the last
// project that it has looked at: the next ones begin after it, so that none waits behind another whose runs can't begin.
func (t *turns) inTurn(ctx context.Context, most int, take func(*waiting) (taken, noMore bool, err error)) (last string, err error) {
	type visit struct {
		*project
		at *waiting
	}
	last = t.from
	n := 0
	one := func(v *visit) (bool, error) {
		for {
			w, err := v.next(ctx, v.at)
			if err != nil || w == nil {
				return false, err
			}
			v.at = w
			taken, noMore, err := take(w)
			if err != nil || noMore {
				return false, err
			}
			if taken {
				n++
				last = v.name
				return true, nil
			}
		}
	}
	var all []*visit
	for n < most {
		p, err := t.next(ctx)
		if err != nil {
			return last, err
		}
		if p == nil {
			break
		}
		v := &visit{project: p}
		if n == 0 {
			last = p.name
		}
		switch taken, err := one(v); {
		case err != nil:
			return last, err
		case taken:
			all = append(all, v)
		}
	}
	for n < most && len(all) > 0 {
		var on []*visit
		for _, v := range all {
			if n == most {
				break
			}
			taken, err := one(v)
			if err != nil {
				return last, err
			}
			if taken {
				on = append(on, v)
			}
		}
		all = on
	}
	return last, nil
}

// turn is the project that got a run last.
func (s *Store) turn(pool string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.turns[pool]
}

func (s *Store) setTurn(pool, project string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turns[pool] = project
}

// Claim implements store.Queue.
func (s *Store) Claim(ctx context.Context, c store.Claim) ([]store.Claimed, error) {
	var got []store.Claimed
	var last string
	err := s.write(ctx, func(ctx context.Context, tx *tx) (err error) {
		got = nil
		p := picking{Claim: c, missed: map[string]bool{}}
		last = s.turn(c.Pool)
		for {
			if last, err = p.pick(ctx, tx, last, c.Most-len(got)); err != nil {
				return err
			}
			taken, err := p.take(ctx, tx)
			if err != nil {
				return err
			}
			if got = append(got, taken...); len(taken) == len(p.picked) {
				return nil
			}
		}
	})
	if err == nil {
		s.setTurn(c.Pool, last)
	}
	return got, err
}

// picking is a claim that picks runs, and then takes them together. While others were faster with some of them, it picks again.
type picking struct {
	store.Claim // Free is what is left of it

	picked  []waiting
	running map[string]int  // how many runs with a limit runners have, with those that are picked
	reached map[string]bool // limits
	missed  map[string]bool // runs that others are taking
}

// pick picks runs, of the projects after one. It returns the project after which the next ones are picked.
func (p *picking) pick(ctx context.Context, tx *tx, from string, most int) (last string, err error) {
	p.picked, p.running, p.reached = nil, map[string]int{}, map[string]bool{}
	t := &turns{rows: tx.rows, pool: p.Pool, from: from, left: mostLooked}
	return t.inTurn(ctx, most, func(w *waiting) (picked, noMore bool, err error) {
		switch {
		case p.missed[w.Run]:
			return false, false, nil
		case p.reached[store.ProjectLimit(w.Project)]:
			return false, true, nil
		case slices.ContainsFunc(w.needs, func(l string) bool { return !slices.Contains(p.Labels, l) }):
			skip(&t.skipNeeds, w.needsIn)
			return false, false, nil
		case !w.Size.FitsIn(p.Free):
			return false, false, nil
		}
		if may, err := p.mayRun(ctx, tx, w.limits); err != nil || !may {
			skip(&t.skipLimits, w.limitIn)
			return false, false, err
		}
		for _, l := range w.limits {
			p.running[l.Name]++
		}
		p.picked, p.Free = append(p.picked, *w), p.Free.Minus(w.Size)
		return true, false, nil
	})
}

// mayRun says whether none of the limits is reached. From then on no other transaction gives out a run with one of them.
func (p *picking) mayRun(ctx context.Context, tx *tx, limits []store.Limit) (bool, error) {
	for _, l := range limits {
		if p.reached[l.Name] {
			return false, nil
		}
	}
	for _, l := range limits {
		n, known := p.running[l.Name]
		if !known {
			if err := tx.lock(ctx, l.Name); err != nil {
				return false, err
			}
			err := tx.rows(ctx, func(rows row) error { return rows.Scan(&n) },
				`SELECT COUNT(*) FROM running l JOIN queue q ON q.run = l.run WHERE l.name = ? AND q.runner <> ''`, l.Name)
			if err != nil {
				return false, err
			}
			p.running[l.Name] = n
		}
		if n >= l.Most {
			p.reached[l.Name] = true
			return false, nil
		}
	}
	return true, nil
}

// lock keeps other transactions from passing it with the same name, until the end of this one.
func (t *tx) lock(ctx context.Context, name string) error {
	if t.c.d.writers == 1 {
		return nil
	}
	return t.rows(ctx, func(row) error { return nil }, `SELECT pg_advisory_xact_lock(hashtextextended(?, 0))`, name)
}

// waits is whether a run waits, in statements that look it up by its id. By a comparison with an empty text, a database could read the indexes of
// all that wait instead.
const waits = `LENGTH(runner) = 0`

var (
	// Since a row was read, others may have had it and given it back, so the attempt's number is that of the row now.
	takeRuns = statementsFor(`WITH v(run) AS (VALUES `, `(?)`, `), free AS (SELECT run FROM queue WHERE run IN (SELECT run FROM v) AND `+waits+` FOR UPDATE SKIP LOCKED)
		UPDATE queue SET runner = ?, attempt = attempt + 1, base = last, lease_until = NOW + ?, started = CASE WHEN started = 0 THEN NOW ELSE started END
		WHERE run IN (SELECT run FROM free) RETURNING run, attempt, last, secrets`)
	readRequests = statementsFor(`WITH v(run) AS (VALUES `, `(?)`, `)
		SELECT r.id, q.request, r.tool, r.version, r.parent FROM requests q JOIN runs r ON r.id = q.run WHERE q.run IN (SELECT run FROM v)`)
)

// take gives the picked runs to the runner, except for those that others are taking.
func (p *picking) take(ctx context.Context, tx *tx) (got []store.Claimed, err error) {
	byRun := map[string]*store.Claimed{}
	var runs [][]any
	for i := range p.picked {
		one := &p.picked[i].Claimed
		byRun[one.Run] = one
		runs = append(runs, []any{one.Run})
	}
	var calls []*call
	takeRuns.each(runs, func(statement string, _ int, args []any) {
		calls = append(calls, &call{statement: statement, args: append(args, p.Runner, p.Lease.Milliseconds()), scan: func(row row) error {
			var c store.Claimed
			if err := row.Scan(&c.Run, &c.Attempt, &c.Last, &c.Secrets); err != nil {
				return err
			}
			one := byRun[c.Run]
			one.Runner, one.Attempt, one.Last, one.Secrets = p.Runner, c.Attempt, c.Last, c.Secrets
			return nil
		}})
	})
	readRequests.each(runs, func(statement string, _ int, args []any) {
		calls = append(calls, &call{statement: statement, args: args, scan: func(row row) error {
			var c store.Claimed
			if err := row.Scan(&c.Run, &c.Request, &c.Tool, &c.Version, &c.Parent); err != nil {
				return err
			}
			one := byRun[c.Run]
			one.Request, one.Tool, one.Version, one.Parent = c.Request, c.Tool, c.Version, c.Parent
			return nil
		}})
	})
	if err := tx.carryOut(ctx, calls...); err != nil {
		return nil, err
	}
	calls = nil
	for _, w := range p.picked {
		if w.Runner == "" {
			p.missed[w.Run], p.Free = true, p.Free.Plus(w.Size)
			continue
		}
		got = append(got, w.Claimed)
		for _, l := range w.limits {
			calls = append(calls, callOf(`INSERT INTO running (name, run) VALUES (?, ?) ON CONFLICT (name, run) DO NOTHING`, l.Name, w.Run))
		}
	}
	return got, tx.carryOut(ctx, calls...)
}

// Waiting implements store.Queue.
func (s *Store) Waiting(ctx context.Context, pool string, most int) (all []store.Waiting, err error) {
	t := &turns{rows: s.read, pool: pool, from: s.turn(pool), left: mostLooked}
	_, err = t.inTurn(ctx, most, func(w *waiting) (taken, noMore bool, err error) {
		all = append(all, store.Waiting{Needs: w.needs, Size: w.Size})
		return true, false, nil
	})
	return all, err
}

// Held implements store.Queue.
func (s *Store) Held(ctx context.Context, runner string) (map[store.Hold]store.Claimed, error) {
	all := map[store.Hold]store.Claimed{}
	err := s.read(ctx, func(rows row) error {
		var c store.Claimed
		var limits string
		err := rows.Scan(&c.Run, &c.Attempt, &limits, &c.Size.CPU, &c.Size.Memory, &c.Size.Disk)
		c.Limited = limits != ""
		all[store.Hold{Run: c.Run, Attempt: c.Attempt}] = c
		return err
	}, `SELECT run, attempt, limits, cpu, memory, disk FROM queue WHERE runner = ? AND runner <> ''`, runner)
	return all, err
}

// HeldRequests implements store.Queue.
func (s *Store) HeldRequests(ctx context.Context, runner string, take func(request []byte) (done bool, err error)) error {
	enough := errors.New("enough")
	err := s.read(ctx, func(rows row) error {
		var request []byte
		if err := rows.Scan(&request); err != nil {
			return err
		}
		done, err := take(request)
		if err == nil && done {
			err = enough
		}
		return err
	}, `SELECT r.request FROM queue q JOIN requests r ON r.run = q.run WHERE q.runner = ? AND q.runner <> '' AND q.lease_until > NOW ORDER BY q.run DESC`, runner)
	if errors.Is(err, enough) {
		return nil
	}
	return err
}
