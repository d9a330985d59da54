// Package journaltest is the conformance suite of journals: tests of everything that workflow.Journals promises, which every
// implementation passes.
package journaltest

import (
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/workflow"
)

// Run runs the suite. open returns the journals at a place. For the same place it returns the same journals each time, as
// another process would open them.
func Run(t *testing.T, open func(t *testing.T, place string) workflow.Journals) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, journals, others workflow.Journals)
	}{
		{"entries come back in order", testOrder},
		{"every field comes back", testFields},
		{"a large entry", testLarge},
		{"only one can have it open", testExclusive},
		{"an id can be used once", testTaken},
		{"no such run", testMissing},
		{"reading doesn't disturb appending", testReadAndAppend},
		{"nothing is appended after Close", testClosed},
	} {
		t.Run(c.name, func(t *testing.T) {
			place := t.TempDir()
			c.test(t, open(t, place), open(t, place))
		})
	}
}

// header returns a header for a run of the suite.
func header(id string) workflow.Header {
	return workflow.Header{
		ID: id, Workflow: "w", File: "/f.yaml", Dir: "/d", Text: "t\n", Inputs: map[string]any{"a": "0755"},
		Environment: []string{"A=b"}, Secrets: []string{"s=env:S"},
	}
}

func create(t *testing.T, in workflow.Journals, id string) workflow.Journal {
	t.Helper()
	j, err := in.Create(header(id))
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// reopen opens the journal of the run r until the test ends.
func reopen(t *testing.T, in workflow.Journals) workflow.Journal {
	t.Helper()
	j, err := in.Open("r")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() }) // it may be closed already
	return j
}

// entries returns the entries of a journal without their times, and checks that each time is within the last hour.
func entries(t *testing.T, j workflow.Journal) (all []workflow.Entry) {
	t.Helper()
	for e, err := range j.Entries() {
		if err != nil {
			t.Fatal(err)
		}
		if age := time.Since(e.Time); age < -time.Hour || age > time.Hour {
			t.Errorf("got an entry with the time %v, want about now", e.Time)
		}
		e.Time = time.Time{}
		all = append(all, e)
	}
	return all
}

func add(t *testing.T, j workflow.Journal, all ...workflow.Entry) {
	t.Helper()
	for i, e := range all {
		if err := j.Append(e, i%2 == 0); err != nil {
			t.Fatal(err)
		}
	}
}

func closed(t *testing.T, j workflow.Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func step(name string, status run.State) workflow.Entry {
	return workflow.Entry{Type: workflow.EntryStep, Step: name, Status: status}
}

func testOrder(t *testing.T, journals, others workflow.Journals) {
	j := create(t, journals, "r")
	var want []workflow.Entry
	for i := range 50 {
		want = append(want, step(fmt.Sprint(i), run.Succeeded))
	}
	add(t, j, want...)
	closed(t, j)
	j = reopen(t, others)
	more := workflow.Entry{Type: workflow.EntryResume, Again: []string{"3"}}
	add(t, j, more)
	h := header("r")
	want = append([]workflow.Entry{{Type: workflow.EntryRun, Run: &h}}, append(want, more)...)
	if got := entries(t, j); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func testFields(t *testing.T, journals, others workflow.Journals) {
	item := 3
	full := workflow.Entry{
		Type: workflow.EntryStep, Again: []string{"a"}, Step: "ü\n\"s", Item: &item, Count: 7, Items: "sha", Status: run.Failed, ExitCode: run.ExitError,
		Code: run.CodeToolFailed, Reason: "why\x00", Outputs: map[string]string{"A": "line\nline"}, Artifacts: map[string]string{"out": "sha256:0"}, Sealed: []byte{0, 255},
		StepRun: "run", Usage: &engine.Usage{CPUSeconds: 1.5},
	}
	v := reflect.ValueOf(full)
	for i := range v.NumField() {
		if name := v.Type().Field(i).Name; v.Field(i).IsZero() && name != "Time" && name != "Run" {
			t.Errorf("the suite doesn't set %s", name)
		}
	}
	j := create(t, journals, "r")
	add(t, j, full)
	closed(t, j)
	if got := entries(t, reopen(t, others)); len(got) != 2 || !reflect.DeepEqual(got[1], full) {
		t.Errorf("got %+v, want %+v", got, full)
	}
}

func testLarge(t *testing.T, journals, others workflow.Journals) {
	large := step("a", run.Succeeded)
	large.Outputs = map[string]string{"A": strings.Repeat("x", 5<<20)}
	j := create(t, journals, "r")
	add(t, j, large, step("b", run.Failed))
	closed(t, j)
	if got := entries(t, reopen(t, others)); len(got) != 3 || !reflect.DeepEqual(got[1], large) || got[2].Step != "b" {
		t.Errorf("got %d entries, want 3 with the large one", len(got))
	}
}

func testExclusive(t *testing.T, journals, others workflow.Journals) {
	j := create(t, journals, "r")
	for _, in := range []workflow.Journals{journals, others} {
		if _, err := in.Open("r"); !errors.Is(err, workflow.ErrRunning) {
			t.Errorf("opened while it is open: got %v, want ErrRunning", err)
		}
	}
	other := create(t, others, "other")
	closed(t, other)
	closed(t, j)
	again := reopen(t, others)
	if _, err := journals.Open("r"); !errors.Is(err, workflow.ErrRunning) {
		t.Errorf("opened while it is open again: got %v, want ErrRunning", err)
	}
	closed(t, again)
}

func testTaken(t *testing.T, journals, others workflow.Journals) {
	closed(t, create(t, journals, "r"))
	if _, err := others.Create(header("r")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("created twice: got %v, want fs.ErrExist", err)
	}
	if got := entries(t, reopen(t, journals)); len(got) != 1 {
		t.Errorf("got %d entries, want the first one", len(got))
	}
}

func testMissing(t *testing.T, journals, _ workflow.Journals) {
	if _, err := journals.Open("nothing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
	for _, id := range []string{"", "../r", "a/b", ".hidden"} {
		if _, err := journals.Open(id); err == nil {
			t.Errorf("Open(%q) succeeds", id)
		}
	}
	// An id comes from a command line or a client: it must not lead to another place.
	for _, id := range []string{"../r", "a/b", ".", "..", ""} {
		if j, err := journals.Create(header(id)); err == nil {
			t.Errorf("a journal is made for the run %q", id)
			closed(t, j)
		}
	}
}

func testReadAndAppend(t *testing.T, journals, _ workflow.Journals) {
	j := create(t, journals, "r")
	defer j.Close()
	for i := range 3 {
		add(t, j, step(fmt.Sprint(i), run.Running))
		for _, err := range j.Entries() {
			if err != nil {
				t.Error(err)
			}
			break // a reader may stop at any entry
		}
		if got := entries(t, j); len(got) != i+2 {
			t.Errorf("got %d entries, want %d", len(got), i+2)
		}
	}
}

func testClosed(t *testing.T, journals, others workflow.Journals) {
	j := create(t, journals, "r")
	closed(t, j)
	if err := j.Append(step("late", run.Failed), false); err == nil {
		t.Error("an entry was appended after Close")
	}
	if got := entries(t, reopen(t, others)); len(got) != 1 {
		t.Errorf("got %d entries, want the first one", len(got))
	}
}
