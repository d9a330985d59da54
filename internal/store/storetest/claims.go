package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

func idsOf(all []store.Claimed) (ids []string) {
	for _, c := range all {
		ids = append(ids, c.Run)
	}
	return ids
}

// turns has projects wait for their turn, also behind a project with many runs and with a higher priority.
func turns(t *testing.T, s Store) {
	for i := range 300 {
		n := newRun(fmt.Sprintf("flood%03d", i))
		n.Project, n.Priority = "m", 100
		accept(t, s, n)
	}
	for _, project := range []string{"a", "z"} {
		for i := range 3 {
			n := newRun(fmt.Sprint(project, i))
			n.Project, n.Priority = project, i
			accept(t, s, n)
		}
	}
	if w, err := s.Waiting(t.Context(), "default", 7); err != nil || len(w) != 7 {
		t.Errorf("waiting: %+v, %v", w, err)
	}
	for _, want := range []string{"a2 flood000", "z2", "a1", "flood001 z1 a0", "flood002 z0", "flood003 flood004"} {
		if got := strings.Join(idsOf(claim(t, s, store.Claim{Most: len(strings.Fields(want))})), " "); got != want {
			t.Errorf("claimed %s, want %s", got, want)
		}
	}
	rest := idsOf(claim(t, s, store.Claim{Most: 1000}))
	if len(rest) != 295 || rest[0] != "flood005" || rest[294] != "flood299" {
		t.Errorf("the rest are %d, %q", len(rest), rest)
	}
}

func limitedRun(id string, limits ...store.Limit) store.NewRun {
	n := newRun(id)
	n.Limits = limits
	return n
}

// limits has runs wait for others with their limits, in whatever way those end.
func limits(t *testing.T, s Store) {
	two, one := store.Limit{Name: store.ProjectLimit("p"), Most: 2}, store.Limit{Name: "p/tool/x", Most: 1}
	accept(t, s, limitedRun("1", two, one))
	accept(t, s, limitedRun("2", two, one))
	accept(t, s, limitedRun("3", two))
	accept(t, s, limitedRun("4", two))
	n := newRun("other")
	n.Project = "q"
	accept(t, s, n)
	if r := get(t, s, "1"); !slices.Equal(r.Limits, []store.Limit{two, one}) {
		t.Errorf("the run has the limits %+v", r.Limits)
	}
	end := func(c store.Claimed) {
		t.Helper()
		r := report(c, 1, 1, "x")
		r.Ended = ended(run.Succeeded)
		if _, err := s.Report(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	next := func(want ...string) []store.Claimed {
		t.Helper()
		got := claim(t, s, store.Claim{Most: 9})
		if !slices.Equal(idsOf(got), want) {
			t.Fatalf("claimed %q, want %q", idsOf(got), want)
		}
		return got
	}
	got := next("1", "other", "3")
	if !got[0].Limited || got[1].Limited {
		t.Errorf("limited are %+v", got)
	}
	next()
	end(got[2])
	four := next("4")[0]
	end(got[0])
	second := next("2")[0]
	// What waits again, is lost or is given up counts no longer.
	accept(t, s, limitedRun("5", two, one))
	next()
	if _, err := s.Release(t.Context(), "r", store.Hold{Run: second.Run, Attempt: second.Attempt}, nil); err != nil {
		t.Fatal(err)
	}
	again := next("2")[0]
	if _, err := s.Report(t.Context(), func() store.Report { r := report(again, 1, 1, "x"); r.Lease = time.Millisecond; return r }()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond)
	if ids, err := s.Expire(t.Context(), 9, func(store.Claimed) (store.Ended, error) { return *ended(run.Lost), nil }); err != nil || !slices.Equal(ids, []string{"2"}) {
		t.Fatalf("expired %q, %v", ids, err)
	}
	five := next("5")[0]
	accept(t, s, limitedRun("6", two, one))
	next()
	if _, err := s.Report(t.Context(), report(five, 1, 1, "x")); err != nil {
		t.Fatal(err)
	}
	_, over, err := s.Reclaim(t.Context(), "r", []store.Hold{{Run: "4", Attempt: 1}}, func(store.Claimed) (store.Ended, error) { return *ended(run.Lost), nil })
	if err != nil || !slices.Equal(over, []string{"5"}) {
		t.Fatalf("reclaimed %q, %v", over, err)
	}
	next("other", "6") // of "other", nothing was reported
	held, err := s.Held(t.Context(), "r")
	if err != nil || len(held) != 3 || !held[store.Hold{Run: "6", Attempt: 1}].Limited {
		t.Errorf("held are %+v, %v", held, err)
	}
	end(four)
}

// LimitsAtOnce has many claim runs with one limit at once: no more than that run at any time. The stores are all of one database.
func LimitsAtOnce(t *testing.T, stores ...Store) {
	const most = 3
	for i := range 40 {
		accept(t, stores[0], limitedRun(fmt.Sprintf("%02d", i), store.Limit{Name: "k", Most: most}, store.Limit{Name: store.ProjectLimit("p"), Most: 2 * most}))
	}
	for round := 0; round < 40; {
		all := make(chan store.Claimed, 100)
		atOnce(func(i int) {
			c := store.Claim{Lessee: store.Lessee{Runner: fmt.Sprint("r", i), Lease: lease}, Pool: "default", Most: 2}
			got, err := stores[i%len(stores)].Claim(t.Context(), c)
			if err != nil {
				t.Error(err)
			}
			for _, one := range got {
				all <- one
			}
		})
		close(all)
		if n := len(all); n > most || n == 0 || t.Failed() {
			t.Fatalf("%d runs are claimed at once, want at most %d, and one at least", n, most)
		}
		for c := range all {
			end := report(c, 1, 1, "x")
			end.Ended = ended(run.Succeeded)
			if _, err := stores[0].Report(t.Context(), end); err != nil {
				t.Fatal(err)
			}
			round++
		}
	}
}

// sizes gives a runner no more than fits.
func sizes(t *testing.T, s Store) {
	for id, size := range map[string]store.Size{
		"1": {CPU: 3000, Memory: 1 << 30}, "2": {CPU: 2000}, "3": {CPU: 1000, Disk: 5}, "4": {Memory: 4 << 30}, "5": {},
	} {
		n := newRun(id)
		n.Size = size
		accept(t, s, n)
	}
	free := store.Size{CPU: 4000, Memory: 2 << 30, Disk: 5}
	got := claim(t, s, store.Claim{Most: 9, Free: free})
	if !slices.Equal(idsOf(got), []string{"1", "3", "5"}) || got[0].Size != (store.Size{CPU: 3000, Memory: 1 << 30}) {
		t.Errorf("claimed %+v", got)
	}
	if r := get(t, s, "3"); r.Size != (store.Size{CPU: 1000, Disk: 5}) {
		t.Errorf("the size is %+v", r.Size)
	}
	if w, err := s.Waiting(t.Context(), "default", 9); err != nil || len(w) != 2 || w[0].Size.CPU != 2000 || w[1].Size.Memory != 4<<30 {
		t.Errorf("waiting: %+v, %v", w, err)
	}
	if held, err := s.Held(t.Context(), "r"); err != nil || len(held) != 3 || held[store.Hold{Run: "3", Attempt: 1}].Size.Disk != 5 {
		t.Errorf("held: %+v, %v", held, err)
	}
}

// again gives a run whose runner is lost to another one, as often as it may.
func again(t *testing.T, s Store) {
	n := newRun("a")
	n.Retries = 1
	accept(t, s, n)
	lose := func(c store.Claimed, want bool) {
		t.Helper()
		if _, err := s.Report(t.Context(), func() store.Report {
			r := report(c, 1, 2, fmt.Sprint("of ", c.Attempt))
			r.Lease = time.Millisecond
			return r
		}()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
		ids, err := s.Expire(t.Context(), 9, func(c store.Claimed) (store.Ended, error) {
			e := *ended(run.Lost)
			if c.Retries > 0 {
				e = store.Ended{Again: true}
			}
			if e.Again != want || c.Cancelling {
				t.Errorf("again is %v, of %+v", e.Again, c)
			}
			e.Encode = encode(1, 1, c.Last, "lost")
			return e, nil
		})
		if err != nil || !slices.Equal(ids, []string{"a"}) {
			t.Fatalf("expired %q, %v", ids, err)
		}
	}
	first := claim(t, s, store.Claim{Most: 1})[0]
	lose(first, true)
	if r := get(t, s, "a"); r.Over || r.Status != run.Queued || r.Runner != "" || r.Events != 3 {
		t.Errorf("waits again: %+v", r)
	}
	second := claim(t, s, store.Claim{Most: 1})[0]
	if second.Attempt != 2 || second.Last != 3 || second.Retries != 0 {
		t.Errorf("claimed again: %+v", second)
	}
	late := report(first, 3, 1, "late")
	late.Ended = ended(run.Succeeded)
	if _, err := s.Report(t.Context(), late); err == nil {
		t.Error("the runner that was lost can end the run")
	}
	lose(second, false)
	if r := get(t, s, "a"); r.Status != run.Lost || r.Attempt != 2 || !slices.Equal(texts(t, s, "a", 0), []string{"of 1", "lost", "of 2", "lost"}) {
		t.Errorf("lost twice: %+v", r)
	}
}
