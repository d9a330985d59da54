// Package workflow plans and executes workflows.
//
// Planning is pure: [Plan.Next] says what to do next given the definition and how each step stands, and nothing else. It
// starts nothing and waits for nothing. It keeps only a list of items, which it reads once, so a run that is resumed plans
// as one that never stopped. What is impure comes in from outside: conditions are evaluated by a function that Next is given.
//
//	definition, states --Next--> actions (start, skip, …) --Apply--> states
//	                               |                                  ^
//	                               v                                  |
//	                            a run of the step's tool -------------'
//
// [Executor] does what the plan says, as runs of tools; [Journal] writes each change of a step's state to a file.
package workflow

import (
	"fmt"
	"strings"

	"github.com/mayfly-run/mayfly/internal/condition"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// Plan is a workflow with its inputs, ready to be planned. It doesn't change.
type Plan struct {
	Workflow *definition.Workflow
	// Steps are those of the workflow, then those of finally.
	Steps []*definition.Step
	// MaxParallel bounds the runs of tools at once.
	MaxParallel int

	byName map[string]int
	inputs map[string]any // of the workflow, as decoded JSON has them
	edges  [][]int        // for each step those that have to end before it
	order  []int          // the steps without finally, each after those it needs
}

// DefaultMaxParallel is how many runs are under way at once where the workflow doesn't say.
const DefaultMaxParallel = 64

// NewPlan prepares a workflow that was resolved. inputs are what [definition.Workflow.Values] returned.
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

// main is the number of steps that are not of finally.
func (p *Plan) mainSteps() int { return len(p.Workflow.Steps) }

// sort orders the steps so that each comes after those that it needs (Kahn's algorithm), keeping the file's order where
// it can.
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

// States are how all steps of a plan stand.
type States struct {
	Steps []StepState
	// Ending, unless empty, says that no step but those of finally starts any more, and how the workflow will have ended:
	// run.Cancelled, run.TimedOut or run.Error. Code and Reason are why.
	Ending run.State
	Code   run.Code
	Reason string
}

// StepState is how a step stands, or an item of one with for_each.
type StepState struct {
	// Status is empty before the step begins, run.Running, or how it ended.
	Status   run.State
	ExitCode int
	Code     run.Code
	Reason   string
	Outputs  map[string]string
	// Artifacts are the digests of what the step made, by name.
	Artifacts map[string]string
	// Items are those of a for_each, once it is known what they are.
	Items []StepState

	list []any // what a for_each's reference stands for, decoded once
}

// NewStates returns the states of a workflow that hasn't begun.
func (p *Plan) NewStates() *States { return &States{Steps: make([]StepState, len(p.Steps))} }

// Ended reports whether the state is a final one.
func (s *StepState) Ended() bool { return s.Status != "" && s.Status != run.Running }

// Failed reports whether the step ended, and neither well nor by being skipped.
func (s *StepState) Failed() bool {
	return s.Ended() && s.Status != run.Succeeded && s.Status != run.Skipped
}

// Kind is what an action does.
type Kind int

// The kinds of actions.
const (
	// Start starts a run of the step's tool: for the step, or for one of its items.
	Start Kind = iota
	// Expand begins a step with for_each: it gets as many items as Count says.
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
	// Count is the number of items (Expand).
	Count int
	// State is the final one (Conclude).
	State StepState
}

// Conditions evaluates a step's condition.
type Conditions func(step *definition.Step, v condition.Values) (bool, *condition.Problem)

// Next returns what to do next: all of it can be done at once. It returns nothing while everything that could go on is
// running, and nothing when the workflow has ended ([Plan.Ended]).
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
		// In order, one after the other: what they undo was done in an order, too.
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

// Apply makes the change that an action is.
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

// blocker is a failed step that another depends on; there may be none.
type blocker struct {
	step int
	ok   bool
}

// planning is one call of Next.
type planning struct {
	*Plan
	states   *States
	evaluate Conditions
	room     int       // how many runs may start
	blocked  []blocker // for each step
	actions  []Action
}

func (n *planning) conclude(i, item int, st StepState) {
	n.actions = append(n.actions, Action{Kind: Conclude, Step: i, Item: item, State: st})
}

func (n *planning) skip(i, item int, reason string) {
	n.conclude(i, item, StepState{Status: run.Skipped, Code: run.CodeSkipped, Reason: reason})
}

// failure is the end of a step whose definition, or what it is given, turned out to be wrong.
func (n *planning) failure(i, item int, format string, args ...any) {
	n.conclude(i, item, StepState{Status: run.Error, ExitCode: run.ExitError, Code: run.CodeInvalidInput, Reason: fmt.Sprintf(format, args...)})
}

// counts reports whether the failure of step i is one for others.
func (n *planning) counts(i int) bool {
	return n.states.Steps[i].Failed() && !n.Steps[i].ContinueOnFailure
}

// block notes a failed step among those that step i depends on.
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

// outlook is what success() and failure() are for step i. Those of finally are about the steps before finally: what they
// undo or report is what became of them.
func (n *planning) outlook(i int) (success, failure bool) {
	if i < n.mainSteps() {
		return !n.blocked[i].ok, n.blocked[i].ok
	}
	for j := range n.mainSteps() {
		failure = failure || n.counts(j)
	}
	switch n.states.Ending {
	case run.Cancelled: // after Ctrl-C neither holds
		return false, false
	case "":
		return !failure, failure
	}
	return false, true
}

// cancel concludes what will not begin any more.
func (n *planning) cancel(i, item int) {
	n.conclude(i, item, StepState{Status: run.Cancelled, ExitCode: run.ExitCancelled, Code: run.CodeCancelled, Reason: n.states.Reason})
}

// ended says how a step ended, for "step x …".
func ended(s run.State) string {
	switch s {
	case run.TimedOut:
		return "timed out"
	case run.OutOfMemory:
		return "ran out of memory"
	case run.Cancelled, run.Denied, run.Lost, run.Skipped:
		return "was " + string(s)
	case run.Succeeded: // before it promised what it is now asked for
		return "succeeded earlier without it"
	}
	return "failed"
}

// stops returns a failed step because of which step i doesn't run. A condition that calls success, failure or
// always decides by itself; one that looks at how a step ended decides about that step.
func (n *planning) stops(i int) blocker {
	c := n.Steps[i].Condition
	if !n.blocked[i].ok || c != nil && len(c.Functions) > 0 {
		return blocker{}
	}
	judged := map[string]bool{} // by the condition
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

// unjudged finds a failed step that step i depends on, directly or by others, and that the condition doesn't judge. seen are the
// steps that were looked at.
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

// finallyStep plans a step of finally whose turn it is.
func (n *planning) finallyStep(i int) {
	if n.states.Steps[i].Status == run.Running {
		n.planItems(i)
		return
	}
	n.begin(i)
}

// begin plans a step that nothing keeps from beginning but its own references and condition.
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

// decided concludes a step whose condition keeps it from running.
func (n *planning) decided(i, item int, value *any) bool {
	s := n.Steps[i]
	yes, problem := n.judge(i, value)
	switch {
	case problem != nil:
		n.failure(i, item, "condition %s: %s", s.Condition.Text, problem.Text)
	case !yes:
		n.skip(i, item, "its condition is false: "+strings.Join(strings.Fields(s.Condition.Text), " "))
	default:
		return false
	}
	return true
}

// Missing says why a step can't have what it refers to, now that steps have ended; "" when it may. undelivered says that a
// step succeeded without it, which a resumed run of another definition finds: to skip it then would be to leave it out unnoticed.
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

// State is the state of the step of a name, which has to exist.
func (p *Plan) State(s *States, name string) *StepState {
	return &s.Steps[p.byName[name]]
}
