// Package workflow plans and executes workflows.
//
// Planning is pure: [Plan.Next] says what to do next, given the definition and the states of the steps, and depends on
// nothing else. It starts nothing and waits for nothing. Of the states it changes only the decoded lists of items, so a
// resumed run makes the same plan as a run that never stopped. The caller gives Next a function that evaluates conditions.
//
//	definition, states --Next--> actions (start, skip, …) --Apply--> states
//	                               |                                  ^
//	                               v                                  |
//	                            a run of the step's tool -------------'
//
// [Executor] carries out the plan: each step is a run of a tool. [Journal] records each change of a step's state in a file.
package workflow

import (
	"fmt"
	"strings"

	"github.com/mayfly-run/mayfly/internal/condition"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// Plan is a workflow with its inputs. It is immutable.
type Plan struct {
	Workflow *definition.Workflow
	// Steps are the steps of the workflow, followed by those of finally.
	Steps []*definition.Step
	// MaxParallel is how many tools may run at once.
	MaxParallel int

	byName map[string]int
	inputs map[string]any // of the workflow, as decoded JSON has them
	edges  [][]int        // for each step, the steps that must end before it
	order  []int          // the steps without those of finally, each after those that it needs
}

// DefaultMaxParallel is how many tools run at once if the workflow doesn't give max_parallel.
const DefaultMaxParallel = 64

// NewPlan returns the plan of a resolved workflow. inputs is the result of [definition.Workflow.Values].
func NewPlan(w *definition.Workflow, inputs map[string]any) *Plan {
	p := &Plan{Workflow: w, Steps: w.All(), inputs: inputs, edges: w.Edges(), MaxParallel: w.MaxParallel}
	if p.MaxParallel == 0 {
		p.MaxParallel = DefaultMaxParallel
	}
	p.byName = make(map[string]int, len(p.Steps))
	for i, s := range p.Steps {
		p.byName[s.Name] = i
	}
	p.order = p.sort()
	return p
}

// mainSteps returns the number of steps without those of finally.
func (p *Plan) mainSteps() int { return len(p.Workflow.Steps) }

// sort orders the steps so that each comes after those that it needs (Kahn's algorithm). It keeps the file's order where possible.
func (p *Plan) sort() []int {
	waits, after := make([]int, p.mainSteps()), make([][]int, p.mainSteps())
	for i := range p.mainSteps() {
		waits[i] = len(p.edges[i])
		for _, j := range p.edges[i] {
			after[j] = append(after[j], i)
		}
	}
	order := make([]int, 0, p.mainSteps())
	for i := range p.mainSteps() {
		if waits[i] == 0 {
			order = append(order, i)
		}
	}
	for k := 0; k < len(order); k++ {
		for _, i := range after[order[k]] {
			if waits[i]--; waits[i] == 0 {
				order = append(order, i)
			}
		}
	}
	return order
}

// States are the states of all steps of a plan.
type States struct {
	Steps []StepState
	// Ending, if not empty, says that only steps of finally may start from now on, and how the workflow will end:
	// run.Cancelled, run.TimedOut or run.Error. Code and Reason say why.
	Ending run.State
	Code   run.Code
	Reason string
}

// StepState is the state of a step, or of an item of a step with for_each.
type StepState struct {
	// Status is empty before the step starts, then run.Running, then its final state.
	Status   run.State
	ExitCode int
	Code     run.Code
	Reason   string
	Outputs  map[string]string
	// Artifacts are the digests of the step's artifacts, by name.
	Artifacts map[string]string
	// Items are the states of the items of a for_each, once the items are known.
	Items []StepState

	list []any // the list that a for_each's reference stands for, decoded once
}

// NewStates returns the states of a workflow that hasn't started.
func (p *Plan) NewStates() *States { return &States{Steps: make([]StepState, len(p.Steps))} }

// Ended reports whether the state is final.
func (s *StepState) Ended() bool { return s.Status != "" && s.Status != run.Running }

// Failed reports whether the step has ended, but didn't succeed and wasn't skipped.
func (s *StepState) Failed() bool {
	return s.Ended() && s.Status != run.Succeeded && s.Status != run.Skipped
}

// Kind is the kind of an action.
type Kind int

// The kinds of actions.
const (
	// Start starts a run of the step's tool: for the step, or for one of its items.
	Start Kind = iota
	// Expand starts a step with for_each, which gets Count items.
	Expand
	// Conclude ends a step, or one of its items, without running anything.
	Conclude
)

// Action is what to do next.
type Action struct {
	Kind Kind
	Step int
	// Item is the item's index, or -1 for the step itself.
	Item int
	// Count is the number of items, for Expand.
	Count int
	// State is the final state, for Conclude.
	State StepState
}

// Conditions evaluates a step's condition.
type Conditions func(step *definition.Step, v condition.Values) (bool, *condition.Problem)

// Next returns what to do next; all its actions can be carried out at once. It returns nothing while it must wait for running
// steps, and when the workflow has ended ([Plan.Ended]).
func (p *Plan) Next(s *States, evaluate Conditions) []Action {
	n := &planning{Plan: p, states: s, evaluate: evaluate, room: p.MaxParallel - running(s)}
	n.blocked = make([]blocker, p.mainSteps())
	ended := true
	for _, i := range p.order {
		n.block(i)
		if s.Steps[i].Ended() {
			continue
		}
		ended = false
		n.step(i)
	}
	if !ended {
		return n.actions
	}
	for i := p.mainSteps(); i < len(p.Steps); i++ {
		if s.Steps[i].Ended() {
			continue
		}
		// They run one after the other, because what they undo was done in order too.
		n.finallyStep(i)
		break
	}
	return n.actions
}

// Ended reports whether every step has ended.
func (p *Plan) Ended(s *States) bool {
	for i := range s.Steps {
		if !s.Steps[i].Ended() {
			return false
		}
	}
	return true
}

func running(s *States) int {
	n := 0
	for i := range s.Steps {
		st := &s.Steps[i]
		if st.Status != run.Running {
			continue
		}
		if st.Items == nil {
			n++
			continue
		}
		for k := range st.Items {
			if st.Items[k].Status == run.Running {
				n++
			}
		}
	}
	return n
}

// Apply changes the states by an action.
func (p *Plan) Apply(s *States, a Action) {
	st := &s.Steps[a.Step]
	if a.Item >= 0 {
		st = &st.Items[a.Item]
	}
	switch a.Kind {
	case Start:
		st.Status = run.Running
	case Expand:
		st.Status, st.Items = run.Running, make([]StepState, a.Count)
	case Conclude:
		*st = a.State
	}
}

// blocker is a failed step that another step depends on; ok is false if there is none.
type blocker struct {
	step int
	ok   bool
}

// planning is one call of Next.
type planning struct {
	*Plan
	states   *States
	evaluate Conditions
	room     int       // how many more runs may start
	blocked  []blocker // for each step
	actions  []Action
}

func (n *planning) conclude(i, item int, st StepState) {
	n.actions = append(n.actions, Action{Kind: Conclude, Step: i, Item: item, State: st})
}

func (n *planning) skip(i, item int, reason string) {
	n.conclude(i, item, StepState{Status: run.Skipped, Code: run.CodeSkipped, Reason: reason})
}

// failure ends a step whose definition or inputs turned out to be wrong.
func (n *planning) failure(i, item int, format string, args ...any) {
	n.conclude(i, item, StepState{Status: run.Error, ExitCode: run.ExitError, Code: run.CodeInvalidInput, Reason: fmt.Sprintf(format, args...)})
}

// counts reports whether step i failed and its failure affects other steps.
func (n *planning) counts(i int) bool {
	return n.states.Steps[i].Failed() && !n.Steps[i].ContinueOnFailure
}

// block records a failed step among those that step i depends on.
func (n *planning) block(i int) {
	for _, j := range n.edges[i] {
		if n.counts(j) {
			n.blocked[i] = blocker{j, true}
			return
		}
		if n.blocked[j].ok {
			n.blocked[i] = n.blocked[j]
		}
	}
}

// step plans a step that hasn't ended.
func (n *planning) step(i int) {
	for _, j := range n.edges[i] {
		if !n.states.Steps[j].Ended() {
			return
		}
	}
	if n.states.Steps[i].Status == run.Running {
		n.planItems(i)
		return
	}
	if n.states.Ending != "" {
		n.cancel(i, -1)
		return
	}
	if failed := n.stops(i); failed.ok {
		n.skip(i, -1, fmt.Sprintf("step %s %s", n.Steps[failed.step].Name, ended(n.states.Steps[failed.step].Status)))
		return
	}
	n.begin(i)
}

// outlook returns the values of success() and failure() for step i. For a step of finally they are about the steps before
// finally, whose results it undoes or reports.
func (n *planning) outlook(i int) (success, failure bool) {
	if i < n.mainSteps() {
		return !n.blocked[i].ok, n.blocked[i].ok
	}
	for j := range n.mainSteps() {
		failure = failure || n.counts(j)
	}
	switch n.states.Ending {
	case run.Cancelled: // after Ctrl-C both are false
		return false, false
	case "":
		return !failure, failure
	}
	return false, true
}

// cancel ends a step or item that will no longer start.
func (n *planning) cancel(i, item int) {
	n.conclude(i, item, StepState{Status: run.Cancelled, ExitCode: run.ExitCancelled, Code: run.CodeCancelled, Reason: n.states.Reason})
}

// ended returns the words for a final state after "step x".
func ended(s run.State) string {
	switch s {
	case run.TimedOut:
		return "timed out"
	case run.OutOfMemory:
		return "ran out of memory"
	case run.Cancelled, run.Denied, run.Lost, run.Skipped:
		return "was " + string(s)
	case run.Succeeded: // with an earlier definition, which didn't promise the output
		return "succeeded earlier without it"
	}
	return "failed"
}

// stops returns the failed step that keeps step i from running, if any. A condition that calls success, failure or always
// decides for itself; one that refers to how a step ended decides about that step.
func (n *planning) stops(i int) blocker {
	c := n.Steps[i].Condition
	if !n.blocked[i].ok || c != nil && len(c.Functions) > 0 {
		return blocker{}
	}
	judged := map[string]bool{} // the steps that the condition decides about
	if c != nil {
		for _, r := range c.References {
			if r.From == definition.FromStep && !r.IsOutput() {
				judged[r.Step] = true
			}
		}
	}
	if len(judged) == 0 {
		return n.blocked[i]
	}
	return n.unjudged(i, judged, map[int]bool{})
}

// unjudged finds a failed step that step i depends on, directly or through other steps, and that the condition doesn't decide
// about. seen has the steps that have been visited.
func (n *planning) unjudged(i int, judged map[string]bool, seen map[int]bool) blocker {
	for _, j := range n.edges[i] {
		if seen[j] {
			continue
		}
		seen[j] = true
		if n.counts(j) && !judged[n.Steps[j].Name] {
			return blocker{j, true}
		}
		if !n.blocked[j].ok {
			continue
		}
		if found := n.unjudged(j, judged, seen); found.ok {
			return found
		}
	}
	return blocker{}
}

// finallyStep plans the next step of finally.
func (n *planning) finallyStep(i int) {
	if n.states.Steps[i].Status == run.Running {
		n.planItems(i)
		return
	}
	n.begin(i)
}

// begin plans a step that only its own references and condition can keep from starting.
func (n *planning) begin(i int) {
	if n.room <= 0 {
		return
	}
	s := n.Steps[i]
	if reason, undelivered := n.Missing(n.states, i); undelivered {
		n.failure(i, -1, "%s", reason)
		return
	} else if reason != "" {
		n.skip(i, -1, reason)
		return
	}
	if s.Condition != nil && !perItem(s) && n.decided(i, -1, nil) {
		return
	}
	if s.ForEach == nil {
		n.start(i, -1)
		return
	}
	count, err := n.ItemCount(n.states, i)
	switch {
	case err != nil:
		n.failure(i, -1, "%s", err)
	case count == 0:
		n.conclude(i, -1, n.gather(i, nil))
	default:
		n.actions = append(n.actions, Action{Kind: Expand, Step: i, Item: -1, Count: count})
	}
}

func (n *planning) start(i, item int) {
	n.actions = append(n.actions, Action{Kind: Start, Step: i, Item: item})
	n.room--
}

// decided ends a step whose condition is false or wrong, and reports whether it did.
func (n *planning) decided(i, item int, value *any) bool {
	s := n.Steps[i]
	yes, problem := n.judge(i, value)
	switch {
	case problem != nil:
		n.failure(i, item, "condition %s: %s", s.Condition.Text, problem.Text)
	case !yes:
		n.skip(i, item, "its condition is false: "+strings.Join(strings.Fields(s.Condition.Text), " ")+n.judgedBy(s.Condition))
	default:
		return false
	}
	return true
}

// mostJudged bounds how much of a value a reason has.
const mostJudged = 100

// judgedBy says what the values were that a condition refers to, except outputs and items, which may have secrets.
func (n *planning) judgedBy(c *definition.Condition) string {
	var all strings.Builder
	seen := map[definition.Reference]bool{}
	for _, r := range c.References {
		if r.From != definition.FromInputs && (r.From != definition.FromStep || r.IsOutput()) || seen[r] {
			continue
		}
		seen[r] = true
		value, err := n.value(n.states, r, nil)
		if err != nil {
			continue // the condition would have failed
		}
		text, err := shape.JSON(value)
		if err != nil {
			continue
		}
		if len(text) > mostJudged {
			text = text[:mostJudged] + "…"
		}
		fmt.Fprintf(&all, "; %s is %s", r, strings.ToValidUTF8(text, ""))
	}
	return all.String()
}

// Missing returns why a step can't get what it refers to, now that the steps before it have ended, or "". undelivered says
// that a step succeeded without the output, as in a resumed run whose definition has changed. Skipping the step then would
// hide that.
func (p *Plan) Missing(s *States, i int) (reason string, undelivered bool) {
	step := p.Steps[i]
	step.References(func(r definition.Reference, _ shape.Position) {
		if reason != "" || !r.IsOutput() {
			return
		}
		from := p.State(s, r.Step)
		if _, ok := from.Outputs[r.Name]; !ok && from.Ended() {
			reason = fmt.Sprintf("it needs %s, and step %s %s", r, r.Step, ended(from.Status))
			if undelivered = from.Status == run.Succeeded; undelivered {
				reason += "; resume with --from " + r.Step
			}
		}
	})
	for _, a := range step.Artifacts {
		if a.From == "" || reason != "" {
			continue
		}
		if from := p.State(s, a.From); from.Ended() && from.Status != run.Succeeded {
			reason = fmt.Sprintf("it needs the artifact %s, and step %s %s", a.Name, a.From, ended(from.Status))
		}
	}
	return reason, undelivered
}

// State returns the state of the step with the given name, which must exist.
func (p *Plan) State(s *States, name string) *StepState {
	return &s.Steps[p.byName[name]]
}
