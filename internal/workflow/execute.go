package workflow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/mayfly-run/mayfly/internal/condition"
	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/secret"
	"github.com/mayfly-run/mayfly/internal/tool"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// Executor executes workflows. Its fields are set before the first and not changed.
type Executor struct {
	Runner     run.Runner
	Conditions condition.Evaluator
	// Sealer opens what the Runner's runs hand on, and seals it for later ones; nil for runs without secrets.
	Sealer run.Sealer
}

// Options are how a workflow is executed, beside what it is.
type Options struct {
	// ID is the run's id.
	ID string
	// States are those to begin with: of a run that goes on, or with steps left out; nil for a run of all.
	States *States
	// Resumed says that the run goes on, Again which steps begin anew although something of them had succeeded.
	Resumed bool
	Again   []string
	// Partial says that steps were left out: the run doesn't succeed as a whole, so that the rest can still run.
	Partial bool
	// Masked are values that may be in what steps handed on before this run went on.
	Masked [][]byte
	// Journal gets each change of a step's state; nil for none.
	Journal Journal
	// JournalSealer seals what the journal has of secrets; it is there when Journal is.
	JournalSealer run.Sealer
	// Environment is for the tools of all steps, above their own.
	Environment []tool.EnvVar
	// Mocked are the steps that a test answers for: they don't run.
	Mocked map[string]StepState
	// Prepare changes the request of a step before it runs; nil for none.
	Prepare func(step string, req *run.Request)

	Grace, KeepFor time.Duration
	// Kill, when closed, ends tools that are being given their grace, and the steps of finally.
	Kill <-chan struct{}
	// Emit is called with each event, one at a time, and must not block for long.
	Emit func(run.Event)
	// Mocks answers for a test what the steps' tools reach out to; see run.Watch.
	Mocks run.Mocks
}

// StepName is the name of an item of a step in events: "check[3]", or the step's own for item -1.
func StepName(step string, item int) string {
	if item < 0 {
		return step
	}
	return fmt.Sprintf("%s[%d]", step, item)
}

// execution is one workflow under way. Its fields belong to the goroutine of Run, except for what masking guards.
type execution struct {
	*Executor
	plan    *Plan
	opts    Options
	states  *States
	times   []times
	resumed []bool // steps that had ended before this run was resumed
	usage   engine.Usage
	broken  error // the journal's
	// masked are the values that were handed on so far: what comes after may have them in it. sealed is a [run.Handed] of
	// them; both are nil where nothing was.
	masking sync.Mutex // of the next three
	masked  [][]byte
	sealed  []byte
	masker  *secret.Redactor

	events *run.Sequence

	done       chan finished
	busy       int
	stepsCtx   context.Context // of the steps, except those of finally
	finallyCtx context.Context // of the steps of finally
}

type times struct{ started, finished time.Time }

// finished is the end of a step's run, or of an item's.
type finished struct {
	step, item int
	result     *run.Result
}

// Run executes a workflow to its end: every step has ended then, and every step of finally. The result is never nil;
// err is the failure behind a status of error.
//
// Cancelling ctx ends the steps that run, and then the steps of finally run.
func (e *Executor) Run(ctx context.Context, plan *Plan, opts Options) (*run.Result, error) {
	x := &execution{Executor: e, plan: plan, opts: opts, states: opts.States, done: make(chan finished), masker: secret.NewRedactor(), events: run.NewSequence(opts.ID, opts.Emit)}
	if x.states == nil {
		x.states = plan.NewStates()
	}
	x.times, x.resumed = make([]times, len(plan.Steps)), make([]bool, len(plan.Steps))
	for i := range x.states.Steps {
		x.resumed[i] = x.states.Steps[i].Ended()
	}
	if err := x.mask(opts.Masked); err != nil {
		x.breaks(err)
	}
	result := &run.Result{Outputs: map[string]string{}}
	result.Timeline.Queued = time.Now().UTC()
	x.state("", run.Queued, "")
	result.Timeline.Started = time.Now().UTC()
	x.state("", run.Running, "")
	if opts.Resumed {
		x.journal(Entry{Type: EntryResume, Again: x.opts.Again}, false)
	}
	x.execute(ctx)
	result.Timeline.Finished = time.Now().UTC()
	result.DurationMS = result.Timeline.Finished.Sub(result.Timeline.Queued).Milliseconds()
	outcome := plan.Outcome(x.states)
	result.Status, result.ExitCode, result.Code, result.Reason = outcome.Status, outcome.ExitCode, outcome.Code, outcome.Reason
	result.Reason = x.redactor().String(result.Reason)
	result.Usage, result.Steps = x.usage, x.results()
	end := result.Status
	if end == run.Succeeded && opts.Partial {
		end = partial
	}
	x.journal(Entry{Type: EntryEnd, Status: end, ExitCode: result.ExitCode, Code: result.Code, Reason: result.Reason}, true)
	x.state("", result.Status, "")
	x.events.Emit(run.Event{Result: result})
	return result, x.broken
}

var errTimeout = errors.New("timed out")

// execute takes the workflow through its states.
func (x *execution) execute(ctx context.Context) {
	work, cancel := context.WithCancel(ctx)
	defer cancel()
	x.stepsCtx = work
	if d := x.plan.Workflow.Timeout; d > 0 {
		timed, cancel := context.WithTimeoutCause(work, d, errTimeout)
		defer cancel()
		x.stepsCtx = timed
	}
	last, cancelLast := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelLast()
	x.finallyCtx = last
	kill, ending := x.opts.Kill, x.stepsCtx.Done()
	for {
		x.advance()
		if x.busy == 0 {
			return // nothing is left to wait for: every step has ended
		}
		select {
		case f := <-x.done:
			x.busy--
			// The end of a step may be seen before that of the workflow, which was the reason for it.
			if f.result.Status == run.Cancelled {
				x.endIfOver()
			}
			x.finish(f)
			x.endIfOver()
		case <-ending:
			ending = nil
			x.end()
		case <-kill:
			kill = nil
			cancelLast()
		}
	}
}

// endIfOver is end, where what ends the workflow has happened.
func (x *execution) endIfOver() {
	if x.stepsCtx.Err() != nil {
		x.end()
	}
}

// end keeps further steps from starting. The context has told those that run.
func (x *execution) end() {
	if x.states.Ending != "" || x.mainStepsEnded() {
		return
	}
	x.states.Ending, x.states.Code, x.states.Reason = run.Cancelled, run.CodeCancelled, "cancelled"
	if errors.Is(context.Cause(x.stepsCtx), errTimeout) {
		x.states.Ending, x.states.Code, x.states.Reason = run.TimedOut, run.CodeTimedOut, fmt.Sprintf("timed out after %s", x.plan.Workflow.Timeout)
	}
}

func (x *execution) mainStepsEnded() bool {
	for i := range x.plan.mainSteps() {
		if !x.states.Steps[i].Ended() {
			return false
		}
	}
	return true
}

// advance does all that can be done now.
func (x *execution) advance() {
	for {
		actions := x.plan.Next(x.states, x.evaluate)
		if len(actions) == 0 {
			return
		}
		for _, a := range actions {
			x.plan.Apply(x.states, a)
			x.act(a)
		}
	}
}

func (x *execution) evaluate(s *definition.Step, v condition.Values) (bool, *condition.Problem) {
	// Not the work's context: a step of finally has a condition, too.
	yes, problem, err := x.Conditions.Evaluate(context.WithoutCancel(x.stepsCtx), x.plan.Expression(s), v)
	if err != nil {
		return false, &condition.Problem{Text: err.Error()}
	}
	return yes, problem
}

func (x *execution) act(a Action) {
	step := x.plan.Steps[a.Step]
	switch a.Kind {
	case Expand:
		x.markStarted(a.Step)
		x.journal(Entry{Type: EntryStep, Step: step.Name, Items: x.plan.itemsDigest(x.states, a.Step), Count: a.Count}, false)
		x.state(step.Name, run.Running, fmt.Sprintf("%d items", a.Count))
	case Conclude:
		x.conclude(a.Step, a.Item, a.State, nil)
	case Start:
		x.start(a.Step, a.Item)
	}
}

func (x *execution) markStarted(i int) {
	if x.times[i].started.IsZero() {
		x.times[i].started = time.Now().UTC()
	}
}

// start runs a step's tool.
func (x *execution) start(i, item int) {
	step := x.plan.Steps[i]
	x.markStarted(i)
	x.journal(Entry{Type: EntryStep, Step: step.Name, Item: itemOf(item), Status: run.Running}, false)
	if x.broken != nil && i < x.plan.mainSteps() { // finally undoes what was done, written down or not
		x.conclude(i, item, StepState{Status: run.Cancelled, ExitCode: run.ExitCancelled, Code: run.CodeCancelled, Reason: x.states.Reason}, nil)
		return
	}
	if st, ok := x.opts.Mocked[step.Name]; ok {
		x.conclude(i, item, st, nil)
		return
	}
	bound, err := x.plan.Bind(x.states, i, item)
	if err != nil {
		x.conclude(i, item, notRun(err, run.CodeInvalidInput), nil)
		return
	}
	req, err := x.request(step, bound)
	if err != nil {
		x.conclude(i, item, notRun(err, run.CodeInvalidInput), nil)
		return
	}
	ctx := x.stepsCtx
	if i >= x.plan.mainSteps() {
		ctx = x.finallyCtx
	}
	name := StepName(step.Name, item)
	watch := run.Watch{
		Kill:  x.opts.Kill,
		Mocks: x.opts.Mocks,
		Mask: func(sealed []byte) {
			// What can't be opened ends the step by its result, which has the same.
			if x.Sealer == nil {
				return
			}
			if handed, err := run.Unseal(context.Background(), x.Sealer, sealed); err == nil {
				_ = x.mask(handed.Masked)
			}
		},
		Emit: func(e run.Event) {
			e.Step = name
			x.events.Emit(e)
		},
	}
	x.busy++
	go func() {
		result, err := x.Runner.Run(ctx, req, watch)
		if err != nil && result.Status == run.Succeeded { // otherwise the result says why, too
			result = &run.Result{Status: run.Error, ExitCode: run.ExitError, Code: codeOf(err, run.CodeError), Reason: err.Error()}
		}
		x.done <- finished{i, item, result}
	}()
}

// notRun is the end of a step whose tool couldn't be run, or not to its end.
func notRun(err error, code run.Code) StepState {
	return StepState{Status: run.Error, ExitCode: run.ExitError, Code: codeOf(err, code), Reason: err.Error()}
}

// codeOf is the code that an error has, or the one given.
func codeOf(err error, otherwise run.Code) run.Code {
	var coder run.Coder
	if errors.As(err, &coder) {
		return coder.Code()
	}
	return otherwise
}

// request is a step's tool with what the step says of it.
func (x *execution) request(step *definition.Step, bound *Bound) (*run.Request, error) {
	t := *step.Uses.Tool
	t.Outputs = step.Promises()
	if step.Timeout > 0 {
		t.Timeout = step.Timeout
	}
	if step.Retry != nil {
		t.Retry = step.Retry
	}
	req := &run.Request{
		ID: run.NewID(), Tool: &t, Step: step.Name, Inputs: bound.Inputs, Shared: bound.Shared,
		Environment: append(bound.Environment, x.opts.Environment...), Grace: x.opts.Grace, KeepFor: x.opts.KeepFor,
	}
	req.Masked, _ = x.masks()
	for _, a := range step.Artifacts {
		artifact := run.Artifact{Name: a.Name, Target: a.Path, Made: a.From == ""}
		if !artifact.Made {
			if artifact.Digest = x.plan.State(x.states, a.From).Artifacts[a.Name]; artifact.Digest == "" {
				return nil, fmt.Errorf("step %s didn't make the artifact %s", a.From, a.Name)
			}
		}
		req.Artifacts = append(req.Artifacts, artifact)
	}
	if x.opts.Prepare != nil {
		x.opts.Prepare(step.Name, req)
	}
	return req, nil
}

// finish notes the end of a run.
func (x *execution) finish(f finished) {
	r := f.result
	x.usage.CPUSeconds += r.Usage.CPUSeconds
	x.usage.NetworkRxBytes += r.Usage.NetworkRxBytes
	x.usage.NetworkTxBytes += r.Usage.NetworkTxBytes
	x.usage.MemoryPeakBytes = max(x.usage.MemoryPeakBytes, r.Usage.MemoryPeakBytes)
	x.usage.DiskBytes = max(x.usage.DiskBytes, r.Usage.DiskBytes)
	outputs, err := x.handed(r)
	st := StepState{Status: r.Status, ExitCode: r.ExitCode, Code: r.Code, Reason: r.Reason, Outputs: x.promised(f.step, outputs), Artifacts: r.Artifacts}
	if err != nil {
		x.conclude(f.step, f.item, notRun(err, run.CodeError), nil)
		return
	}
	x.conclude(f.step, f.item, st, r)
}

// promised are the outputs that others can refer to; what else a tool wrote is not kept.
func (x *execution) promised(i int, outputs map[string]string) map[string]string {
	out := map[string]string{}
	for _, name := range x.plan.Steps[i].Promises() {
		if v, ok := outputs[name]; ok {
			out[name] = v
		}
	}
	return out
}

// conclude notes the end of a step or item. result is what its run reported, nil when nothing ran.
func (x *execution) conclude(i, item int, st StepState, result *run.Result) {
	step := x.plan.Steps[i]
	st.Reason = x.redactor().String(st.Reason)
	if item >= 0 {
		x.states.Steps[i].Items[item] = st
	} else {
		x.states.Steps[i] = st
		x.times[i].finished = time.Now().UTC()
	}
	e := Entry{Type: EntryStep, Step: step.Name, Item: itemOf(item), Status: st.Status, ExitCode: st.ExitCode, Code: st.Code, Reason: st.Reason, Outputs: st.Outputs, Artifacts: st.Artifacts}
	if st.Items != nil {
		e.Outputs = nil // they are gathered again from those of its items
	}
	if err := x.seal(step, &e); err != nil {
		x.breaks(err)
	}
	x.journal(e, st.Status == run.Succeeded)
	if result != nil {
		return // its run has reported it
	}
	name := StepName(step.Name, item)
	x.state(name, st.Status, st.Reason)
	x.events.Emit(run.Event{Step: name, Result: &run.Result{Status: st.Status, ExitCode: st.ExitCode, Code: st.Code, Reason: st.Reason, Outputs: x.shown(st.Outputs)}})
}

// shown are outputs for people.
func (x *execution) shown(outputs map[string]string) map[string]string {
	if outputs == nil {
		return map[string]string{}
	}
	return x.redactor().Map(outputs)
}

// seal encrypts the outputs of an entry when a secret is in them. A folder that a step hands on may have one in it, too:
// then what is to be masked later is written down.
func (x *execution) seal(step *definition.Step, e *Entry) error {
	_, masked := x.masks()
	if x.opts.Journal == nil || len(masked) == 0 {
		return nil
	}
	tainted := e.Status == run.Succeeded && slices.ContainsFunc(step.Artifacts, func(a definition.Artifact) bool { return a.From == "" })
	for name, v := range x.redactor().Map(e.Outputs) {
		tainted = tainted || e.Outputs[name] != v
	}
	if !tainted {
		return nil
	}
	handed := run.Handed{Outputs: e.Outputs, Masked: masked}
	e.Outputs = nil
	var err error
	// No run's context: what a step did has to be written down.
	e.Sealed, err = handed.Seal(context.Background(), x.opts.JournalSealer)
	return err
}

// handed opens what a run hands on: its outputs as they are, and what is masked from here on.
func (x *execution) handed(r *run.Result) (outputs map[string]string, err error) {
	if r.Handed == nil {
		return r.Outputs, nil
	}
	if x.Sealer == nil {
		return nil, errors.New("the run's result has sealed values, but there is no key to open them")
	}
	handed, err := run.Unseal(context.Background(), x.Sealer, r.Handed)
	if err != nil {
		return nil, fmt.Errorf("open the run's values: %w", err)
	}
	if err := x.mask(handed.Masked); err != nil {
		return nil, err
	}
	if handed.Outputs != nil {
		return handed.Outputs, nil
	}
	return r.Outputs, nil
}

// redactor masks what was handed on so far.
func (x *execution) redactor() *secret.Redactor {
	x.masking.Lock()
	defer x.masking.Unlock()
	return x.masker
}

// masks are the values that were handed on so far, sealed and as they are.
func (x *execution) masks() (sealed []byte, masked [][]byte) {
	x.masking.Lock()
	defer x.masking.Unlock()
	return x.sealed, slices.Clone(x.masked)
}

// mask has further values masked in all that comes after.
func (x *execution) mask(values [][]byte) error {
	x.masking.Lock()
	defer x.masking.Unlock()
	before := len(x.masked)
	for _, v := range values {
		if !slices.ContainsFunc(x.masked, func(m []byte) bool { return bytes.Equal(m, v) }) {
			x.masked = append(x.masked, v)
		}
	}
	if len(x.masked) == before {
		return nil
	}
	x.masker = secret.NewRedactor(x.masked...)
	if x.Sealer == nil {
		return errors.New("there are secrets to mask, but there is no key to seal them")
	}
	var err error
	x.sealed, err = (&run.Handed{Masked: x.masked}).Seal(context.Background(), x.Sealer)
	return err
}

// journal writes a change down. When that fails, no further step starts: what isn't written down would run twice.
func (x *execution) journal(e Entry, durable bool) {
	if x.opts.Journal == nil || x.broken != nil {
		return
	}
	if err := x.opts.Journal.Append(e, durable); err != nil {
		x.breaks(fmt.Errorf("write the run's journal: %w", err))
	}
}

func (x *execution) breaks(err error) {
	x.broken = err
	if x.states.Ending == "" {
		x.states.Ending, x.states.Code, x.states.Reason = run.Error, codeOf(err, run.CodeError), err.Error()
	}
}

func (x *execution) results() []run.StepResult {
	out := make([]run.StepResult, len(x.plan.Steps))
	for i, s := range x.plan.Steps {
		st := &x.states.Steps[i]
		out[i] = run.StepResult{
			Step: s.Name, Status: st.Status, ExitCode: st.ExitCode, Code: st.Code, Reason: st.Reason, Items: len(st.Items),
			Started: x.times[i].started, Finished: x.times[i].finished, Resumed: x.resumed[i] && st.Status == run.Succeeded,
		}
	}
	return out
}

func (x *execution) state(step string, s run.State, detail string) {
	x.events.Emit(run.Event{Step: step, State: &run.StateChange{State: s, Detail: detail}})
}

func itemOf(item int) *int {
	if item < 0 {
		return nil
	}
	return &item
}
