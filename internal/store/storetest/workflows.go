package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

func chunkOf(text string, count int64) func(int64) (store.Chunk, error) {
	return func(before int64) (store.Chunk, error) {
		return store.Chunk{First: before + 1, Last: before + count, Lines: count, Bytes: int64(len(text)), Data: []byte(text)}, nil
	}
}

func stepOf(id, step string) store.StepBegin {
	r := newRun(id)
	r.Parent = store.Parent{Run: "w", Step: step}
	return store.StepBegin{NewRun: r}
}

// acceptWorkflow accepts workflow w with the runs a and b of its steps.
func acceptWorkflow(t *testing.T, s Store) {
	t.Helper()
	r := newRun("w")
	r.Kind, r.Labels = "workflow", map[string]string{"team": "x"}
	f := store.StepForward{
		Run: "w", Entries: [][]byte{[]byte("run"), []byte("a begins"), []byte("b begins")}, Encode: chunkOf("begun", 2),
		Begin: []store.StepBegin{stepOf("wa", "a"), stepOf("wb", "b")},
	}
	if err := s.AcceptWorkflow(t.Context(), r, f); err != nil {
		t.Fatal(err)
	}
}

func due(t *testing.T, s Store) []string {
	t.Helper()
	ids, err := s.Due(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func forward(t *testing.T, s Store, f store.StepForward) {
	t.Helper()
	if err := s.StepForward(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

func workflowOf(t *testing.T, s Store) store.Workflow {
	t.Helper()
	w, err := s.Workflow(t.Context(), "w")
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// workflows: the steps of a workflow are runs, whose events are also its own, and whose ends happen to it.
func workflows(t *testing.T, s Store) {
	acceptWorkflow(t, s)
	if w := get(t, s, "w"); w.Status != run.Running || w.Over || w.Kind != "workflow" || w.Pool != "default" {
		t.Errorf("%+v", w)
	}
	if ids := due(t, s); len(ids) != 0 {
		t.Errorf("%v are due", ids)
	}
	got := claim(t, s, store.Claim{Most: 10})
	if len(got) != 2 || got[0].Run != "wa" || got[1].Run != "wb" {
		t.Fatalf("claimed %+v, want the steps and not the workflow", got)
	}
	list, _, err := s.Runs(t.Context(), store.Filter{Project: "p", Most: 10})
	if err != nil || len(list) != 1 || list[0].ID != "w" {
		t.Errorf("listed are %+v, %v; want the workflow and not its steps", list, err)
	}
	steps, err := s.Steps(t.Context(), "p", "w")
	if err != nil || len(steps) != 2 || steps[0].ID != "wa" || steps[1].Parent != (store.Parent{Run: "w", Step: "b"}) {
		t.Errorf("the steps are %+v, %v", steps, err)
	}
	if steps, err := s.Steps(t.Context(), "other", "w"); err != nil || len(steps) != 0 {
		t.Errorf("another project sees %+v, %v", steps, err)
	}
	// The events of a step.
	r := report(got[0], 1, 3, "hello")
	r.EncodeFor = func(p store.Parent, before int64) (store.Chunk, error) {
		if p != (store.Parent{Run: "w", Step: "a"}) || before != 2 {
			return store.Chunk{}, fmt.Errorf("for %+v, after %d", p, before)
		}
		return chunkOf("hello of a", 3)(before)
	}
	if _, err := s.Report(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Report(t.Context(), r); err != nil { // again
		t.Fatal(err)
	}
	if got := texts(t, s, "w", 0); !slices.Equal(got, []string{"begun", "hello of a"}) {
		t.Errorf("the workflow has %q", got)
	}
	if got := texts(t, s, "wa", 0); !slices.Equal(got, []string{"hello"}) {
		t.Errorf("the step has %q", got)
	}
	// Its end.
	r = report(got[0], 4, 0, "")
	r.Ended = ended(run.Succeeded)
	if _, err := s.Report(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if ids := due(t, s); !slices.Equal(ids, []string{"w"}) {
		t.Fatalf("%v are due", ids)
	}
	w := workflowOf(t, s)
	if w.Project != "p" || w.Happened != 1 || w.Cancelling || string(w.Request) != `{"id":"w"}` || len(w.Journal) != 3 || string(w.Journal[1]) != "a begins" ||
		w.Now.Before(w.Accepted) || w.Accepted.IsZero() || w.Pool != "default" || w.AcceptedBy != "ada" || w.Labels["team"] != "x" {
		t.Errorf("%+v", w)
	}
	results, err := s.Results(t.Context(), []string{"wa", "wb"})
	if err != nil || len(results) != 1 || string(results["wa"]) != `{"status":"x"}` {
		t.Errorf("results %q, %v", results, err)
	}
	forward(t, s, store.StepForward{Run: "w", After: 3, Seen: 1, Entries: [][]byte{[]byte("a has ended")}, Within: -time.Minute})
	if ids := due(t, s); !slices.Equal(ids, []string{"w"}) { // its deadline
		t.Errorf("%v are due", ids)
	}
	forward(t, s, store.StepForward{Run: "w", After: 4, Seen: 1, Within: time.Hour})
	if ids := due(t, s); len(ids) != 0 {
		t.Errorf("%v are due", ids)
	}
}

// workflowFence: of two who take a workflow forward, one does, and nothing of the other one stays.
func workflowFence(t *testing.T, s Store) {
	acceptWorkflow(t, s)
	const writers = 8
	var work sync.WaitGroup
	errs := make([]error, writers)
	for i := range writers {
		work.Go(func() {
			errs[i] = s.StepForward(t.Context(), store.StepForward{
				Run: "w", After: 3, Entries: [][]byte{fmt.Append(nil, i)}, Encode: chunkOf(fmt.Sprint(i), 1), Begin: []store.StepBegin{stepOf(fmt.Sprint("n", i), "c")},
			})
		})
	}
	work.Wait()
	won := -1
	for i, err := range errs {
		switch {
		case err == nil && won < 0:
			won = i
		case !errors.Is(err, store.ErrNotHeld):
			t.Errorf("writer %d: %v", i, err)
		}
	}
	w := workflowOf(t, s)
	if len(w.Journal) != 4 || string(w.Journal[3]) != fmt.Sprint(won) {
		t.Errorf("writer %d won, and the journal is %q", won, w.Journal)
	}
	if got := texts(t, s, "w", 2); !slices.Equal(got, []string{fmt.Sprint(won)}) {
		t.Errorf("writer %d won, and the events are %q", won, got)
	}
	steps, err := s.Steps(t.Context(), "p", "w")
	if err != nil || len(steps) != 3 || steps[0].ID != fmt.Sprint("n", won) {
		t.Errorf("writer %d won, and the steps are %+v, %v", won, steps, err)
	}
}

// workflowEnds: the end of a workflow is asked for, it asks for those of its steps, and ends.
func workflowEnds(t *testing.T, s Store) {
	acceptWorkflow(t, s)
	a := claim(t, s, store.Claim{Most: 1})[0]
	runner, err := s.Cancel(t.Context(), "p", "w", *ended(run.Cancelled))
	if err != nil || runner != "" {
		t.Fatalf("runner %q, %v", runner, err)
	}
	if w := get(t, s, "w"); w.Over || !w.Cancelling {
		t.Errorf("%+v", w)
	}
	if all, err := s.Cancelling(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("runners end %+v, %v", all, err)
	}
	if ids := due(t, s); !slices.Equal(ids, []string{"w"}) || !workflowOf(t, s).Cancelling {
		t.Errorf("%v are due", ids)
	}
	end := *ended(run.Cancelled)
	end.Encode = chunkOf("b is cancelled", 1)
	end.EncodeFor = func(_ store.Parent, before int64) (store.Chunk, error) {
		return chunkOf("b of w is cancelled", 1)(before)
	}
	forward(t, s, store.StepForward{Run: "w", After: 3, Seen: 1, Entries: [][]byte{[]byte("ending")}, End: []store.StepEnd{{Run: "wa", Ended: end}, {Run: "wb", Ended: end}, {Run: "gone", Ended: end}}})
	if all, err := s.Cancelling(t.Context()); err != nil || len(all) != 1 || all[0].Run != "wa" {
		t.Errorf("runners end %+v, %v", all, err)
	}
	if b := get(t, s, "wb"); !b.Over || b.Status != run.Cancelled {
		t.Errorf("%+v", b)
	}
	if got := texts(t, s, "w", 0); !slices.Equal(got, []string{"begun", "b of w is cancelled"}) {
		t.Errorf("the events are %q", got)
	}
	if ids := due(t, s); !slices.Equal(ids, []string{"w"}) { // by the end of b
		t.Errorf("%v are due", ids)
	}
	r := report(a, 1, 0, "")
	r.Ended = ended(run.Cancelled)
	if _, err := s.Report(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	forward(t, s, store.StepForward{Run: "w", After: 4, Seen: 3, Entries: [][]byte{[]byte("end")}, Encode: chunkOf("over", 2), Ended: ended(run.Cancelled)})
	if w := get(t, s, "w"); !w.Over || w.Status != run.Cancelled || w.Events != 5 || w.Reason != "because" {
		t.Errorf("%+v", w)
	}
	if _, err := s.Workflow(t.Context(), "w"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the workflow: %v", err)
	}
	if j, err := s.Journal(t.Context(), "w"); err != nil || len(j) != 5 {
		t.Errorf("the journal: %q, %v", j, err)
	}
	if err := s.StepForward(t.Context(), store.StepForward{Run: "w", After: 5}); !errors.Is(err, store.ErrNotHeld) {
		t.Errorf("a step after the end: %v", err)
	}
	if _, err := s.Cancel(t.Context(), "p", "w", *ended(run.Cancelled)); !errors.Is(err, store.ErrOver) {
		t.Errorf("cancel after the end: %v", err)
	}
}

// workflowStays: retention doesn't remove the steps of a workflow that isn't over, and removes a journal with its run. What a journal
// names is referred to.
func workflowStays(t *testing.T, s Store) {
	acceptWorkflow(t, s)
	for _, c := range claim(t, s, store.Claim{Most: 2}) {
		r := report(c, 1, 0, "")
		r.Ended = ended(run.Succeeded)
		if _, err := s.Report(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	drop := func(want int) {
		t.Helper()
		if got, err := s.DropRuns(t.Context(), store.Drop{Most: 10}); err != nil || got.Runs != want {
			t.Errorf("dropped %+v, %v, want %d runs", got, err, want)
		}
	}
	references := func() (all []string) {
		t.Helper()
		if err := s.References(t.Context(), func(text []byte) { all = append(all, string(text)) }); err != nil {
			t.Fatal(err)
		}
		return all
	}
	drop(0)
	if all := references(); !slices.Contains(all, "a begins") || !slices.Contains(all, "b begins") {
		t.Errorf("referred to are %q", all)
	}
	forward(t, s, store.StepForward{Run: "w", After: 3, Seen: 2, Ended: ended(run.Succeeded)})
	drop(3)
	if j, err := s.Journal(t.Context(), "w"); err != nil || len(j) != 0 {
		t.Errorf("the journal: %q, %v", j, err)
	}
}

// workflowPlaces: a step may be a runner's in the commit that begins it.
func workflowPlaces(t *testing.T, s Store) {
	acceptWorkflow(t, s)
	c := stepOf("wc", "c")
	c.To = &store.Lessee{Runner: "r", Lease: lease}
	forward(t, s, store.StepForward{Run: "w", After: 3, Begin: []store.StepBegin{c}})
	if one := get(t, s, "wc"); one.Runner != "r" || one.Attempt != 1 || one.Started.IsZero() {
		t.Errorf("%+v", one)
	}
	held := store.Claimed{Run: "wc", Attempt: 1, Runner: "r"}
	if _, err := s.Report(t.Context(), report(held, 1, 1, "x")); err != nil {
		t.Error(err)
	}
}

// workflowBreaksOff: a workflow may end in the step forward that ends its steps.
func workflowBreaksOff(t *testing.T, s Store) {
	acceptWorkflow(t, s)
	end := *ended(run.Cancelled)
	end.Encode = chunkOf("cancelled", 1)
	end.EncodeFor = func(_ store.Parent, before int64) (store.Chunk, error) { return chunkOf("cancelled, in w", 1)(before) }
	forward(t, s, store.StepForward{Run: "w", After: 3, Encode: chunkOf("over", 2), End: []store.StepEnd{{Run: "wa", Ended: end}, {Run: "wb", Ended: end}}, Ended: ended(run.Error)})
	if w := get(t, s, "w"); !w.Over || w.Events != 6 {
		t.Errorf("%+v", w)
	}
	if got := texts(t, s, "w", 0); !slices.Equal(got, []string{"begun", "cancelled, in w", "cancelled, in w", "over"}) {
		t.Errorf("the events are %q", got)
	}
}
