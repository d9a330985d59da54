package storetest

import (
	"errors"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// Clients records what clients of an API did with runs and were told, while servers and runners may have been killed. The runs are those of the
// model of Histories, of which clients see only a part: what runners do is what may have happened in between. The methods may be called from
// several goroutines; each calls do once, which asks.
type Clients struct{ recorder recorder }

// Answer is what a client was told.
type Answer struct {
	Unknown bool  // there was no answer: what was asked for may happen at any time later, or never
	Refused error // ErrOver or ErrNotFound
	// Cancelling, Over and Status are of Look.
	Cancelling bool
	Over       bool
	Status     run.State // the end, if it is over
}

// request is an operation of a client.
type request struct {
	kind kind // opAccept, opCancel or opGet
	run  string
}

// Submit is a request for a run. The name is the client's own, since nobody knows the id of a run whose answer is missing.
func (c *Clients) Submit(name string, do func() Answer) { c.do(request{opAccept, name}, do) }

// Cancel is a request to end a run.
func (c *Clients) Cancel(name string, do func() Answer) { c.do(request{opCancel, name}, do) }

// Look is a look at a run, or a wait for its end.
func (c *Clients) Look(name string, do func() Answer) { c.do(request{opGet, name}, do) }

func (c *Clients) do(in request, do func() Answer) {
	at := time.Since(begin)
	out := do()
	op := porcupine.Operation{Input: in, Output: out, Call: int64(at), Return: int64(time.Since(begin))}
	if out.Unknown {
		op.Return = math.MaxInt64
	}
	c.recorder.mu.Lock()
	defer c.recorder.mu.Unlock()
	c.recorder.ops = append(c.recorder.ops, op)
}

// Operations is how many there were, and how many of them have no answer.
func (c *Clients) Operations() (all, unknown int) {
	c.recorder.mu.Lock()
	defer c.recorder.mu.Unlock()
	for _, op := range c.recorder.ops {
		if op.Output.(Answer).Unknown {
			unknown++
		}
	}
	return len(c.recorder.ops), unknown
}

// Check returns the names of the runs of which no order of operations explains what was answered.
func (c *Clients) Check() (wrong []string) {
	c.recorder.mu.Lock()
	defer c.recorder.mu.Unlock()
	parts := map[string][]porcupine.Operation{}
	for _, op := range c.recorder.ops {
		in, out := op.Input.(request), op.Output.(Answer)
		if in.kind == opGet && out.Unknown {
			continue // it says nothing
		}
		parts[in.run] = append(parts[in.run], op)
	}
	model := porcupine.NondeterministicModel{Init: func() []any { return []any{modelState{}} }, Step: stepOfClient}
	for name, ops := range parts {
		if !porcupine.CheckOperations(model.ToModel(), ops) {
			wrong = append(wrong, name)
		}
	}
	slices.Sort(wrong)
	return wrong
}

// stepOfClient returns the states in which a run may be after an operation.
func stepOfClient(state, question, answer any) (next []any) {
	in, out := question.(request), answer.(Answer)
	for _, s := range meanwhile(state.(modelState)) {
		if out.Unknown {
			next = append(next, s)
		}
		if in.kind == opGet {
			if looksAs(s, out) {
				next = append(next, s)
			}
			continue
		}
		ok, after := step(s, input{kind: in.kind}, output{refused: out.Refused, runner: s.runner})
		if ok {
			next = append(next, after)
		}
	}
	return next
}

func looksAs(s modelState, out Answer) bool {
	if errors.Is(out.Refused, store.ErrNotFound) {
		return s.phase == ""
	}
	if out.Over {
		return s.phase == "over" && s.status == out.Status
	}
	return (s.phase == "waiting" || s.phase == "held") && s.cancel == out.Cancelling
}

// meanwhile returns the states that follow one by what runners and servers do. Clients don't see attempts, so each is the first.
func meanwhile(from modelState) []modelState {
	all := []modelState{from}
	const runner = "some"
	for i := 0; i < len(all); i++ {
		hidden := []input{{kind: opClaim, lapses: true}, {kind: opReport, lapses: true}, {kind: opRelease}, {kind: opExpire}}
		for _, end := range run.Ends() {
			// A run ends as cancelled only if somebody has asked for it.
			if end != run.Cancelled || all[i].cancel {
				hidden = append(hidden, input{kind: opEnd, status: end})
			}
		}
		for _, in := range hidden {
			in.runner, in.attempt = runner, 1
			ok, next := step(all[i], in, output{attempt: 1, over: all[i].cancel})
			s := next.(modelState)
			if s.phase != "held" {
				s.attempt = 0
			}
			if ok && !slices.Contains(all, s) {
				all = append(all, s)
			}
		}
	}
	return all
}
