package workflow

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/run"
)

// A server keeps no workflow in memory, since any of its processes may end at any moment. It takes a workflow forward whenever
// something has happened to it, by a transaction:
//
//	the journal so far ──▶ Begin, Continue ──▶ Forward: entries, events, runs of steps to begin and to end ──▶ written at once
//
// Whoever else has taken it forward meanwhile has added to the journal, so the transaction fails, and nothing has happened.

// Forward is one step forward of a workflow: what must be written at once. Nothing of it has happened before that.
type Forward struct {
	Entries []Entry
	Events  []run.Event // of the workflow's run; the store numbers them
	Begin   []StepRun
	End     []string // runs of steps that must end
	// Within is the time after which the workflow must be taken forward even if nothing happens: what is left of its timeout; zero
	// for none.
	Within time.Duration
	// Result is set when every step has ended; it is in Events too.
	Result *run.Result
}

// StepRun is a run of a step's tool.
type StepRun struct {
	Step    string
	Item    int // -1 for a step without for_each
	Request *run.Request
	// Secret says that the request may have a secret in its inputs and variables.
	Secret bool
}

// Name is the name of the step in events.
func (s StepRun) Name() string { return StepName(s.Step, s.Item) }

// Happened is what has happened to a workflow since its last step forward.
type Happened struct {
	// Ended has the results of runs of steps, by the id of the run.
	Ended map[string]*run.Result
	// Cancelled says that the end of the workflow was asked for.
	Cancelled bool
	// Began is when the run began, and Now the present, by one clock. It is that of all times in the journal and the result, since each
	// step forward may be made on another machine.
	Began, Now time.Time
}

// entries is a journal of one step forward.
type entries struct {
	at   time.Time
	list []Entry
}

func (j *entries) Append(e Entry, _ bool) error {
	e.Time = j.at
	j.list = append(j.list, e)
	return nil
}

func (j *entries) Entries() iter.Seq2[Entry, error] { return nil }

func (j *entries) Close() error { return nil }

// forwarding is a step forward that is being made.
type forwarding struct {
	*execution
	out     Forward
	written *entries  // what opts.Journal is
	running []stepRun // runs of steps that haven't ended, in the order in which they began
	began   time.Time
	present time.Time
	ending  run.State // States.Ending as the journal has it
}

// stepRun is a run of a step that has begun.
type stepRun struct {
	id         string
	step, item int
}

// forward returns the beginning of a step forward. The options need no Journal, Emit or Kill; the JournalSealer is the Sealer.
func (e *Executor) forward(ctx context.Context, plan *Plan, opts Options, began, now time.Time) *forwarding {
	f := &forwarding{written: &entries{at: now}, began: began, present: now}
	opts.Journal, opts.JournalSealer = f.written, e.Sealer
	opts.Emit = func(ev run.Event) { f.out.Events = append(f.out.Events, ev) }
	f.execution = e.execution(plan, opts)
	f.now = func() time.Time { return now }
	f.transactional, f.stepsCtx, f.finallyCtx = true, ctx, ctx
	f.launch = func(step, item int, req *run.Request) {
		_, masked := f.masks()
		f.out.Begin = append(f.out.Begin, StepRun{Step: plan.Steps[step].Name, Item: item, Request: req, Secret: len(masked) > 0})
	}
	return f
}

// Begin makes the first step forward of a workflow. States in the options are those that it begins with: of a run that is resumed, or
// with steps left out. now is the present, by the clock of those that continue it.
func (e *Executor) Begin(ctx context.Context, plan *Plan, opts Options, h Header, now time.Time) *Forward {
	f := e.forward(ctx, plan, opts, now, now)
	f.journal(Entry{Type: EntryRun, Run: &h}, true)
	f.state("", run.Queued, "")
	if opts.States != nil {
		f.keepStates()
		f.journal(Entry{Type: EntryResume, Again: opts.Again}, true)
	}
	f.state("", run.Running, "")
	return f.complete()
}

// ErrDamaged says that a journal doesn't have the form of one, so that its run can never go on.
var ErrDamaged = errors.New("the journal is damaged")

// Continue makes the next step forward of a workflow. The error is about the journal: ErrDamaged, or that what is sealed in it can't
// be opened at the moment.
func (e *Executor) Continue(ctx context.Context, plan *Plan, opts Options, journal iter.Seq2[Entry, error], h Happened) (*Forward, error) {
	past, err := e.replay(ctx, plan, journal)
	var sealed *unsealError
	switch {
	case errors.As(err, &sealed):
		return nil, fmt.Errorf("read the journal of run %s: %w", opts.ID, err)
	case err != nil:
		return nil, fmt.Errorf("read the journal of run %s: %w: %w", opts.ID, ErrDamaged, err)
	}
	opts.States, opts.Masked = past.states, past.masked
	ending := past.states.Ending // forward changes it, if it can't seal the secrets
	f := e.forward(ctx, plan, opts, h.Began, h.Now)
	f.times, f.resumed, f.usage, f.running = past.times, past.resumed, past.usage, past.running
	f.ending = ending
	// A step may end at the moment at which the workflow does: its end counts, except if it was caused by that.
	f.take(h.Ended, func(r *run.Result) bool { return r.Status != run.Cancelled })
	if left, limited := f.left(); h.Cancelled || limited && left <= 0 {
		f.endAs(!h.Cancelled)
	}
	f.take(h.Ended, func(*run.Result) bool { return true })
	return f.complete(), nil
}

// take records the ends of runs of steps that are of a kind.
func (f *forwarding) take(ended map[string]*run.Result, of func(*run.Result) bool) {
	f.running = slices.DeleteFunc(f.running, func(r stepRun) bool {
		result := ended[r.id]
		if result == nil || !of(result) {
			return false
		}
		f.finish(finished{r.step, r.item, result})
		return true
	})
}

// left is what is left of the workflow's time, if it is limited.
func (f *forwarding) left() (d time.Duration, limited bool) {
	d = f.plan.Workflow.Timeout
	if d <= 0 || f.states.Ending != "" || f.mainStepsEnded() {
		return 0, false
	}
	return d - f.present.Sub(f.began), true
}

// complete plans what is next, and completes the step forward.
func (f *forwarding) complete() *Forward {
	f.advance()
	if f.states.Ending != f.ending { // from here on
		f.journal(Entry{Type: EntryEnding, Status: f.states.Ending, Code: f.states.Code, Reason: f.states.Reason}, true)
		for _, r := range f.running {
			if r.step < f.plan.mainSteps() {
				f.out.End = append(f.out.End, r.id)
			}
		}
	}
	if f.plan.Ended(f.states) {
		result := &run.Result{Outputs: map[string]string{}}
		result.Timeline.Queued, result.Timeline.Started = f.began, f.began
		f.ended(result)
		f.out.Result = result
	} else {
		f.out.Within, _ = f.left()
	}
	f.out.Entries = f.written.list
	return &f.out
}

// keepStates writes the states that a resumed run begins with into its journal.
func (f *forwarding) keepStates() {
	for i, step := range f.plan.Steps {
		st := &f.states.Steps[i]
		if st.Status == "" {
			continue
		}
		if st.Items != nil {
			f.journal(Entry{Type: EntryStep, Step: step.Name, Items: f.plan.itemsDigest(f.states, i), Count: len(st.Items)}, false)
			for k := range st.Items {
				if st.Items[k].Ended() {
					f.keep(i, k, st.Items[k])
				}
			}
		}
		if st.Ended() {
			f.keep(i, -1, *st)
		}
	}
}

func (f *forwarding) keep(i, item int, st StepState) {
	step := f.plan.Steps[i]
	e := Entry{Type: EntryStep, Step: step.Name, Item: itemOf(item), Status: st.Status, ExitCode: st.ExitCode, Code: st.Code, Reason: st.Reason, Outputs: st.Outputs, Artifacts: st.Artifacts}
	if st.Items != nil {
		e.Outputs = nil
	}
	if err := f.seal(step, &e); err != nil {
		f.breaks(err)
	}
	f.journal(e, true)
}

// InProgress returns the runs of steps that have begun according to a journal, and that haven't ended.
func InProgress(journal iter.Seq2[Entry, error]) ([]string, error) {
	type key struct {
		step string
		item int
	}
	ids := map[key]string{}
	for e, err := range journal {
		if err != nil {
			return nil, err
		}
		k := key{e.Step, -1}
		if e.Item != nil {
			k.item = *e.Item
		}
		switch {
		case e.Type != EntryStep || e.Items != "":
		case e.StepRun != "":
			ids[k] = e.StepRun
		default:
			delete(ids, k)
		}
	}
	return slices.Sorted(maps.Values(ids)), nil
}

// Progress returns how the steps of a run are, according to its journal.
func (e *Executor) Progress(ctx context.Context, plan *Plan, journal iter.Seq2[Entry, error]) ([]run.StepResult, error) {
	r, err := e.replay(ctx, plan, journal)
	if err != nil {
		return nil, err
	}
	x := &execution{plan: plan, states: r.states, times: r.times, resumed: r.resumed}
	return x.results(), nil
}

// replayed is what a journal says of a run that goes on.
type replayed struct {
	states  *States
	masked  [][]byte
	times   []times
	resumed []bool
	usage   engine.Usage
	running []stepRun
}

// replay reads the journal of a run that goes on. Unlike [Plan.Resume] it keeps what is running.
func (e *Executor) replay(ctx context.Context, plan *Plan, journal iter.Seq2[Entry, error]) (*replayed, error) {
	r := &replayed{states: plan.NewStates(), times: make([]times, len(plan.Steps)), resumed: make([]bool, len(plan.Steps))}
	past, err := recall(ctx, func(yield func(Entry, error) bool) {
		for entry, err := range journal {
			if err == nil {
				err = r.add(plan, &entry)
			}
			if !yield(entry, err) || err != nil {
				return
			}
		}
	}, e.Sealer)
	if err != nil {
		return nil, err
	}
	r.masked = past.Masked
	for i, step := range plan.Steps {
		old := past.steps[step.Name]
		if old == nil {
			continue
		}
		r.states.Steps[i] = old.StepState
		if old.Ended() && old.Items != nil {
			r.states.Steps[i] = plan.gather(i, old.Items)
		}
	}
	return r, nil
}

// add takes what an entry says besides the states of steps.
func (r *replayed) add(plan *Plan, e *Entry) error {
	switch e.Type {
	case EntryResume:
		for i := range r.times {
			r.resumed[i], r.times[i] = !r.times[i].finished.IsZero(), times{}
		}
	case EntryEnding:
		r.states.Ending, r.states.Code, r.states.Reason = e.Status, e.Code, e.Reason
	case EntryStep:
		i, ok := plan.byName[e.Step]
		if !ok {
			return fmt.Errorf("the workflow has no step %q", e.Step)
		}
		item := -1
		if e.Item != nil {
			item = *e.Item
		}
		r.step(i, item, e)
	}
	return nil
}

// step takes the beginning or the end of a step or of an item.
func (r *replayed) step(i, item int, e *Entry) {
	if e.Usage != nil {
		addUsage(&r.usage, *e.Usage)
	}
	if began := e.StepRun != "" || e.Items != ""; began && r.times[i].started.IsZero() { // the end of a skipped step has neither
		r.times[i].started = e.Time
	}
	switch {
	case e.StepRun != "":
		r.running = append(r.running, stepRun{e.StepRun, i, item})
		return
	case e.Items != "": // the items are known
		return
	}
	for k, one := range r.running {
		if one.step == i && one.item == item {
			r.running = append(r.running[:k:k], r.running[k+1:]...)
			break
		}
	}
	if item < 0 {
		r.times[i].finished = e.Time
	}
}
