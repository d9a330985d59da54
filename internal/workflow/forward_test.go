package workflow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/mayfly-run/mayfly/internal/condition/cel"
	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/run"
)

// kept is a workflow of which nothing is in memory between two steps forward, except for its journal in JSON.
type kept struct {
	t       fataler
	text    string
	opts    Options
	sealer  run.Sealer
	lines   []string
	begun   map[string]string // the names of the runs of steps in progress, by their ids
	order   []string          // their ids
	all     []StepRun
	asked   []string // runs of steps whose end was asked for
	events  []run.Event
	result  *run.Result
	dead    time.Duration
	forward int
}

func (k *kept) executor() *Executor { return &Executor{Conditions: &cel.Evaluator{}, Sealer: k.sealer} }

func (k *kept) plan() *Plan { return NewPlan(parse(k.t, k.text), nil) }

func (k *kept) begin() {
	k.begun = map[string]string{}
	k.take(k.executor().Begin(context.Background(), k.plan(), k.opts, Header{ID: k.opts.ID}, time.Now()))
}

func (k *kept) entries() iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, line := range k.lines {
			var e Entry
			if err := json.Unmarshal([]byte(line), &e); !yield(e, err) {
				return
			}
		}
	}
}

func (k *kept) happens(h Happened) {
	k.t.Helper()
	opts := k.opts
	opts.States, opts.Resumed, opts.Again = nil, false, nil
	f, err := k.executor().Continue(context.Background(), k.plan(), opts, k.entries(), h)
	if err != nil {
		k.t.Fatalf("%v", err)
	}
	k.take(f)
}

func (k *kept) take(f *Forward) {
	for _, e := range f.Entries {
		line, err := json.Marshal(e)
		if err != nil {
			k.t.Fatalf("%v", err)
		}
		k.lines = append(k.lines, string(line))
	}
	for _, b := range f.Begin {
		k.begun[b.Request.ID] = b.Name()
		k.order = append(k.order, b.Request.ID)
	}
	k.all = append(k.all, f.Begin...)
	k.asked = append(k.asked, f.End...)
	k.events = append(k.events, f.Events...)
	k.result, k.dead = f.Result, f.Within
	k.forward++
}

// ends ends the run of a step.
func (k *kept) ends(name string, result *run.Result) {
	k.t.Helper()
	for id, n := range k.begun {
		if n == name {
			delete(k.begun, id)
			k.order = slices.DeleteFunc(k.order, func(o string) bool { return o == id })
			k.happens(Happened{Ended: map[string]*run.Result{id: result}, Now: time.Now()})
			return
		}
	}
	k.t.Fatalf("%s isn't in progress: %v", name, k.begun)
}

func resultOf(st StepState) *run.Result {
	return &run.Result{Status: st.Status, ExitCode: st.ExitCode, Reason: st.Reason, Outputs: st.Outputs, Usage: engine.Usage{CPUSeconds: 1}}
}

// TestForwardIsThePlan: a workflow that is taken forward by its journal does the same as one that stays in memory, whatever its
// steps do and whenever it is cancelled.
func TestForwardIsThePlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := anyWorkflow(t, true)
		p := NewPlan(parse(t, text), nil)
		m := simulate(t, p, p.NewStates())
		k := &kept{t: t, text: text, opts: Options{ID: "r"}}
		stop := rapid.IntRange(-10, 10).Draw(t, "cancelled after")
		m.advance()
		k.begin()
		for n := 1; len(m.running) > 0; n++ {
			if n == stop && !mainEnded(m) {
				m.s.Ending, m.s.Code, m.s.Reason = run.Cancelled, run.CodeCancelled, "cancelled"
				m.advance()
				k.happens(Happened{Cancelled: true, Now: time.Now()})
			}
			same(t, m, k)
			i := rapid.IntRange(0, len(m.running)-1).Draw(t, "next")
			u, st := m.running[i], anyOutcome(t)
			m.finish(i, st)
			m.advance()
			k.ends(StepName(p.Steps[u.step].Name, u.item), resultOf(st))
		}
		if k.result == nil || len(k.begun) > 0 {
			t.Fatalf("no result, %v in progress", k.begun)
		}
		end := m.p.Outcome(m.s)
		if k.result.Status != end.Status || k.result.ExitCode != end.ExitCode || k.result.Reason != end.Reason {
			t.Fatalf("got %s %d %q, want %s %d %q", k.result.Status, k.result.ExitCode, k.result.Reason, end.Status, end.ExitCode, end.Reason)
		}
		progress, err := k.executor().Progress(t.Context(), k.plan(), k.entries())
		if err != nil {
			t.Fatalf("%v", err)
		}
		for i, s := range k.result.Steps {
			if p := progress[i]; p.Status != s.Status || p.Items != s.Items || p.Reason != s.Reason {
				t.Fatalf("step %s: the journal says %+v, the result %+v", s.Step, p, s)
			}
			if st := m.s.Steps[i]; s.Status != st.Status || s.Reason != st.Reason || s.Items != len(st.Items) || s.ExitCode != st.ExitCode {
				t.Fatalf("step %s: got %+v, want %+v", s.Step, s, st)
			}
		}
		if want := float64(len(k.all)); k.result.Usage.CPUSeconds != want {
			t.Fatalf("the steps used %v CPU seconds, want %v", k.result.Usage.CPUSeconds, want)
		}
	})
}

func mainEnded(m *simulation) bool {
	return !slices.ContainsFunc(m.s.Steps[:m.p.mainSteps()], func(st StepState) bool { return !st.Ended() })
}

// same compares what is in progress.
func same(t fataler, m *simulation, k *kept) {
	t.Helper()
	var want, got []string
	for _, u := range m.running {
		want = append(want, StepName(m.p.Steps[u.step].Name, u.item))
	}
	for _, name := range k.begun {
		got = append(got, name)
	}
	ids, err := InProgress(k.entries())
	if err != nil || len(ids) != len(k.begun) || slices.ContainsFunc(ids, func(id string) bool { return k.begun[id] == "" }) {
		t.Fatalf("the journal says that %v are in progress, %v; want %v", ids, err, k.begun)
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		t.Fatalf("in progress are %v, want %v", got, want)
	}
}

// TestForwardEnds checks that the end of a workflow is asked of its steps, and that the steps of finally still run.
func TestForwardEnds(t *testing.T) {
	text := "timeout: 1m\nworkflow: [{name: a, tool: T}, {name: b, tool: T, needs: [a]}]\nfinally: [{name: c, tool: T}]"
	for name, test := range map[string]struct {
		h    Happened
		want string
	}{
		"cancelled": {Happened{Cancelled: true, Began: time.Now(), Now: time.Now()}, "a=cancelled b=cancelled c=succeeded -> cancelled 130"},
		"timed out": {Happened{Began: time.Now(), Now: time.Now().Add(time.Hour)}, "a=cancelled b=cancelled c=succeeded -> timed_out 124"},
	} {
		t.Run(name, func(t *testing.T) {
			k := &kept{t: t, text: text, opts: Options{ID: "r"}}
			k.begin()
			if k.dead != time.Minute {
				t.Errorf("its time is %s", k.dead)
			}
			k.happens(test.h)
			if len(k.asked) != 1 || k.begun[k.asked[0]] != "a" || k.dead != 0 {
				t.Fatalf("asked of %v, of %v, %s are left", k.asked, k.begun, k.dead)
			}
			k.happens(test.h) // it is seen again
			k.ends("a", &run.Result{Status: run.Cancelled, ExitCode: 130})
			k.ends("c", &run.Result{Status: run.Succeeded})
			if got := summary(k.result); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if len(k.asked) != 1 {
				t.Errorf("asked of %v", k.asked)
			}
		})
	}
}

// TestForwardClock has the times of a run be those of the clock that it is told, whatever that of this machine is.
func TestForwardClock(t *testing.T) {
	at := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	k := &kept{t: t, text: "workflow: [{name: a, tool: T}, {name: b, tool: T, needs: [a]}]", opts: Options{ID: "r"}, begun: map[string]string{}}
	k.take(k.executor().Begin(t.Context(), k.plan(), k.opts, Header{ID: k.opts.ID}, at))
	for i := range 2 {
		ended := map[string]*run.Result{k.order[i]: {Status: run.Succeeded}}
		k.happens(Happened{Ended: ended, Began: at, Now: at.Add(time.Duration(i+1) * time.Second)})
	}
	line, steps := k.result.Timeline, k.result.Steps
	got := []time.Time{line.Started, steps[0].Started, steps[0].Finished, steps[1].Started, steps[1].Finished, line.Finished}
	for i, after := range []int{0, 0, 1, 1, 2, 2} {
		if want := at.Add(time.Duration(after) * time.Second); !got[i].Equal(want) {
			t.Errorf("time %d is %s, want %s", i, got[i], want)
		}
	}
	if k.result.DurationMS != 2000 {
		t.Errorf("it takes %d ms", k.result.DurationMS)
	}
}

// TestForwardEndsAfterItsSteps checks that results that come with the end of a workflow count as in [Executor.Run]: a workflow whose last
// main step has ended isn't cancelled, and a step that was ended by the cancellation doesn't make it fail.
func TestForwardEndsAfterItsSteps(t *testing.T) {
	const one, two = "timeout: 1m\nworkflow: [{name: a, tool: T}]", "timeout: 1m\nworkflow: [{name: a, tool: T}, {name: b, tool: T, needs: [a]}]"
	succeeded, cancelled := run.Result{Status: run.Succeeded}, run.Result{Status: run.Cancelled, ExitCode: 130}
	for name, test := range map[string]struct {
		text  string
		ended run.Result
		late  bool
		want  string
	}{
		"last step, cancelled":          {one, succeeded, false, "a=succeeded -> succeeded 0"},
		"last step, timed out":          {one, succeeded, true, "a=succeeded -> succeeded 0"},
		"first step, cancelled":         {two, succeeded, false, "a=succeeded b=cancelled -> cancelled 130"},
		"first step, timed out":         {two, succeeded, true, "a=succeeded b=cancelled -> timed_out 124"},
		"ended by the cancellation":     {one, cancelled, false, "a=cancelled -> cancelled 130"},
		"ended by the end of its time":  {one, cancelled, true, "a=cancelled -> timed_out 124"},
		"ended before the cancellation": {one, *resultOf(fail(3)), false, "a=failed -> failed 3"},
	} {
		t.Run(name, func(t *testing.T) {
			k := &kept{t: t, text: test.text, opts: Options{ID: "r"}}
			k.begin()
			h := Happened{Ended: map[string]*run.Result{k.order[0]: &test.ended}, Cancelled: !test.late, Began: time.Now(), Now: time.Now()}
			if test.late {
				h.Now = h.Began.Add(time.Hour)
			}
			k.happens(h)
			if k.result == nil || summary(k.result) != test.want {
				t.Errorf("got %+v, want %s", k.result, test.want)
			}
		})
	}
}

// TestForwardSecrets checks that a secret that a step hands on is in no entry and no event, that the next step gets and masks it,
// and that its request is known to have one.
func TestForwardSecrets(t *testing.T) {
	const value = "correct-horse-battery"
	k := &kept{t: t, sealer: plainSealer{}, opts: Options{ID: "r"}, text: `workflow: [{name: a, tool: T, outputs: [R]}, {name: b, tool: T, inputs: {IN: "${a.R}"}}]`}
	k.begin()
	k.ends("a", handsOn(t, value, "R", "it is "+value)(t.Context(), nil))
	b := k.all[1]
	if !b.Secret || k.all[0].Secret || b.Request.Inputs["IN"] != "it is "+value {
		t.Errorf("the next step gets %v; secret: %v", b.Request.Inputs, b.Secret)
	}
	handed, err := run.Unseal(t.Context(), plainSealer{}, b.Request.Masked)
	if err != nil || len(handed.Masked) != 1 || string(handed.Masked[0]) != value {
		t.Errorf("it masks %q, %v", handed.Masked, err)
	}
	k.ends("b", &run.Result{Status: run.Failed, ExitCode: 1, Reason: "exit status 1"})
	events, err := json.Marshal(k.events)
	if err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(k.lines, "\n") + string(events); strings.Contains(text, value) || !strings.Contains(text, `"sealed"`) {
		t.Errorf("the journal and the events are\n%s", text)
	}
}

// keylessSealer opens values, but can't seal any.
type keylessSealer struct{ plainSealer }

func (keylessSealer) Seal(context.Context, []byte) ([]byte, error) {
	return nil, errors.New("the disk is full")
}

// TestForwardCantSeal checks that a workflow whose secrets can't be sealed for the next steps ends, also once they could be again: its
// running steps are told so, and its journal has it.
func TestForwardCantSeal(t *testing.T) {
	k := &kept{t: t, sealer: plainSealer{}, opts: Options{ID: "r"}, text: `workflow: [{name: a, tool: T, outputs: [R]}, {name: b, tool: T}, {name: c, tool: T, needs: [b]}]`}
	k.begin()
	k.ends("a", handsOn(t, "correct-horse-battery", "R", "it is correct-horse-battery")(t.Context(), nil))
	k.sealer = keylessSealer{}
	k.happens(Happened{Now: time.Now()})
	if len(k.asked) != 1 || k.begun[k.asked[0]] != "b" {
		t.Errorf("asked of %v, of %v", k.asked, k.begun)
	}
	k.sealer = plainSealer{}
	k.ends("b", &run.Result{Status: run.Cancelled, ExitCode: 130})
	if got, want := summary(k.result), "a=succeeded b=cancelled c=cancelled -> error 125"; got != want || k.result.Reason != "the disk is full" {
		t.Errorf("got %s, %q, want %s", got, k.result.Reason, want)
	}
}

// TestForwardUsage checks that what a run used counts, also if what it hands on can't be opened.
func TestForwardUsage(t *testing.T) {
	k := &kept{t: t, opts: Options{ID: "r"}, text: `workflow: [{name: a, tool: T, continue_on_failure: true}, {name: b, tool: T}]`}
	k.begin()
	sealed := resultOf(succeed())
	sealed.Handed = []byte("sealed")
	k.ends("a", sealed)
	k.ends("b", resultOf(succeed()))
	if got, want := summary(k.result), "a=error b=succeeded -> succeeded 0"; got != want || k.result.Usage.CPUSeconds != 2 {
		t.Errorf("got %s after %v CPU seconds, want %s after 2", got, k.result.Usage.CPUSeconds, want)
	}
}

// TestForwardResumed checks that a resumed run keeps what had succeeded, also over its own steps forward.
func TestForwardResumed(t *testing.T) {
	text := `workflow:
  - {name: a, tool: T, outputs: [R]}
  - {name: b, tool: T, inputs: {IN: "${a.R}"}, for_each: [x, y], continue_on_failure: true}
  - {name: c, tool: T, needs: [b], outputs: [S]}
  - {name: d, tool: T, needs: [c], inputs: {IN: "${c.S}"}}`
	first := &kept{t: t, text: text, opts: Options{ID: "first"}}
	first.begin()
	first.ends("a", resultOf(succeed("R", "1")))
	first.ends("b[0]", resultOf(fail(3)))
	first.ends("b[1]", resultOf(succeed()))
	first.ends("c", resultOf(fail(2)))
	past, err := recall(t.Context(), first.entries(), nil)
	if err != nil {
		t.Fatal(err)
	}
	states := first.plan().Resume(past)
	again, err := first.plan().Select(states, Selection{})
	if err != nil {
		t.Fatal(err)
	}
	second := &kept{t: t, text: text, opts: Options{ID: "second", States: states, Resumed: true, Again: again, Masked: past.Masked}}
	second.begin()
	if len(second.begun) != 1 || second.begun[second.order[0]] != "b[0]" {
		t.Fatalf("in progress are %v", second.begun)
	}
	second.ends("b[0]", resultOf(succeed()))
	second.ends("c", resultOf(succeed("S", "2")))
	if got := second.all[2].Request.Inputs["IN"]; got != "2" {
		t.Errorf("d gets %q", got)
	}
	second.ends("d", resultOf(succeed()))
	if got, want := summary(second.result), "a=succeeded b=succeeded c=succeeded d=succeeded -> succeeded 0"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for i, want := range []bool{true, false, false, false} {
		if s := second.result.Steps[i]; s.Resumed != want {
			t.Errorf("step %s: resumed is %v", s.Step, s.Resumed)
		}
	}
	if fmt.Sprint(second.result.Steps[0].Started) != fmt.Sprint(time.Time{}) {
		t.Errorf("a began in the resumed run at %s", second.result.Steps[0].Started)
	}
}

// TestForwardTimes checks that only what ran began, also after the step forward in which it ended.
func TestForwardTimes(t *testing.T) {
	k := &kept{t: t, opts: Options{ID: "r"}, text: `workflow:
  - {name: a, tool: T, outputs: [R]}
  - {name: skipped, tool: T, needs: [a], condition: "false"}
  - {name: each, tool: T, needs: [a], for_each: [x]}
  - {name: wrong, tool: T, needs: [a], for_each: "${a.R}", continue_on_failure: true}
  - {name: last, tool: T, needs: [skipped, each, wrong]}`}
	k.begin()
	k.ends("a", resultOf(succeed("R", "no list")))
	k.ends("each[0]", resultOf(succeed()))
	steps, err := k.executor().Progress(t.Context(), k.plan(), k.entries())
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct{ started, finished bool }{{true, true}, {false, true}, {true, true}, {false, true}, {true, false}} {
		if s := steps[i]; s.Started.IsZero() == want.started || s.Finished.IsZero() == want.finished {
			t.Errorf("step %s, which is %s (%s), began at %s and ended at %s", s.Step, s.Status, s.Reason, s.Started, s.Finished)
		}
	}
}
