package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

func statistics(t *testing.T, s Store) {
	var mu sync.Mutex
	var writes int
	var ends []store.Over
	s.Observe(func(w store.Written) {
		mu.Lock()
		defer mu.Unlock()
		if w.Writes < 1 || w.Took <= 0 || w.Failed {
			t.Errorf("a transaction: %+v", w)
		}
		writes += w.Writes
		ends = append(ends, w.Ended...)
	}, true)
	if all, err := s.Queued(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("an empty queue: %+v, %v", all, err)
	}
	for _, id := range []string{"1", "2", "3"} {
		accept(t, s, newRun(id))
	}
	other := newRun("4")
	other.Pool = "big"
	accept(t, s, other)
	got := claim(t, s, store.Claim{Most: 1}) // what a runner has doesn't wait
	time.Sleep(20 * time.Millisecond)
	all, err := s.Queued(t.Context())
	if err != nil || len(all) != 2 || all[0].Pool != "big" || all[0].Runs != 1 || all[1].Pool != "default" || all[1].Runs != 2 || all[1].Oldest < 10*time.Millisecond {
		t.Errorf("the queue: %+v, %v", all, err)
	}
	end := report(got[0], 1, 1, "x")
	end.Ended = ended(run.Failed)
	for range 2 { // the second one changes nothing
		if _, err := s.Report(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	cancelled := ended(run.Cancelled)
	if _, err := s.Cancel(t.Context(), "p", "2", *cancelled); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if writes != 8 || len(ends) != 2 {
		t.Fatalf("%d writes and the ends %+v, want 8 and 2", writes, ends)
	}
	for i, want := range []store.Over{
		{Run: got[0].Run, Attempt: 1, Status: run.Failed, ExitCode: end.Ended.ExitCode, Code: end.Ended.Code},
		{Run: "2", Status: run.Cancelled, ExitCode: cancelled.ExitCode, Code: cancelled.Code},
	} {
		one, err := s.Run(t.Context(), "p", want.Run)
		if err != nil {
			t.Fatal(err)
		}
		want.Project, want.Tool, want.Kind, want.Accepted, want.Started, want.Finished = one.Project, one.Tool, one.Kind, one.Accepted, one.Started, one.Finished
		if ends[i] != want || want.Tool == "" || want.Kind == "" || want.Started.IsZero() != (i == 1) {
			t.Errorf("the end %+v, want %+v", ends[i], want)
		}
	}
}

// endedRuns ends runs of two tools, a step, and tests of a tool: Ended counts those of no step and no tests by the hour and by the day.
func endedRuns(t *testing.T, s Store) {
	kind := "tool"
	end := func(id, tool, parent string, status run.State) {
		t.Helper()
		r := newRun(id)
		r.Tool, r.Parent, r.Kind = tool, store.Parent{Run: parent}, kind
		accept(t, s, r)
		got := claim(t, s, store.Claim{Most: 1})
		if len(got) != 1 || got[0].Run != id {
			t.Fatalf("claimed %+v", got)
		}
		rep := report(got[0], 1, 1, "x")
		rep.Ended = ended(status)
		if _, err := s.Report(t.Context(), rep); err != nil {
			t.Fatal(err)
		}
	}
	before, err := s.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	end("1", "a", "", run.Succeeded)
	end("2", "a", "", run.Succeeded)
	end("3", "a", "", run.Failed)
	end("4", "b", "", run.TimedOut)
	end("5", "a", "4", run.Succeeded)
	kind = "test"
	end("tests", "a", "", run.Failed)
	sent := newRun("0")
	sent.Tool, sent.Version = "name-of-a-client", 0
	accept(t, s, sent)
	if _, err := s.Cancel(t.Context(), "p", "0", *ended(run.Cancelled)); err != nil {
		t.Fatal(err)
	}
	accept(t, s, newRun("6"))
	if _, err := s.Cancel(t.Context(), "p", "6", *ended(run.Cancelled)); err != nil { // no runner had it
		t.Fatal(err)
	}
	for _, days := range []bool{false, true} {
		span := map[bool]time.Duration{false: time.Hour, true: 24 * time.Hour}[days]
		f := store.EndedFilter{Project: "p", Since: before, Days: days}
		tools, err := s.EndedOf(t.Context(), f)
		if err != nil || len(tools) != 4 || tools[0].Tool != "" || tools[1].Tool != "a" || tools[2].Tool != "b" || tools[3].Tool != "t" {
			t.Fatalf("tools %+v, %v", tools, err)
		}
		a, b, waited := tools[1], tools[2], tools[3]
		if a.Status[run.Succeeded] != 2 || a.Status[run.Failed] != 1 || len(a.Status) != 2 || a.Took.Number() != 3 || a.WaitedMost > a.Waited {
			t.Errorf("a: %+v", a)
		}
		if b.Status[run.TimedOut] != 1 || b.Took.Number() != 1 || waited.Status[run.Cancelled] != 1 || waited.Took.Number() != 0 {
			t.Errorf("b: %+v, without a runner: %+v", b, waited)
		}
		for tool, want := range map[string]int64{"": 6, "name-of-a-client": 0, "a": 3, "b": 1, "none": 0} {
			f.Tool = tool
			endedOver(t, s, f, span, want)
		}
	}
	for name, f := range map[string]store.EndedFilter{
		"another project": {Project: "q", Since: before}, "another tool": {Project: "p", Tool: "c", Since: before}, "later": {Project: "p", Since: before.Add(25 * time.Hour), Days: true},
	} {
		over, err := s.EndedOver(t.Context(), f)
		of, failed := s.EndedOf(t.Context(), f)
		if err != nil || failed != nil || len(over)+len(of) != 0 {
			t.Errorf("%s: %+v, %+v, %v, %v", name, over, of, err, failed)
		}
	}
	endedIn(t, s, before)
	if all, err := s.EndedOf(t.Context(), store.EndedFilter{Project: "p", Tool: "b", Since: before}); err != nil || len(all) != 1 || all[0].Tool != "b" {
		t.Errorf("one tool: %+v, %v", all, err)
	}
	if err := s.ForgetEnds(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all, err := s.EndedOf(t.Context(), store.EndedFilter{Project: "p", Since: before}); err != nil || len(all) == 0 {
		t.Errorf("after forgetting what is old: %+v, %v", all, err)
	}
}

// endedIn checks how the runs of endedRuns ended, and those of another project.
func endedIn(t *testing.T, s Store, before time.Time) {
	t.Helper()
	other := newRun("7")
	other.Project = "another"
	accept(t, s, other)
	if _, err := s.Cancel(t.Context(), "another", "7", *ended(run.Cancelled)); err != nil {
		t.Fatal(err)
	}
	projects := []string{"p", "q", "another"}
	all, err := s.EndedIn(t.Context(), projects, before)
	if got, want := fmt.Sprint(all), "map[another:map[cancelled:1] p:map[cancelled:2 failed:1 succeeded:2 timed_out:1]]"; err != nil || got != want {
		t.Errorf("in projects: %s, %v, want %s", got, err, want)
	}
	if all, err := s.EndedIn(t.Context(), projects, before.Add(2*time.Hour)); err != nil || len(all) != 0 {
		t.Errorf("in projects, later: %v, %v", all, err)
	}
}

// endedOver checks how many runs ended in the spans from a time on.
func endedOver(t *testing.T, s Store, f store.EndedFilter, span time.Duration, want int64) {
	t.Helper()
	spans, err := s.EndedOver(t.Context(), f)
	sum := int64(0)
	for _, e := range spans {
		if !e.Start.Equal(e.Start.Truncate(span)) || e.Start.Before(f.Since.Truncate(span)) {
			t.Errorf("%s begins at %s", span, e.Start)
		}
		for _, n := range e.Status {
			sum += n
		}
	}
	if err != nil || sum != want || len(spans) > 2 { // the span may end between two runs
		t.Errorf("of %q: %+v, %v", f.Tool, spans, err)
	}
}

// runningNow counts what runners have.
func runningNow(t *testing.T, s Store) {
	for i, id := range []string{"1", "2", "3", "4"} {
		n := newRun(id)
		if i == 0 {
			n.Tool, n.Version = "name-of-a-client", 0
		}
		accept(t, s, n)
	}
	claim(t, s, store.Claim{Most: 3})
	if all, err := s.Running(t.Context(), "p"); err != nil || len(all) != 2 || all["t"] != 2 || all[""] != 1 {
		t.Errorf("running: %v, %v", all, err)
	}
	if all, err := s.Running(t.Context(), "q"); err != nil || len(all) != 0 {
		t.Errorf("in another project: %v, %v", all, err)
	}
}

// EndsAtOnce ends runs of some tools from several goroutines. No end is lost or counted twice.
func EndsAtOnce(t *testing.T, stores ...Store) {
	const each, tools = 30, 3
	var ending sync.WaitGroup
	for n := range 4 {
		s := stores[n%len(stores)]
		ending.Go(func() {
			for i := range each {
				r := newRun(fmt.Sprintf("%d-%d", n, i))
				r.Tool = fmt.Sprint("t", i%tools)
				to := &store.Lessee{Runner: "r", Lease: lease}
				if err := s.Accept(t.Context(), r, to); err != nil {
					t.Error(err)
					return
				}
				rep := report(store.Claimed{Run: r.ID, Attempt: 1, Runner: "r"}, 1, 1, "x")
				rep.Ended = ended(run.Succeeded)
				if _, err := s.Report(t.Context(), rep); err != nil {
					t.Error(err)
				}
			}
		})
	}
	ending.Wait()
	all, err := stores[0].EndedOf(t.Context(), store.EndedFilter{Project: "p", Days: true})
	var sum store.Ends
	for _, e := range all {
		sum.Add(e)
	}
	if len(all) != tools {
		t.Errorf("tools %+v", all)
	}
	if err != nil || sum.Status[run.Succeeded] != 4*each || sum.Took.Number() != 4*each {
		t.Errorf("%+v, %v", sum, err)
	}
}
