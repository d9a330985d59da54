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
	for i := range 10 {
		n := newRun(fmt.Sprint(i))
		if i%2 == 1 {
			n.Tool = "odd"
		}
		accept(t, s, n)
	}
	n := newRun("x")
	n.Project = "q"
	accept(t, s, n)
	for _, c := range claim(t, s, store.Claim{Most: 3}) { // two of p, and that of q
		end := report(c, 1, 1, "x")
		end.Ended = ended(run.Failed)
		if _, err := s.Report(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		f    store.Filter
		want []string
	}{
		{"newest first", store.Filter{Most: 3}, []string{"9", "8", "7"}},
		{"next page", store.Filter{Most: 3, Before: "7"}, []string{"6", "5", "4"}},
		{"of a tool", store.Filter{Most: 3, Tool: "odd"}, []string{"9", "7", "5"}},
		{"ended", store.Filter{Most: 9, Status: []run.State{run.Failed, run.Lost}}, []string{"1", "0"}},
		{"waiting", store.Filter{Most: 2, Status: []run.State{run.Queued}}, []string{"9", "8"}},
	} {
		c.f.Project = "p"
		runs, err := s.Runs(t.Context(), c.f)
		if err != nil {
			t.Fatal(err)
		}
		ids := []string{}
		for _, r := range runs {
			ids = append(ids, r.ID)
		}
		if !slices.Equal(ids, c.want) {
			t.Errorf("%s: %q, want %q", c.name, ids, c.want)
		}
	}
}
