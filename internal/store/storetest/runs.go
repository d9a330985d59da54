package storetest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// lines looks for chunks by the lines that they have. Each chunk of n events has n lines.
func lines(t *testing.T, s Store) {
	c := claimed(t, s, "a", lease)
	const chunks = 100
	for i := range int64(chunks) {
		if _, err := s.Report(t.Context(), report(c, 10*i+1, 10, fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	if r := get(t, s, "a"); r.Lines != 10*chunks {
		t.Errorf("%d lines, want %d", r.Lines, 10*chunks)
	}
	for _, w := range []struct {
		first, last int64
		most        int
		from, to    int // the chunks
		end         bool
	}{
		{1, 5, 1 << 20, 0, 0, false},
		{5, 10, 1 << 20, 0, 0, false},
		{12, 35, 1 << 20, 1, 3, false},
		{995, 2000, 1 << 20, 99, 99, true},
		{1, 1 << 60, 1 << 20, 0, 99, true},
		{1, 1 << 60, 3, 0, 3, false}, // until there are more than 3 bytes
	} {
		got, err := s.ChunksOfLines(t.Context(), "a", w.first, w.last, w.most)
		if err != nil {
			t.Fatal(err)
		}
		// A chunk whose last line ends where the first one begins has no part of it, but may be there.
		for len(got) > 0 && got[0].FirstLine+got[0].Lines == w.first && got[0].FirstLine < w.first {
			got = got[1:]
		}
		if n := len(got); n != w.to-w.from+1 || string(got[0].Data) != fmt.Sprint(w.from) || string(got[n-1].Data) != fmt.Sprint(w.to) ||
			got[n-1].LastOfRun != w.end || got[0].FirstLine != int64(10*w.from)+1 {
			t.Errorf("lines %d to %d: %d chunks %+v, want %d to %d", w.first, w.last, n, got, w.from, w.to)
		}
	}
}

func lists(t *testing.T, s Store) {
	listed(t, s)
	for _, c := range []struct {
		name string
		f    store.Filter
		want []string
		next string
	}{
		{"newest first", store.Filter{Most: 3}, []string{"9", "8", "7"}, "7"},
		{"next page", store.Filter{Most: 3, Before: "7"}, []string{"6", "5", "4"}, "4"},
		{"last page", store.Filter{Most: 3, Before: "3"}, []string{"2", "1", "0"}, ""},
		{"from an id", store.Filter{Most: 9, From: "7"}, []string{"9", "8", "7"}, ""},
		{"of a tool", store.Filter{Most: 3, Tool: "Odd"}, []string{"9", "7", "5"}, "5"},
		{"of states", store.Filter{Most: 9, Status: []run.State{run.Lost, run.Failed, run.Lost}}, []string{"1", "0"}, ""},
		{"first of states", store.Filter{Most: 1, Status: []run.State{run.Lost, run.Failed}}, []string{"1"}, "1"},
		{"waiting", store.Filter{Most: 2, Status: []run.State{run.Queued}}, []string{"9", "8"}, "8"},
		{"running", store.Filter{Most: 2, Status: []run.State{run.Running}}, []string{"2"}, ""},
		{"waiting and running", store.Filter{Most: 2, Status: []run.State{run.Running, run.Queued}, Before: "4"}, []string{"3", "2"}, ""},
		{"waiting and failed", store.Filter{Most: 3, Status: []run.State{run.Queued, run.Failed}, Before: "4"}, []string{"3", "0"}, ""},
		{"of a tool and a state", store.Filter{Most: 9, Tool: "t", Status: []run.State{run.Running, run.Failed}}, []string{"2", "0"}, ""},
		{"of a step", store.Filter{Most: 9, Parent: "5"}, []string{"step"}, ""},
		{"by someone", store.Filter{Most: 2, AcceptedBy: "bob"}, []string{"9", "7"}, "7"},
		{"of a runner", store.Filter{Most: 9, Runner: "r"}, []string{"2", "1", "0"}, ""},
		{"of a runner with a longer name", store.Filter{Most: 9, Runner: "ar"}, []string{}, ""},
		{"with a label", store.Filter{Most: 2, Labels: map[string]string{"parity": "even"}}, []string{"8", "6"}, "6"},
		{"with an odd label", store.Filter{Most: 2, Labels: map[string]string{"parity": `odd "<&>", you know`}}, []string{"9", "7"}, "7"},
		{"with both labels", store.Filter{Most: 2, Labels: map[string]string{"parity": "even", "n": "4"}}, []string{"4"}, ""},
		{"with half a label", store.Filter{Most: 2, Labels: map[string]string{"parity": "eve"}}, []string{}, ""},
		{"with a text in the tool", store.Filter{Most: 1, Text: "oDD"}, []string{"9"}, "9"},
		{"with a text in the reason", store.Filter{Most: 9, Text: "its RUNNER"}, []string{"1"}, ""},
		{"with a text in the id", store.Filter{Most: 9, Text: "4"}, []string{"4"}, ""},
		{"with a text that is not a pattern", store.Filter{Most: 9, Text: "%"}, []string{}, ""},
		{"part of the way", store.Filter{Most: 9, Text: "4", Look: 3}, []string{}, "7"},
		{"further", store.Filter{Most: 9, Text: "4", Look: 3, Before: "7"}, []string{"4"}, "4"},
		{"to the end", store.Filter{Most: 9, Text: "4", Look: 5, Before: "4"}, []string{}, ""},
		{"no more than asked for", store.Filter{Most: 1, AcceptedBy: "bob", Look: 4}, []string{"9"}, "9"},
		{"part of the way of each state", store.Filter{Most: 9, Text: "0", Look: 4, Status: []run.State{run.Queued, run.Failed}}, []string{}, "6"},
		{"of a tool and a state, part of the way", store.Filter{Most: 9, Tool: "t", Look: 4, Status: []run.State{run.Running}}, []string{"2"}, "2"},
		{"without what needs a bound", store.Filter{Most: 9, Look: 1, Tool: "Odd"}, []string{"9", "7", "5", "3", "1"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.f.Project = "p"
			runs, next, err := s.Runs(t.Context(), c.f)
			if err != nil {
				t.Fatal(err)
			}
			ids := []string{}
			for _, r := range runs {
				ids = append(ids, r.ID)
			}
			if !slices.Equal(ids, c.want) || next != c.next {
				t.Errorf("%q, then %q; want %q, then %q", ids, next, c.want, c.next)
			}
		})
	}
}

// endsMeanwhile lists all runs by their states while they end: each is there, once.
func endsMeanwhile(t *testing.T, s Store) {
	const number = 200
	for i := range number {
		r := newRun(fmt.Sprintf("%03d", i))
		if err := s.Accept(t.Context(), r, &store.Lessee{Runner: "r", Lease: lease}); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range number {
			rep := report(store.Claimed{Run: fmt.Sprintf("%03d", i), Attempt: 1, Runner: "r"}, 1, 1, "x")
			rep.Ended = ended(run.Succeeded)
			if _, err := s.Report(t.Context(), rep); err != nil {
				t.Error(err)
			}
		}
	}()
	for over := false; !over; {
		select {
		case <-done:
			over = true
		default:
		}
		runs, next, err := s.Runs(t.Context(), store.Filter{Project: "p", Status: []run.State{run.Queued, run.Running, run.Succeeded}, Most: number})
		if err != nil || next != "" {
			t.Errorf("next %q, %v", next, err)
		}
		for i, r := range runs {
			if want := fmt.Sprintf("%03d", number-1-i); r.ID != want {
				t.Errorf("run %d is %s, want %s", i, r.ID, want)
				break
			}
		}
		if len(runs) != number {
			t.Errorf("%d runs, want %d", len(runs), number)
		}
		if t.Failed() {
			break
		}
	}
	<-done
}

// listed makes the runs of lists: 0 has failed, 1 is lost, 2 runs, and the others wait.
func listed(t *testing.T, s Store) {
	t.Helper()
	for i := range 10 {
		n := newRun(fmt.Sprint(i))
		n.Labels = map[string]string{"parity": "even", "n": fmt.Sprint(i)}
		if i%2 == 1 {
			n.Tool, n.AcceptedBy = "Odd", "bob"
			n.Labels["parity"] = `odd "<&>", you know`
		}
		accept(t, s, n)
	}
	n := newRun("x")
	n.Project = "q"
	accept(t, s, n)
	n = newRun("step")
	n.Parent = store.Parent{Run: "5", Step: "a"}
	n.Pool = "steps"
	accept(t, s, n)
	for _, c := range claim(t, s, store.Claim{Most: 4, Lessee: store.Lessee{Runner: "default/r@1", Lease: lease}}) { // three of p, and that of q
		end := report(c, 1, 1, "x")
		switch c.Run {
		case "0":
			end.Ended = ended(run.Failed)
		case "1":
			end.Ended = ended(run.Lost)
			end.Ended.Reason = "Its runner broke"
		}
		if _, err := s.Report(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
}
