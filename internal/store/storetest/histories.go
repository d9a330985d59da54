package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// Histories has clients and runners use one database at once, and checks that what they were told could have happened in some
// order, one after the other: each run is given out, held and ended as the model below says. The stores are servers of the database.
func Histories(t *testing.T, stores ...Store) {
	if result := CheckHistory(History(t, stores...)); result != porcupine.Ok {
		t.Errorf("the history of operations is %s: no order of them explains what was answered", result)
	}
}

// CheckHistory compares a history with the model.
func CheckHistory(ops []porcupine.Operation) porcupine.CheckResult {
	return porcupine.CheckOperationsTimeout(porcupine.Model{
		Partition: byRun, Init: func() any { return modelState{} }, Step: step, Equal: func(a, b any) bool { return a == b },
	}, ops, 2*time.Minute)
}

// kind is the kind of an operation on one run.
type kind int

const (
	opAccept kind = iota
	opClaim
	opReport
	opEnd // a report with a result
	opCancel
	opRelease
	opExpire
	opGet
)

// input is what was asked for, and output the answer.
type input struct {
	kind    kind
	run     string
	runner  string
	attempt int
	status  run.State // of opEnd
	lapses  bool      // the lease is over at once
}

type output struct {
	refused error // ErrNotHeld, ErrOver or ErrNotFound
	attempt int   // of a claim, and of opGet
	runner  string
	over    bool // of opGet and opRelease
	status  run.State
}

// modelState is the state of one run:
//
//	none ── accept ──▶ waiting ◀── release ── held ── end, expire ──▶ over
//	                      └──────── claim ─────▶│
//
// What is released isn't given to anybody again if its end was asked for: it is over.
type modelState struct {
	phase    string // "", waiting, held or over
	runner   string
	attempt  int
	lapsed   bool // the lease may be over
	reported bool // something of the attempt was reported
	cancel   bool // its end was asked for
	status   run.State
}

func byRun(all []porcupine.Operation) [][]porcupine.Operation {
	parts := map[string][]porcupine.Operation{}
	for _, op := range all {
		id := op.Input.(input).run
		parts[id] = append(parts[id], op)
	}
	out := make([][]porcupine.Operation, 0, len(parts))
	for _, part := range parts {
		out = append(out, part)
	}
	return out
}

// step says whether an answer is possible in a state, and what the state is then.
func step(state, asked, answer any) (bool, any) {
	s, in, out := state.(modelState), asked.(input), answer.(output)
	mine := s.phase == "held" && s.runner == in.runner && s.attempt == in.attempt
	switch in.kind {
	case opAccept:
		return s.phase == "", modelState{phase: "waiting"}
	case opClaim:
		return s.phase == "waiting" && out.attempt == s.attempt+1, modelState{phase: "held", runner: in.runner, attempt: out.attempt, lapsed: in.lapses}
	case opReport, opEnd:
		return reportStep(s, in, out, mine)
	case opCancel:
		return cancelStep(s, out)
	case opRelease:
		if !mine || s.reported {
			return !out.over, s
		}
		s.phase, s.runner = "waiting", ""
		if s.cancel {
			s.phase, s.status = "over", run.Lost
		}
		return out.over == s.cancel, s
	case opExpire:
		s.status, s.runner = run.Lost, ""
		ok := s.phase == "held" && s.lapsed
		s.phase = "over"
		return ok, s
	default:
		return out.over == (s.phase == "over") && out.attempt == s.attempt && (s.phase != "held" || out.runner == s.runner) && (!out.over || out.status == s.status), s
	}
}

func reportStep(s modelState, in input, out output, mine bool) (bool, any) {
	if out.refused != nil {
		return !mine || s.lapsed, s
	}
	if in.kind == opEnd {
		again := s.phase == "over" && s.attempt == in.attempt && s.status == in.status
		s.phase, s.status, s.runner = "over", in.status, ""
		return mine || again, s
	}
	s.reported, s.lapsed = true, in.lapses
	return mine, s
}

func cancelStep(s modelState, out output) (bool, any) {
	switch {
	case errors.Is(out.refused, store.ErrNotFound):
		return s.phase == "", s
	case errors.Is(out.refused, store.ErrOver):
		return s.phase == "over", s
	case s.phase == "held":
		s.cancel = true
		return out.runner == s.runner, s
	}
	ok := s.phase == "waiting" && out.runner == ""
	s.phase, s.status = "over", run.Cancelled
	return ok, s
}

// recorder records operations.
type recorder struct {
	mu  sync.Mutex
	ops []porcupine.Operation
}

var begin = time.Now()

// do records an operation on a run.
func (r *recorder) do(in input, call func() output) {
	at := time.Since(begin)
	r.add(in, call(), at)
}

func (r *recorder) add(in input, out output, at time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, porcupine.Operation{Input: in, Output: out, Call: int64(at), Return: int64(time.Since(begin))})
}

// History returns what clients and runners of one database were told.
func History(t *testing.T, stores ...Store) []porcupine.Operation {
	t.Helper()
	const workers, each = 6, 60
	r := &recorder{}
	var known sync.Map
	var work sync.WaitGroup
	for n := range workers {
		s := stores[n%len(stores)]
		random := rand.New(rand.NewPCG(rand.Uint64(), uint64(n)))
		work.Go(func() {
			if n%2 == 0 {
				clientOf(t, s, r, &known, random, n, each)
				return
			}
			runnerOf(t, s, r, random, fmt.Sprint("p/r", n, "@i"), each)
		})
	}
	work.Wait()
	return r.ops
}

// clientOf accepts, cancels and looks.
func clientOf(t *testing.T, s Store, r *recorder, known *sync.Map, random *rand.Rand, n, each int) {
	ctx := context.WithoutCancel(t.Context())
	pick := func() string {
		all := []string{"never"}
		known.Range(func(id, _ any) bool { all = append(all, id.(string)); return true })
		return all[random.IntN(len(all))]
	}
	for i := range each {
		switch random.IntN(3) {
		case 0:
			id := fmt.Sprintf("%d-%d", n, i)
			r.do(input{kind: opAccept, run: id}, func() output {
				if err := s.Accept(ctx, newRun(id), nil); err != nil {
					t.Error(err)
				}
				return output{}
			})
			known.Store(id, true)
		case 1:
			id := pick()
			r.do(input{kind: opCancel, run: id}, func() output {
				runner, err := s.Cancel(ctx, "p", id, *ended(run.Cancelled))
				if err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrOver) {
					t.Error(err)
				}
				return output{refused: err, runner: runner}
			})
		default:
			id := pick()
			if id == "never" {
				continue
			}
			r.do(input{kind: opGet, run: id}, func() output {
				one, err := s.Run(ctx, "p", id)
				if err != nil {
					t.Error(err)
				}
				return output{over: one.Over, attempt: one.Attempt, runner: one.Runner, status: one.Status}
			})
		}
	}
}

// runnerOf claims, reports, gives back and lets leases run out; it goes on reporting on what may not be its own any longer.
func runnerOf(t *testing.T, s Store, r *recorder, random *rand.Rand, name string, each int) {
	w := &worker{t: t, s: s, r: r, random: random, name: name}
	for range each {
		w.lease, w.lapses = lease, random.IntN(3) == 0
		if w.lapses {
			w.lease = 0
		}
		if len(w.had) == 0 || random.IntN(3) == 0 {
			w.claim()
			continue
		}
		switch random.IntN(6) {
		case 0:
			w.release()
		case 1:
			w.expire()
		default:
			w.report()
		}
	}
}

// worker is a runner.
type worker struct {
	t      *testing.T
	s      Store
	r      *recorder
	random *rand.Rand
	name   string
	had    []store.Claimed // what it was given, also what is no longer its own
	lease  time.Duration   // of what it does next
	lapses bool
}

// some returns one of the attempts that it was given.
func (w *worker) some() (store.Hold, input) {
	c := w.had[w.random.IntN(len(w.had))]
	return store.Hold{Run: c.Run, Attempt: c.Attempt}, input{run: c.Run, runner: w.name, attempt: c.Attempt, lapses: w.lapses}
}

func (w *worker) claim() {
	at := time.Since(begin)
	got, err := w.s.Claim(context.WithoutCancel(w.t.Context()), store.Claim{Lessee: store.Lessee{Runner: w.name, Lease: w.lease}, Pool: "default", Most: 2})
	if err != nil {
		w.t.Error(err)
	}
	for _, c := range got {
		w.r.add(input{kind: opClaim, run: c.Run, runner: w.name, lapses: w.lapses}, output{attempt: c.Attempt}, at)
	}
	w.had = append(w.had, got...)
}

func (w *worker) release() {
	hold, in := w.some()
	in.kind = opRelease
	w.r.do(in, func() output {
		over, err := w.s.Release(context.WithoutCancel(w.t.Context()), w.name, hold, func(store.Claimed) (store.Ended, error) { return *ended(run.Lost), nil })
		if err != nil {
			w.t.Error(err)
		}
		return output{over: over}
	})
}

func (w *worker) expire() {
	at := time.Since(begin)
	ids, err := w.s.Expire(context.WithoutCancel(w.t.Context()), 10, func(store.Claimed) (store.Ended, error) { return *ended(run.Lost), nil })
	if err != nil {
		w.t.Error(err)
	}
	for _, id := range ids {
		w.r.add(input{kind: opExpire, run: id}, output{}, at)
	}
}

func (w *worker) report() {
	ctx := context.WithoutCancel(w.t.Context())
	hold, in := w.some()
	report := store.Report{Hold: hold, Runner: w.name, Lease: w.lease, First: 1, Count: 1, Encode: chunkOf("x", 1), State: run.Running}
	in.kind = opReport
	if w.random.IntN(2) == 0 {
		in.kind, in.status, report.Count, report.Encode, report.Ended = opEnd, run.Succeeded, 0, nil, ended(run.Succeeded)
	}
	w.r.do(in, func() output {
		_, err := w.s.Report(ctx, report)
		if errors.Is(err, store.ErrGap) { // there is an event already: the attempt is the runner's
			report.First = 2
			_, err = w.s.Report(ctx, report)
		}
		if err != nil && !errors.Is(err, store.ErrNotHeld) {
			w.t.Error(err)
		}
		return output{refused: err}
	})
}
