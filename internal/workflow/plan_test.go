package workflow

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/tool"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

func TestPlan(t *testing.T) {
	out := func(pairs ...string) StepState { return succeed(pairs...) }
	tests := []struct {
		name, text string
		ends       map[string]StepState // the others succeed
		want       string               // NAME=STATUS…, and the outcome
	}{
		{
			"a chain stops at a failure", "workflow: [{name: a, tool: T}, {name: b, tool: T}, {name: c, tool: T}]",
			map[string]StepState{"b": fail(3)},
			"a=succeeded b=failed c=skipped(step b failed) -> failed 3",
		},
		{
			"an allowed failure", "workflow: [{name: a, tool: T, continue_on_failure: true}, {name: b, tool: T}]",
			map[string]StepState{"a": fail(3)},
			"a=failed b=succeeded -> succeeded 0",
		},
		{
			"other steps of a graph run after a failure", "workflow: [{name: a, tool: T, needs: []}, {name: b, tool: T}, {name: c, tool: T, needs: [a]}, {name: d, tool: T, needs: [c]}]",
			map[string]StepState{"a": fail(1)},
			"a=failed b=succeeded c=skipped(step a failed) d=skipped(step a failed) -> failed 1",
		},
		{
			"parallel tools report all", "parallel_tools: [{name: a, tool: T}, {name: b, tool: T}]",
			map[string]StepState{"a": fail(9)},
			"a=failed b=succeeded -> failed 9",
		},
		{
			"failure and always", `workflow: [{name: a, tool: T}, {name: b, tool: T, condition: failure()}, {name: c, tool: T, condition: always()}, {name: d, tool: T, condition: success()}]`,
			map[string]StepState{"a": fail(1)},
			"a=failed b=succeeded c=succeeded d=skipped(its condition is false: success()) -> failed 1",
		},
		{
			"no failure", `workflow: [{name: a, tool: T}, {name: b, tool: T, condition: failure()}, {name: c, tool: T}]`,
			nil, "a=succeeded b=skipped(its condition is false: failure()) c=succeeded -> succeeded 0",
		},
		{
			"an output decides", `workflow: [{name: a, tool: T, outputs: [R]}, {name: b, tool: T, condition: '${a.R} == "PASSED"', outputs: [X]}, {name: c, tool: T, inputs: {I: "${b.X}"}}, {name: d, tool: T}]`,
			map[string]StepState{"a": out("R", "FAILED")},
			`a=succeeded b=skipped(its condition is false: ${a.R} == "PASSED") c=skipped(it needs ${b.X}, and step b was skipped) d=succeeded -> succeeded 0`,
		},
		{
			"how a step ended decides", `workflow: [{name: a, tool: T}, {name: b, tool: T, condition: '${a.status} == "failed" && ${a.exit_code} == 3'}, {name: c, tool: T}]`,
			map[string]StepState{"a": fail(3)},
			"a=failed b=succeeded c=skipped(step a failed) -> failed 3",
		},
		{
			"a reason has the values", `{inputs: [{name: e, default: "<x\ny>"}], workflow: [{name: a, tool: T, outputs: [R]}, {name: b, tool: T, condition: '${a.exit_code} > 1 || ${inputs.e} == ${a.R}'}]}`,
			map[string]StepState{"a": out("R", "secret")},
			`a=succeeded b=skipped(its condition is false: ${a.exit_code} > 1 || ${inputs.e} == ${a.R}; ${a.exit_code} is 0; ${inputs.e} is "<x\ny>") -> succeeded 0`,
		},
		{
			"but not about others", `workflow: [{name: a, tool: T}, {name: x, tool: T, condition: always()}, {name: b, tool: T, condition: '${x.status} == "failed"'}]`,
			map[string]StepState{"a": fail(3), "x": fail(4)},
			"a=failed x=failed b=skipped(step a failed) -> failed 3",
		},
		{
			"a value is not a part of the condition", `workflow: [{name: a, tool: T, outputs: [R]}, {name: b, tool: T, condition: '${a.R} == "x"'}]`,
			map[string]StepState{"a": out("R", `" || true || "`)},
			`a=succeeded b=skipped(its condition is false: ${a.R} == "x") -> succeeded 0`,
		},
		{
			"a condition that can't be evaluated", `workflow: [{name: a, tool: T, outputs: [R]}, {name: b, tool: T, condition: 'int(${a.R}) > 3'}]`,
			map[string]StepState{"a": out("R", "many")},
			`a=succeeded b=error(condition int(${a.R}) > 3: type conversion error from 'string' to 'int') -> error 125`,
		},
		{
			"finally", `{workflow: [{name: a, tool: T}, {name: b, tool: T}], finally: [{name: undo, tool: T, condition: failure()}, {name: bye, tool: T}, {name: yay, tool: T, condition: success()}]}`,
			map[string]StepState{"a": fail(2), "undo": fail(7)},
			"a=failed b=skipped(step a failed) undo=failed bye=succeeded yay=skipped(its condition is false: success()) -> failed 2",
		},
		{
			"a failure of finally", `{workflow: [{name: a, tool: T}], finally: [{name: bye, tool: T}]}`,
			map[string]StepState{"bye": fail(7)},
			"a=succeeded bye=failed -> failed 7",
		},
		{
			"items", `workflow: [{name: a, tool: T, for_each: [x, y, z], max_parallel: 1}, {name: b, tool: T}]`,
			map[string]StepState{"a[1]": fail(5)},
			"a=failed(item 1: exit status 5) b=skipped(step a failed) a[0]=succeeded a[1]=failed a[2]=skipped(item 1 failed) -> failed 5",
		},
		{
			"items after a failure", `workflow: [{name: a, tool: T, for_each: [x, y], max_parallel: 1, continue_on_failure: true}]`,
			map[string]StepState{"a[0]": fail(5)},
			"a=failed(item 0: exit status 5) a[0]=failed a[1]=succeeded -> succeeded 0",
		},
		{
			"items of an output", `workflow: [{name: a, tool: T, outputs: [L]}, {name: b, tool: T, for_each: "${a.L}", condition: "${item} != 'no'"}]`,
			map[string]StepState{"a": out("L", `["yes", "no"]`)},
			"a=succeeded b=succeeded b[0]=succeeded b[1]=skipped(its condition is false: ${item} != 'no') -> succeeded 0",
		},
		{
			"no items", `workflow: [{name: a, tool: T, outputs: [L]}, {name: b, tool: T, for_each: "${a.L}"}]`,
			map[string]StepState{"a": out("L", `[]`)},
			"a=succeeded b=succeeded -> succeeded 0",
		},
		{
			"items that are not a list", `workflow: [{name: a, tool: T, outputs: [L]}, {name: b, tool: T, for_each: "${a.L}"}]`,
			map[string]StepState{"a": out("L", `yes`)},
			`a=succeeded b=error(for_each: ${a.L} is not a JSON array; have step a write one such as ["a", "b"]) -> error 125`,
		},
		{
			"items that are nested too deep", `workflow: [{name: a, tool: T, outputs: [L]}, {name: b, tool: T, for_each: "${a.L}"}]`,
			map[string]StepState{"a": out("L", strings.Repeat("[", 5000)+strings.Repeat("]", 5000))},
			`a=succeeded b=error(for_each: ${a.L}: its values are nested more than 64 deep) -> error 125`,
		},
		{
			"outputs of items", `workflow: [{name: a, tool: T, outputs: [R], for_each: [1, 2]}, {name: b, tool: T, condition: '${a.R} == "[\"x\",\"y\"]"'}]`,
			map[string]StepState{"a[0]": out("R", "x"), "a[1]": out("R", "y")},
			`a=succeeded b=succeeded a[0]=succeeded a[1]=succeeded -> succeeded 0`,
		},
		{
			"outputs of items, some of which fail",
			`workflow: [{name: a, tool: T, outputs: [R], for_each: [1, 2, 3], max_parallel: 1, continue_on_failure: true}, {name: b, tool: T, condition: '${a.R} == "[\"x&y\",null,\"z\"]"'}]`,
			map[string]StepState{"a[0]": out("R", "x&y"), "a[1]": fail(5), "a[2]": out("R", "z")},
			`a=failed(item 1: exit status 5) b=succeeded a[0]=succeeded a[1]=failed a[2]=succeeded -> succeeded 0`,
		},
		{
			"a step that times out", "workflow: [{name: a, tool: T}, {name: b, tool: T}]",
			map[string]StepState{"a": {Status: run.TimedOut, ExitCode: 124}},
			"a=timed_out b=skipped(step a timed out) -> failed 124",
		},
		{
			"an artifact of a skipped step", `workflow: [{name: a, tool: T, condition: "false", artifacts: [{name: x}]}, {name: b, tool: T, artifacts: [{name: x, from: a}]}]`,
			nil, "a=skipped(its condition is false: false) b=skipped(it needs the artifact x, and step a was skipped) -> succeeded 0",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := parse(t, test.text)
			values, err := w.Values(nil)
			if err != nil {
				t.Fatal(err)
			}
			p := NewPlan(w, values)
			m := simulate(t, p, p.NewStates())
			m.run(func(int) int { return 0 }, func(u unit) StepState {
				if st, ok := test.ends[StepName(p.Steps[u.step].Name, u.item)]; ok {
					return st
				}
				return succeed()
			})
			if got := m.summary(); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// anyWorkflow draws the text of a random workflow.
func anyWorkflow(t *rapid.T, items bool) string {
	n := rapid.IntRange(1, 9).Draw(t, "steps")
	form := rapid.SampledFrom([]string{"chain", "graph", "parallel"}).Draw(t, "form")
	var b strings.Builder
	fmt.Fprintf(&b, "max_parallel: %d\n", rapid.IntRange(1, 4).Draw(t, "max_parallel"))
	b.WriteString(map[string]string{"chain": "workflow:\n", "graph": "workflow:\n", "parallel": "parallel_tools:\n"}[form])
	step := func(name string, earlier []string, graph bool) {
		fmt.Fprintf(&b, "- name: %s\n  tool: T\n  outputs: [R]\n", name)
		if graph && len(earlier) > 0 {
			needs := rapid.SliceOfNDistinct(rapid.SampledFrom(earlier), 0, 3, rapid.ID).Draw(t, "needs")
			fmt.Fprintf(&b, "  needs: [%s]\n", strings.Join(needs, ", "))
		} else if graph {
			b.WriteString("  needs: []\n")
		}
		choices := []string{"", "", "", "success()", "failure()", "always()", "true", "false"}
		if len(earlier) > 0 && form != "parallel" {
			other := rapid.SampledFrom(earlier).Draw(t, "other")
			choices = append(choices, fmt.Sprintf(`${%s.status} == "failed"`, other), fmt.Sprintf(`${%s.R} == "x"`, other))
		}
		if c := rapid.SampledFrom(choices).Draw(t, "condition"); c != "" {
			fmt.Fprintf(&b, "  condition: %s\n", c)
		}
		if rapid.IntRange(0, 4).Draw(t, "continue") == 0 {
			b.WriteString("  continue_on_failure: true\n")
		}
		if items && rapid.IntRange(0, 3).Draw(t, "repeated") == 0 {
			list := strings.Repeat("i, ", rapid.IntRange(0, 5).Draw(t, "items"))
			fmt.Fprintf(&b, "  for_each: [%s]\n  max_parallel: %d\n", strings.TrimSuffix(list, ", "), rapid.IntRange(1, 3).Draw(t, "at once"))
		}
	}
	var earlier []string
	for i := range n {
		name := fmt.Sprintf("s%d", i)
		step(name, earlier, form == "graph")
		earlier = append(earlier, name)
	}
	if last := rapid.IntRange(0, 2).Draw(t, "finally"); last > 0 {
		b.WriteString("finally:\n")
		for i := range last {
			step(fmt.Sprintf("f%d", i), nil, false)
		}
	}
	return b.String()
}

func anyOutcome(t *rapid.T) StepState {
	return rapid.SampledFrom([]StepState{succeed("R", "x"), succeed("R", "y"), succeed("R", "x"), fail(2), {Status: run.TimedOut, ExitCode: 124}}).Draw(t, "outcome")
}

// TestPlanProperties: what simulation checks is true for any workflow and any ends of its steps.
func TestPlanProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := NewPlan(parse(t, anyWorkflow(t, true)), nil)
		m := simulate(t, p, p.NewStates())
		stop := rapid.IntRange(-10, 10).Draw(t, "cancelled after")
		ended := 0
		m.run(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "next") }, func(unit) StepState {
			if ended++; ended == stop {
				m.s.Ending, m.s.Reason = run.Cancelled, "cancelled"
			}
			return anyOutcome(t)
		})
	})
}

// TestPlanOrderMeansNothing: how a workflow ends depends on how its steps end, and not on their order.
func TestPlanOrderMeansNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := NewPlan(parse(t, anyWorkflow(t, false)), nil)
		outcomes := make([]StepState, len(p.Steps))
		for i := range outcomes {
			outcomes[i] = anyOutcome(t)
		}
		outcome := func(u unit) StepState { return outcomes[u.step] }
		first := simulate(t, p, p.NewStates())
		first.run(func(int) int { return 0 }, outcome)
		second := simulate(t, p, p.NewStates())
		second.run(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "next") }, outcome)
		if a, b := first.summary(), second.summary(); a != b {
			t.Fatalf("in order: %s\nin another order: %s", a, b)
		}
	})
}

// TestResumeRunsNothingTwice: a run that was killed at any moment and resumed doesn't repeat what had succeeded.
func TestResumeRunsNothingTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := anyWorkflow(t, true)
		p := NewPlan(parse(t, text), nil)
		m := simulate(t, p, p.NewStates())
		moment := rapid.IntRange(0, 12).Draw(t, "killed after")
		for m.advance(); len(m.running) > 0 && moment > 0; m.advance() {
			m.finish(rapid.IntRange(0, len(m.running)-1).Draw(t, "next"), anyOutcome(t))
			moment--
		}
		ended := p.Ended(m.s)
		past := pastOf(p, m.s, ended)
		states := NewPlan(parse(t, text), nil).Resume(past)
		ended = ended || p.unfinished(past) // then the steps of finally run at the end of the next attempt
		for i := range p.Steps {
			if i >= p.mainSteps() && ended && states.Steps[i].Status != "" {
				t.Fatalf("step %s of finally doesn't run again at the end of the next attempt", p.Steps[i].Name)
			}
			if m.s.Steps[i].Status != run.Succeeded || i >= p.mainSteps() && ended {
				continue
			}
			if states.Steps[i].Status != run.Succeeded {
				t.Fatalf("step %s: got status %q, want succeeded as before", p.Steps[i].Name, states.Steps[i].Status)
			}
		}
		again := simulate(t, p, states)
		again.run(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "then") }, func(unit) StepState { return anyOutcome(t) })
		for u := range again.started {
			st := &m.s.Steps[u.step]
			if u.item >= 0 && u.item < len(st.Items) {
				st = &st.Items[u.item]
			}
			if st.Status == run.Succeeded && (u.step < p.mainSteps() || !ended) {
				t.Fatalf("step %s had succeeded and ran again", StepName(p.Steps[u.step].Name, u.item))
			}
		}
	})
}

// pastOf returns the past that a journal of these states would have.
func pastOf(p *Plan, s *States, ended bool) *Past {
	past := &Past{steps: map[string]*pastStep{}}
	for i, step := range p.Steps {
		st := s.Steps[i]
		if st.Status == "" {
			continue
		}
		old := &pastStep{StepState: st, ended: ended}
		if step.ForEach != nil {
			old.items = p.itemsDigest(s, i)
		}
		old.Items = slices.Clone(st.Items)
		past.steps[step.Name] = old
	}
	return past
}

// TestPlanScale: a graph of 10,000 steps is read, checked and planned to its end in 300 MB, and in time that grows in
// proportion to the graph. If it grew with the square, it would be a hundred times the time for 1,000 steps.
func TestPlanScale(t *testing.T) {
	planned(t, 1000) // the first call also initializes global state
	small, large := time.Hour, time.Hour
	var p *Plan
	for try := 0; try == 0 || large > 30*small && try < 5; try++ { // what else a machine does makes some tries slower, and none faster
		for range 3 {
			_, took, _ := planned(t, 1000)
			small = min(small, took)
		}
		var took time.Duration
		var allocated uint64
		p, took, allocated = planned(t, 10_000)
		large = min(large, took)
		// TotalAlloc counts freed memory too, so it is at least what was held at any time.
		if allocated > 300<<20 {
			t.Fatalf("allocated %d MB, want at most 300", allocated>>20)
		}
	}
	t.Logf("1,000 steps are planned in %v, 10,000 in %v", small, large)
	if large > 30*small {
		t.Errorf("10,000 steps took %v, 1,000 took %v", large, small)
	}
	m := simulate(t, p, p.NewStates())
	begin := time.Now()
	m.run(func(int) int { return 0 }, func(unit) StepState { return succeed() })
	t.Logf("carried out in %v", time.Since(begin))
}

// planned plans a graph of n steps, and returns the plan, the processor time and the allocated bytes.
func planned(t *testing.T, n int) (p *Plan, took time.Duration, allocated uint64) {
	t.Helper()
	var b strings.Builder
	b.WriteString("workflow:\n")
	for i := range n {
		fmt.Fprintf(&b, "- {name: s%d, tool: T, needs: [", i)
		for k, j := range []int{i - 1, i / 2, i - 100} {
			if j >= 0 && j < i && (k == 0 || j != i-1) && (k < 2 || j != i/2) {
				fmt.Fprintf(&b, "s%d, ", j)
			}
		}
		b.WriteString("]}\n")
	}
	text := strings.ReplaceAll(b.String(), "tool: T", "tool: t.yaml")
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin := processorTime(t)
	def, err := definition.Parse("scale.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	shared := &tool.Tool{Name: "t", Image: "i"}
	for _, s := range def.Workflow.All() {
		s.Uses.Tool = shared
	}
	if err := def.Workflow.Resolve(); err != nil {
		t.Fatal(err)
	}
	p = NewPlan(def.Workflow, nil)
	first := p.Next(p.NewStates(), conditions(t, p))
	took = processorTime(t) - begin
	runtime.ReadMemStats(&after)
	if len(first) != 1 || len(p.order) != n {
		t.Fatalf("%d actions, %d steps in order", len(first), len(p.order))
	}
	return p, took, after.TotalAlloc - before.TotalAlloc
}

// processorTime returns how long this process has had a processor (getrusage(2)): other programs on the machine don't count.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestFinallyAfterAnInterrupt: success() and failure() are both false, even if a step failed before.
func TestFinallyAfterAnInterrupt(t *testing.T) {
	for _, first := range []StepState{{Status: run.Cancelled, ExitCode: 130}, {Status: run.Failed, ExitCode: 1}} {
		p := NewPlan(parse(t, `{workflow: [{name: a, tool: T}, {name: b, tool: T}], finally: [{name: yes, tool: T, condition: success()}, {name: no, tool: T, condition: failure()}, {name: any, tool: T}]}`), nil)
		m := simulate(t, p, p.NewStates())
		m.run(func(int) int { return 0 }, func(u unit) StepState {
			if u.step == 0 {
				m.s.Ending, m.s.Reason = run.Cancelled, "cancelled"
				return first
			}
			return succeed()
		})
		ends := map[string]run.State{}
		for i, s := range p.Steps {
			ends[s.Name] = m.s.Steps[i].Status
		}
		if ends["b"] != run.Cancelled || ends["yes"] != run.Skipped || ends["no"] != run.Skipped || ends["any"] != run.Succeeded {
			t.Errorf("after a %s: %v", first.Status, ends)
		}
	}
}
