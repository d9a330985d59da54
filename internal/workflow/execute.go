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

// Executor executes workflows. Its fields must be set before the first workflow and not change afterwards.
type Executor struct {
	Runner     run.Runner
	Conditions condition.Evaluator
	// Sealer unseals values that the Runner's runs return, and seals them for later runs; nil for runs without secrets.
	Sealer run.Sealer
}

// Options say how a workflow is executed.
type Options struct {
	// ID is the run's id.
	ID string
	// States are the states to begin with, of a resumed run or with steps left out; nil for a new run of all steps.
	States *States
	// Resumed says that the run is resumed. Again names the steps that start from the beginning although they, or some of
	// their items, had succeeded.
	Resumed bool
	Again   []string
	// Partial says that steps were left out. The run then doesn't count as succeeded, so that the rest can still run.
	Partial bool
	// Masked are secrets that outputs of steps from before the resume may contain.
	Masked [][]byte
	// Journal gets each change of a step's state; nil for none.
	Journal Journal
	// JournalSealer seals secrets in the journal. It must be set if Journal is.
	JournalSealer run.Sealer
	// Environment applies to the tools of all steps and takes precedence over their own.
	Environment []tool.EnvVar
	// Mocked has the ends of steps that a test mocks, by name: these steps don't run.
	Mocked map[string]StepState
	// Prepare changes the request of a step before it runs; nil for none.
	Prepare func(step string, req *run.Request)

	Grace, KeepFor time.Duration
	// Kill, when closed, kills tools in their grace period, and ends the steps of finally.
	Kill <-chan struct{}
	// Emit is called with each event, one at a time, and must not block for long.
	Emit func(run.Event)
	// Mocks answers connections and commands of the steps' tools in a test; see run.Watch.
	Mocks run.Mocks
}

// StepName returns the name of a step's item in events, such as "check[3]", or the step's own name for item -1.
func StepName(step string, item int) string {
	if item < 0 {
		return step
	}
	return fmt.Sprintf("%s[%d]", step, item)
}

// execution is one workflow in progress. Its fields belong to the goroutine of Run, except those that masking guards.
type execution struct {
	*Executor
	plan    *Plan
	opts    Options
	states  *States
	times   []times
	resumed []bool // steps that had ended before this run was resumed
	usage   engine.Usage
	broken  error // an error of the journal or of sealing; after it only steps of finally start
	// transactional says that it is taken forward by a transaction at a time; see [Executor.Continue].
	transactional bool
	// masked are the secrets that steps had so far; everything after them may contain them. sealed is a [run.Handed] with
	// these values. Both are nil if there are none.
	masking sync.Mutex // guards masked, sealed and masker
	masked  [][]byte
	sealed  []byte
	masker  *secret.Redactor

	events *run.Sequence

	// launch runs a step's tool, or has it run. Its end comes to finish.
	launch func(step, item int, req *run.Request)
	// now is the clock of the run's times.
	now        func() time.Time
	done       chan finished
	busy       int
	stepsCtx   context.Context // of the steps, except those of finally
	finallyCtx context.Context // of the steps of finally
}

type times struct{ started, finished time.Time }

// finished is the end of the run of a step or of an item.
type finished struct {
	step, item int
	result     *run.Result
}

// Run executes a workflow to its end: when it returns, every step and every step of finally has ended. The result is never
// nil; err is the failure behind a status of error.
//
// Cancelling ctx ends the running steps; then the steps of finally run.
func (e *Executor) Run(ctx context.Context, plan *Plan, opts Options) (*run.Result, error) {
	x := e.execution(plan, opts)
	x.launch = x.spawn
	result := &run.Result{Outputs: map[string]string{}}
	result.Timeline.Queued = time.Now().UTC()
	x.state("", run.Queued, "")
	result.Timeline.Started = time.Now().UTC()
	x.state("", run.Running, "")
	if opts.Resumed {
		x.journal(Entry{Type: EntryResume, Again: x.opts.Again}, false)
	}
	x.execute(ctx)
	x.ended(result)
	return result, x.broken
}

// execution returns the beginning of one.
func (e *Executor) execution(plan *Plan, opts Options) *execution {
	x := &execution{Executor: e, plan: plan, opts: opts, states: opts.States, done: make(chan finished), masker: secret.NewRedactor(), events: run.NewSequence(opts.ID, opts.Emit)}
	if x.states == nil {
		x.states = plan.NewStates()
	}
	x.now = func() time.Time { return time.Now().UTC() }
	x.times, x.resumed = make([]times, len(plan.Steps)), make([]bool, len(plan.Steps))
	for i := range x.states.Steps {
		x.resumed[i] = x.states.Steps[i].Ended()
	}
	if err := x.mask(opts.Masked); err != nil {
		x.breaks(err)
	}
	return x
}

// ended completes the result of a workflow whose steps have all ended.
func (x *execution) ended(result *run.Result) {
	result.Timeline.Finished = x.now()
	result.DurationMS = result.Timeline.Finished.Sub(result.Timeline.Queued).Milliseconds()
	outcome := x.plan.Outcome(x.states)
	result.Status, result.ExitCode, result.Code, result.Reason = outcome.Status, outcome.ExitCode, outcome.Code, outcome.Reason
	result.Reason = x.redactor().String(result.Reason)
	result.Usage, result.Steps = x.usage, x.results()
	end := result.Status
	if end == run.Succeeded && x.opts.Partial {
		end = partial
	}
	x.journal(Entry{Type: EntryEnd, Status: end, ExitCode: result.ExitCode, Code: result.Code, Reason: result.Reason}, true)
	x.state("", result.Status, "")
	x.events.Emit(run.Event{Result: result})
}

var errTimeout = errors.New("timed out")

// execute runs the steps until all have ended.
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
			return // every step has ended
		}
		select {
		case f := <-x.done:
			x.busy--
			// The end of a step may arrive before the end of the workflow that caused it.
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

// endIfOver calls end if the workflow was cancelled or has timed out.
func (x *execution) endIfOver() {
	if x.stepsCtx.Err() != nil {
		x.end()
	}
}

// end prevents further steps from starting. The context has already told the running steps to end.
func (x *execution) end() {
	x.endAs(errors.Is(context.Cause(x.stepsCtx), errTimeout))
}

// endAs prevents further steps from starting: because of the timeout, or because the workflow was cancelled.
func (x *execution) endAs(timeout bool) {
	if x.states.Ending != "" || x.mainStepsEnded() {
		return
	}
	x.states.Ending, x.states.Code, x.states.Reason = run.Cancelled, run.CodeCancelled, "cancelled"
	if timeout {
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

// advance carries out the plan's actions until there are none.
func (x *execution) advance() {
	for {
		actions := x.plan.Next(x.states, x.evaluate)
		if len(actions) == 0 {
			return
		}
		for _, a := range actions {
			x.plan.Apply(x.states, a)
			x.act(a)
			// A step that a test mocks ends at once, and so may all of its items: nothing else looks whether they are to end.
			if !x.transactional && x.stepsCtx.Err() != nil && x.states.Ending == "" {
				x.end()
				break
			}
		}
	}
}

func (x *execution) evaluate(s *definition.Step, v condition.Values) (bool, *condition.Problem) {
	// The context must not be cancelled with the steps: a step of finally has a condition too.
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
		x.times[i].started = x.now()
	}
}

// start runs a step's tool.
func (x *execution) start(i, item int) {
	step := x.plan.Steps[i]
	x.markStarted(i)
	id := run.NewID()
	x.journal(Entry{Type: EntryStep, Step: step.Name, Item: itemOf(item), Status: run.Running, StepRun: id}, false)
	if x.broken != nil && i < x.plan.mainSteps() { // steps of finally still run: they undo what was done, whether the journal has it or not
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
	req.ID = id
	x.launch(i, item, req)
}

// spawn runs a step's tool in a goroutine.
func (x *execution) spawn(i, item int, req *run.Request) {
	ctx := x.stepsCtx
	if i >= x.plan.mainSteps() {
		ctx = x.finallyCtx
	}
	name := StepName(x.plan.Steps[i].Name, item)
	watch := run.Watch{
		Kill:  x.opts.Kill,
		Mocks: x.opts.Mocks,
		Mask: func(sealed []byte) {
			// If the values can't be unsealed, the step's result, which contains the same ones, ends the step with an error.
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
		if err != nil && result.Status == run.Succeeded { // otherwise the result has the reason too
			result = &run.Result{Status: run.Error, ExitCode: run.ExitError, Code: codeOf(err, run.CodeError), Reason: err.Error()}
		}
		x.done <- finished{i, item, result}
	}()
}

// notRun returns the end of a step whose tool couldn't be run, or not to its end.
func notRun(err error, code run.Code) StepState {
	return StepState{Status: run.Error, ExitCode: run.ExitError, Code: codeOf(err, code), Reason: err.Error()}
}

// codeOf returns the code of an error, or otherwise the given one.
func codeOf(err error, otherwise run.Code) run.Code {
	var coder run.Coder
	if errors.As(err, &coder) {
		return coder.Code()
	}
	return otherwise
}

// request returns the request to run a step's tool with the settings of the step.
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
		Tool: &t, Step: step.Name, Inputs: bound.Inputs, Shared: bound.Shared,
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

// finish records the end of a run.
func (x *execution) finish(f finished) {
	r := f.result
	addUsage(&x.usage, r.Usage)
	outputs, err := x.handed(r)
	st := StepState{Status: r.Status, ExitCode: r.ExitCode, Code: r.Code, Reason: r.Reason, Outputs: x.promised(f.step, outputs), Artifacts: r.Artifacts}
	if err != nil {
		x.conclude(f.step, f.item, notRun(err, run.CodeError), &r.Usage)
		return
	}
	x.record(f.step, f.item, st, &r.Usage) // the run has already reported its end
}

// addUsage adds what a step used to what the workflow used.
func addUsage(sum *engine.Usage, u engine.Usage) {
	sum.CPUSeconds += u.CPUSeconds
	sum.NetworkRxBytes += u.NetworkRxBytes
	sum.NetworkTxBytes += u.NetworkTxBytes
	sum.MemoryPeakBytes = max(sum.MemoryPeakBytes, u.MemoryPeakBytes)
	sum.DiskBytes = max(sum.DiskBytes, u.DiskBytes)
}

// promised returns the outputs that other steps can refer to; other outputs of the tool are dropped.
func (x *execution) promised(i int, outputs map[string]string) map[string]string {
	out := map[string]string{}
	for _, name := range x.plan.Steps[i].Promises() {
		if v, ok := outputs[name]; ok {
			out[name] = v
		}
	}
	return out
}

// conclude records and reports the end of a step or item, of which usage is what its run used, or nil if nothing ran.
func (x *execution) conclude(i, item int, st StepState, usage *engine.Usage) {
	st = x.record(i, item, st, usage)
	name := StepName(x.plan.Steps[i].Name, item)
	x.state(name, st.Status, st.Reason)
	x.events.Emit(run.Event{Step: name, Result: &run.Result{Status: st.Status, ExitCode: st.ExitCode, Code: st.Code, Reason: st.Reason, Outputs: x.shown(st.Outputs)}})
}

// record records the end of a step or item, and returns it with secrets masked in its reason.
func (x *execution) record(i, item int, st StepState, usage *engine.Usage) StepState {
	step := x.plan.Steps[i]
	st.Reason = x.redactor().String(st.Reason)
	if item >= 0 {
		x.states.Steps[i].Items[item] = st
	} else {
		x.states.Steps[i] = st
		x.times[i].finished = x.now()
	}
	e := Entry{Type: EntryStep, Step: step.Name, Item: itemOf(item), Status: st.Status, ExitCode: st.ExitCode, Code: st.Code, Reason: st.Reason, Outputs: st.Outputs, Artifacts: st.Artifacts}
	if st.Items != nil {
		e.Outputs = nil // a resumed run gathers them from the items again
	}
	if x.transactional {
		e.Usage = usage
	}
	if err := x.seal(step, &e); err != nil {
		x.breaks(err)
	}
	x.journal(e, st.Status == run.Succeeded)
	return st
}

// shown returns outputs for people, with secrets masked.
func (x *execution) shown(outputs map[string]string) map[string]string {
	if outputs == nil {
		return map[string]string{}
	}
	return x.redactor().Map(outputs)
}

// seal encrypts the outputs of an entry if they contain a secret. An artifact may contain one too: then the entry records the
// values to mask later.
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
	// The context is not the run's: the journal must record what a step did.
	e.Sealed, err = handed.Seal(context.Background(), x.opts.JournalSealer)
	return err
}

// handed unseals the values of a result: it returns the outputs with their secrets, and adds the values to mask.
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

// redactor returns a redactor that masks all secrets so far.
func (x *execution) redactor() *secret.Redactor {
	x.masking.Lock()
	defer x.masking.Unlock()
	return x.masker
}

// masks returns the secrets to mask so far, sealed and in clear.
func (x *execution) masks() (sealed []byte, masked [][]byte) {
	x.masking.Lock()
	defer x.masking.Unlock()
	return x.sealed, slices.Clone(x.masked)
}

// mask adds values to mask in everything that follows.
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

// journal appends a change to the journal. If that fails, no further step starts: a step that isn't in the journal would run twice.
func (x *execution) journal(e Entry, durable bool) {
	if x.opts.Journal == nil || x.broken != nil && !x.transactional {
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
