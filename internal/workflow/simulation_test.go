package workflow

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/condition"
	"github.com/mayfly-run/mayfly/internal/condition/cel"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// fataler is implemented by testing.TB and *rapid.T.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// parse parses a workflow in which "tool: T" stands for {image: i}.
func parse(t fataler, text string) *definition.Workflow {
	t.Helper()
	def, err := definition.Parse("test.yaml", []byte(strings.ReplaceAll(text, "tool: T", "tool: {image: i}")))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if err := def.Workflow.Resolve(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return def.Workflow
}

func conditions(t fataler, p *Plan) Conditions {
	evaluator := &cel.Evaluator{}
	return func(s *definition.Step, v condition.Values) (bool, *condition.Problem) {
		yes, problem, err := evaluator.Evaluate(context.Background(), p.Expression(s), v)
		if err != nil {
			t.Fatalf("evaluate %q: %v", s.Condition.Text, err)
		}
		return yes, problem
	}
}

// unit is a run that is in progress in a simulation.
type unit struct{ step, item int }

// simulation carries out a plan without running anything, and checks its invariants on the way.
type simulation struct {
	t        fataler
	p        *Plan
	s        *States
	evaluate Conditions
	running  []unit
	started  map[unit]int
	ended    map[unit]int
}

func simulate(t fataler, p *Plan, s *States) *simulation {
	return &simulation{t: t, p: p, s: s, evaluate: conditions(t, p), started: map[unit]int{}, ended: map[unit]int{}}
}

// advance carries out the plan's actions until there are none.
func (m *simulation) advance() {
	m.t.Helper()
	for {
		actions := m.p.Next(m.s, m.evaluate)
		if len(actions) == 0 {
			return
		}
		for _, a := range actions {
			m.check(a)
			m.p.Apply(m.s, a)
			u := unit{a.Step, a.Item}
			switch a.Kind {
			case Start:
				m.running = append(m.running, u)
				m.started[u]++
			case Conclude:
				m.ended[u]++
			}
		}
		m.limits()
	}
}

// check checks the invariants before an action.
func (m *simulation) check(a Action) {
	m.t.Helper()
	name := StepName(m.p.Steps[a.Step].Name, a.Item)
	st := &m.s.Steps[a.Step]
	if a.Item >= 0 {
		st = &st.Items[a.Item]
	}
	if st.Ended() {
		m.t.Fatalf("step %s, which is %s, gets another action", name, st.Status)
	}
	if a.Kind == Start && st.Status != "" {
		m.t.Fatalf("step %s, which is %s, starts", name, st.Status)
	}
	for _, j := range m.p.edges[a.Step] {
		if a.Kind != Conclude && !m.s.Steps[j].Ended() {
			m.t.Fatalf("step %s begins before %s has ended", name, m.p.Steps[j].Name)
		}
	}
	if a.Step >= m.p.mainSteps() {
		for i := range a.Step {
			if !m.s.Steps[i].Ended() {
				m.t.Fatalf("step %s of finally begins before %s has ended", name, m.p.Steps[i].Name)
			}
		}
	} else if a.Kind != Conclude && m.s.Ending != "" {
		m.t.Fatalf("step %s begins although the workflow is %s", name, m.s.Ending)
	}
}

func (m *simulation) limits() {
	m.t.Helper()
	if len(m.running) > m.p.MaxParallel {
		m.t.Fatalf("%d runs are in progress, want at most %d", len(m.running), m.p.MaxParallel)
	}
	of := map[int]int{}
	for _, u := range m.running {
		of[u.step]++
		if limit := m.p.Steps[u.step].MaxParallel; limit > 0 && of[u.step] > limit {
			m.t.Fatalf("%d items of %s are in progress, want at most %d", of[u.step], m.p.Steps[u.step].Name, limit)
		}
	}
}

// finish ends the k-th of the runs in progress.
func (m *simulation) finish(k int, st StepState) {
	u := m.running[k]
	m.running = slices.Delete(m.running, k, k+1)
	m.ended[u]++
	m.p.Apply(m.s, Action{Kind: Conclude, Step: u.step, Item: u.item, State: st})
}

// run carries out the plan to its end. pick returns which run ends next, and outcome how it ends.
func (m *simulation) run(pick func(n int) int, outcome func(unit) StepState) {
	m.t.Helper()
	for m.advance(); len(m.running) > 0; m.advance() {
		k := pick(len(m.running))
		m.finish(k, outcome(m.running[k]))
	}
	if !m.p.Ended(m.s) {
		m.t.Fatalf("nothing is in progress, but not every step has ended:\n%s", m.text())
	}
	for u, n := range m.ended {
		if n != 1 {
			m.t.Fatalf("step %s ended %d times, want once", StepName(m.p.Steps[u.step].Name, u.item), n)
		}
	}
	for u, n := range m.started {
		if n != 1 || m.ended[u] != 1 {
			m.t.Fatalf("step %s started %d times and ended %d times, want once", StepName(m.p.Steps[u.step].Name, u.item), n, m.ended[u])
		}
	}
}

func (m *simulation) text() string {
	var b strings.Builder
	for i, s := range m.p.Steps {
		fmt.Fprintf(&b, "%s %s %s\n", s.Name, m.s.Steps[i].Status, m.s.Steps[i].Reason)
	}
	return b.String()
}

func succeed(outputs ...string) StepState {
	st := StepState{Status: run.Succeeded, Outputs: map[string]string{}}
	for i := 0; i+1 < len(outputs); i += 2 {
		st.Outputs[outputs[i]] = outputs[i+1]
	}
	return st
}

func fail(code int) StepState {
	return StepState{Status: run.Failed, ExitCode: code, Reason: fmt.Sprintf("exit status %d", code)}
}

// summary returns how everything ended, on one line.
func (m *simulation) summary() string {
	var words []string
	add := func(name string, st *StepState) {
		word := name + "=" + string(st.Status)
		if st.Reason != "" && (st.Status != run.Failed || st.Items != nil) {
			word += "(" + st.Reason + ")"
		}
		words = append(words, word)
	}
	for i, s := range m.p.Steps {
		add(s.Name, &m.s.Steps[i])
	}
	for i, s := range m.p.Steps {
		for k := range m.s.Steps[i].Items {
			add(StepName(s.Name, k), &m.s.Steps[i].Items[k])
		}
	}
	end := m.p.Outcome(m.s)
	return fmt.Sprintf("%s -> %s %d", strings.Join(words, " "), end.Status, end.ExitCode)
}
