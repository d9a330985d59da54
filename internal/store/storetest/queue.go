package storetest

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

func oneRun(t *testing.T, s Store) {
	if _, err := s.Run(t.Context(), "p", "a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a run that isn't there: %v", err)
	}
	n := newRun("a")
	n.Labels, n.Priority = map[string]string{"team": "db"}, 7
	accept(t, s, n)
	r := get(t, s, "a")
	if r.Status != run.Queued || r.Over || r.Attempt != 0 || r.Accepted.IsZero() || r.Labels["team"] != "db" || r.Priority != 7 || r.Version != 2 || r.AcceptedBy != "ada" {
		t.Errorf("accepted: %+v", r)
	}
	if _, err := s.Run(t.Context(), "q", "a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a run of another project: %v", err)
	}
	got := claim(t, s, store.Claim{Most: 5})
	if len(got) != 1 || got[0].Run != "a" || got[0].Attempt != 1 || string(got[0].Request) != `{"id":"a"}` || got[0].Project != "p" {
		t.Fatalf("claimed %+v", got)
	}
	if again := claim(t, s, store.Claim{Most: 5}); len(again) != 0 {
		t.Errorf("claimed again: %+v", again)
	}
	if last, err := s.Report(t.Context(), report(got[0], 1, 2, "one")); err != nil || last != 2 {
		t.Errorf("report: %d, %v", last, err)
	}
	if r := get(t, s, "a"); r.Status != run.Running || r.Runner != "r" || r.Attempt != 1 || r.Started.IsZero() || r.Events != 2 || r.EventBytes != 3 {
		t.Errorf("running: %+v", r)
	}
	end := report(got[0], 3, 1, "two")
	end.Ended = ended(run.Failed)
	if last, err := s.Report(t.Context(), end); err != nil || last != 3 {
		t.Errorf("result: %d, %v", last, err)
	}
	if r := get(t, s, "a"); r.Status != run.Failed || !r.Over || r.ExitCode != run.ExitError || r.Code != run.CodeToolFailed || r.Reason != "because" ||
		r.Finished.IsZero() || r.Started.IsZero() || r.Runner != "r" || r.Attempt != 1 || r.Events != 3 {
		t.Errorf("over: %+v", r)
	}
	if all := texts(t, s, "a", 0); !slices.Equal(all, []string{"one", "two"}) {
		t.Errorf("events %q", all)
	}
	if all := texts(t, s, "a", 2); !slices.Equal(all, []string{"two"}) {
		t.Errorf("events after 2: %q", all)
	}
	if q, err := s.Request(t.Context(), "p", "a"); err != nil || string(q) != `{"id":"a"}` {
		t.Errorf("request %q, %v", q, err)
	}
	if _, err := s.Request(t.Context(), "q", "a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("request of another project: %v", err)
	}
}

func acceptAndLease(t *testing.T, s Store) {
	if err := s.Accept(t.Context(), newRun("a"), &store.Lessee{Runner: "r", Lease: lease}); err != nil {
		t.Fatal(err)
	}
	if got := claim(t, s, store.Claim{Most: 1}); len(got) != 0 {
		t.Errorf("claimed %+v, which has a runner", got)
	}
	if r := get(t, s, "a"); r.Attempt != 1 || r.Runner != "r" || r.Started.IsZero() {
		t.Errorf("accepted for a runner: %+v", r)
	}
	end := report(store.Claimed{Run: "a", Attempt: 1, Runner: "r"}, 1, 1, "x")
	end.Ended = ended(run.Succeeded)
	if _, err := s.Report(t.Context(), end); err != nil {
		t.Error(err)
	}
	if err := s.Accept(t.Context(), newRun("a"), nil); err == nil {
		t.Error("a run with the id of another one is accepted")
	}
}

func claimOrder(t *testing.T, s Store) {
	for _, c := range []struct {
		id       string
		priority int
		pool     string
		needs    []string
	}{
		{"1", 0, "default", nil},
		{"2", 5, "default", nil},
		{"3", 0, "default", []string{"gpu"}},
		{"4", 0, "other", nil},
		{"5", 0, "default", []string{"gpu", "big"}},
		{"6", 0, "default", nil},
		{"a", 0, "letters", nil},
		{"B", 0, "letters", nil},
	} {
		n := newRun(c.id)
		n.Priority, n.Pool, n.Needs = c.priority, c.pool, c.needs
		accept(t, s, n)
	}
	ids := func(c store.Claim) (all []string) {
		for _, one := range claim(t, s, c) {
			all = append(all, one.Run)
		}
		return all
	}
	if got := ids(store.Claim{Most: 2}); !slices.Equal(got, []string{"2", "1"}) {
		t.Errorf("the first two are %q, want the one with priority and the oldest", got)
	}
	if got := ids(store.Claim{Most: 9, Labels: []string{"gpu"}}); !slices.Equal(got, []string{"3", "6"}) {
		t.Errorf("with a GPU: %q", got)
	}
	if got := ids(store.Claim{Most: 9, Pool: "other"}); !slices.Equal(got, []string{"4"}) {
		t.Errorf("of another pool: %q", got)
	}
	if got := ids(store.Claim{Most: 9, Pool: "letters"}); !slices.Equal(got, []string{"B", "a"}) {
		t.Errorf("letters: %q, want the order of bytes", got)
	}
}

// claimBehind has a run wait behind many that need another label.
func claimBehind(t *testing.T, s Store) {
	for i := range 300 {
		n := newRun(fmt.Sprintf("%03d", i))
		n.Needs, n.Priority = []string{"gpu"}, i%3
		accept(t, s, n)
	}
	accept(t, s, newRun("behind"))
	if got := claim(t, s, store.Claim{Most: 5}); len(got) != 1 || got[0].Run != "behind" {
		t.Errorf("claimed %+v", got)
	}
	if got := claim(t, s, store.Claim{Most: 300, Labels: []string{"gpu"}}); len(got) != 300 || got[0].Run != "002" || got[299].Run != "297" {
		t.Errorf("claimed %d", len(got))
	}
}

func fences(t *testing.T, s Store) {
	mine := claimed(t, s, "a", lease)
	for name, c := range map[string]store.Claimed{
		"another runner":     {Run: "a", Attempt: 1, Runner: "x"},
		"an earlier attempt": {Run: "a", Attempt: 0, Runner: "r"},
		"a later attempt":    {Run: "a", Attempt: 2, Runner: "r"},
		"another run":        {Run: "b", Attempt: 1, Runner: "r"},
	} {
		if _, err := s.Report(t.Context(), report(c, 1, 1, "x")); !errors.Is(err, store.ErrNotHeld) {
			t.Errorf("events of %s: %v", name, err)
		}
		end := report(c, 1, 1, "x")
		end.Ended = ended(run.Succeeded)
		if _, err := s.Report(t.Context(), end); !errors.Is(err, store.ErrNotHeld) {
			t.Errorf("a result of %s: %v", name, err)
		}
	}
	// A lease that has run out, although nobody has ended the attempt yet.
	short := claimed(t, s, "c", time.Millisecond)
	time.Sleep(20 * time.Millisecond)
	if _, err := s.Report(t.Context(), report(short, 1, 1, "x")); !errors.Is(err, store.ErrNotHeld) {
		t.Errorf("events after the lease: %v", err)
	}
	end := report(short, 1, 1, "x")
	end.Ended = ended(run.Succeeded)
	if _, err := s.Report(t.Context(), end); !errors.Is(err, store.ErrNotHeld) {
		t.Errorf("a result after the lease: %v", err)
	}
	if r := get(t, s, "a"); r.Events != 0 || r.Over {
		t.Errorf("what was refused has changed the run: %+v", r)
	}
	if _, err := s.Report(t.Context(), report(mine, 1, 1, "x")); err != nil {
		t.Error(err)
	}
}

// heldRequests reads the requests of what a runner holds: not of another runner, of a lease that ran out, or of what has ended.
func heldRequests(t *testing.T, s Store) {
	errFailed := errors.New("failed")
	hold := func(id, runner string, time time.Duration) store.Claimed {
		t.Helper()
		n := newRun(id)
		n.Request = []byte("request of " + id)
		accept(t, s, n)
		got := claim(t, s, store.Claim{Lessee: store.Lessee{Runner: runner, Lease: time}, Most: 1})
		if len(got) != 1 || got[0].Run != id {
			t.Fatalf("claimed %+v, want run %s", got, id)
		}
		return got[0]
	}
	hold("a", "r", lease)
	over := hold("b", "r", lease)
	hold("c", "r", lease)
	hold("d", "other", lease)
	hold("e", "r", time.Millisecond)
	waits := newRun("f")
	waits.Request = []byte("request of f")
	accept(t, s, waits)
	end := report(over, 1, 1, "x")
	end.Ended = ended(run.Succeeded)
	if _, err := s.Report(t.Context(), end); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond)
	read := func(most int, fail error) (all []string, err error) {
		err = s.HeldRequests(t.Context(), "r", func(request []byte) (bool, error) {
			all = append(all, string(request))
			return len(all) == most, fail
		})
		return all, err
	}
	if all, err := read(10, nil); err != nil || !slices.Equal(all, []string{"request of c", "request of a"}) {
		t.Errorf("they are %q, %v", all, err)
	}
	if all, err := read(1, nil); err != nil || len(all) != 1 {
		t.Errorf("until the first: %q, %v", all, err)
	}
	if all, err := read(10, errFailed); !errors.Is(err, errFailed) || len(all) != 1 {
		t.Errorf("with an error: %q, %v", all, err)
	}
}

// oddTexts has texts that not every database keeps as they are: a reason may have what a tool has printed.
func oddTexts(t *testing.T, s Store) {
	const odd = "a\x00b\xffc"
	c := claimed(t, s, "a", lease)
	wrong := c
	wrong.Run = odd
	if _, err := s.Report(t.Context(), report(wrong, 1, 1, "one")); !errors.Is(err, store.ErrNotHeld) {
		t.Errorf("a report of no run: %v", err)
	}
	if x, err := s.Extend(t.Context(), c.Runner, []store.Hold{{Run: odd, Attempt: 1}, {Run: "a", Attempt: c.Attempt}}, lease); err != nil || len(x.Lost) != 1 {
		t.Errorf("extended: %+v, %v", x, err)
	}
	end := report(c, 1, 1, "one")
	end.Ended = ended(run.Failed)
	end.Ended.Reason, end.Ended.Code = odd, odd
	if _, err := s.Report(t.Context(), end); err != nil {
		t.Error(err)
	}
	r, err := s.Run(t.Context(), "p", "a")
	if err != nil || r.Status != run.Failed || !strings.HasPrefix(r.Reason, "a") || !strings.HasSuffix(r.Reason, "c") {
		t.Errorf("%+v, %v", r, err)
	}
}

func repeatedReports(t *testing.T, s Store) {
	c := claimed(t, s, "a", lease)
	for range 2 {
		if last, err := s.Report(t.Context(), report(c, 1, 2, "one")); err != nil || last != 2 {
			t.Errorf("report: %d, %v", last, err)
		}
	}
	end := report(c, 3, 1, "two")
	end.Ended = ended(run.Succeeded)
	for range 2 {
		if last, err := s.Report(t.Context(), end); err != nil || last != 3 {
			t.Errorf("result: %d, %v", last, err)
		}
	}
	if all := texts(t, s, "a", 0); !slices.Equal(all, []string{"one", "two"}) {
		t.Errorf("events %q, want each once", all)
	}
	other := end
	other.Ended = ended(run.Failed)
	if _, err := s.Report(t.Context(), other); !errors.Is(err, store.ErrNotHeld) {
		t.Errorf("another result: %v", err)
	}
}

func gaps(t *testing.T, s Store) {
	c := claimed(t, s, "a", lease)
	if last, err := s.Report(t.Context(), report(c, 2, 1, "x")); !errors.Is(err, store.ErrGap) || last != 0 {
		t.Errorf("the second event without the first: %d, %v", last, err)
	}
	if _, err := s.Report(t.Context(), report(c, 1, 2, "x")); err != nil {
		t.Error(err)
	}
	if last, err := s.Report(t.Context(), report(c, 2, 2, "x")); !errors.Is(err, store.ErrGap) || last != 2 {
		t.Errorf("an event that is there with one that isn't: %d, %v", last, err)
	}
}

func cancel(t *testing.T, s Store) {
	accept(t, s, newRun("a"))
	end := *ended(run.Cancelled)
	end.Encode = encode(1, 2, 0, "by the server")
	if _, err := s.Cancel(t.Context(), "q", "a", end); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a run of another project: %v", err)
	}
	if runner, err := s.Cancel(t.Context(), "p", "a", end); err != nil || runner != "" {
		t.Errorf("a run that waits: %q, %v", runner, err)
	}
	if r := get(t, s, "a"); !r.Over || r.Status != run.Cancelled || r.Events != 2 {
		t.Errorf("cancelled: %+v", r)
	}
	if all := texts(t, s, "a", 0); !slices.Equal(all, []string{"by the server"}) {
		t.Errorf("events %q", all)
	}
	if _, err := s.Cancel(t.Context(), "p", "a", end); !errors.Is(err, store.ErrOver) {
		t.Errorf("a run that has ended: %v", err)
	}
	c := claimed(t, s, "b", lease)
	if runner, err := s.Cancel(t.Context(), "p", "b", end); err != nil || runner != "r" {
		t.Errorf("a run that runs: %q, %v", runner, err)
	}
	if r := get(t, s, "b"); r.Over || !r.Cancelling {
		t.Errorf("asked to end: %+v", r)
	}
	x, err := s.Extend(t.Context(), "r", []store.Hold{{Run: "b", Attempt: 1}}, lease)
	if err != nil || len(x.Cancel) != 1 || len(x.Lost) != 0 {
		t.Errorf("its runner hears %+v, %v", x, err)
	}
	last := report(c, 1, 1, "x")
	last.Ended = ended(run.Cancelled)
	if _, err := s.Report(t.Context(), last); err != nil {
		t.Error(err)
	}
}

func expire(t *testing.T, s Store) {
	long := claimed(t, s, "long", lease)
	short := claimed(t, s, "short", 100*time.Millisecond)
	if _, err := s.Report(t.Context(), func() store.Report { r := report(short, 1, 1, "one"); r.Lease = time.Millisecond; return r }()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond)
	end := func(c store.Claimed) (store.Ended, error) {
		e := *ended(run.Lost)
		e.Encode = encode(1, 1, c.Last, "lost")
		return e, nil
	}
	ids, err := s.Expire(t.Context(), 10, end)
	if err != nil || !slices.Equal(ids, []string{"short"}) {
		t.Errorf("expired %q, %v", ids, err)
	}
	if r := get(t, s, "short"); !r.Over || r.Status != run.Lost || r.Events != 2 {
		t.Errorf("expired: %+v", r)
	}
	if all := texts(t, s, "short", 0); !slices.Equal(all, []string{"one", "lost"}) {
		t.Errorf("events %q", all)
	}
	late := report(short, 2, 1, "late")
	late.Ended = ended(run.Succeeded)
	if _, err := s.Report(t.Context(), late); !errors.Is(err, store.ErrNotHeld) {
		t.Errorf("a late result: %v", err)
	}
	if ids, err := s.Expire(t.Context(), 10, end); err != nil || len(ids) != 0 {
		t.Errorf("expired again: %q, %v", ids, err)
	}
	if _, err := s.Report(t.Context(), report(long, 1, 1, "x")); err != nil {
		t.Error(err)
	}
}

func reclaim(t *testing.T, s Store) {
	held := claimed(t, s, "held", lease)
	begun := claimed(t, s, "begun", lease)
	claimed(t, s, "never", lease)
	claimed(t, s, "cancelled", lease)
	if _, err := s.Cancel(t.Context(), "p", "cancelled", *ended(run.Cancelled)); err != nil {
		t.Fatal(err)
	}
	accept(t, s, newRun("other"))
	other := claim(t, s, store.Claim{Lessee: store.Lessee{Runner: "x", Lease: lease}, Most: 1})[0]
	if _, err := s.Report(t.Context(), report(begun, 1, 1, "one")); err != nil {
		t.Fatal(err)
	}
	lost := func(c store.Claimed) (store.Ended, error) {
		if c.Cancelling != (c.Run == "cancelled" || c.Run == "gone too") || c.Reported != (c.Run == "begun") {
			t.Errorf("asked for the end of %+v", c)
		}
		e := *ended(run.Lost)
		e.Encode = encode(1, 1, c.Last, "lost")
		return e, nil
	}
	waiting, over, err := s.Reclaim(t.Context(), "r", []store.Hold{{Run: "held", Attempt: 1}}, lost)
	slices.Sort(over)
	if err != nil || !slices.Equal(waiting, []string{"never"}) || !slices.Equal(over, []string{"begun", "cancelled"}) {
		t.Errorf("reclaimed: %q wait, %q are over, %v", waiting, over, err)
	}
	if r := get(t, s, "begun"); r.Status != run.Lost || !slices.Equal(texts(t, s, "begun", 0), []string{"one", "lost"}) {
		t.Errorf("begun: %+v", r)
	}
	again := claim(t, s, store.Claim{Most: 9})
	if len(again) != 1 || again[0].Run != "never" || again[0].Attempt != 2 {
		t.Errorf("claimed again: %+v", again)
	}
	for _, c := range []store.Claimed{held, other, again[0]} {
		if _, err := s.Report(t.Context(), report(c, 1, 1, "x")); err != nil {
			t.Errorf("run %s: %v", c.Run, err)
		}
	}
	// Of those that were given to a runner that is gone, only the one of which nothing was reported and whose end nobody asked for
	// waits again.
	gone, cancelled := claimed(t, s, "gone", lease), claimed(t, s, "gone too", lease)
	if _, err := s.Cancel(t.Context(), "p", "gone too", *ended(run.Cancelled)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []store.Claimed{gone, cancelled, held} {
		if over, err := s.Release(t.Context(), "r", store.Hold{Run: c.Run, Attempt: c.Attempt}, lost); err != nil || over != (c.Run == "gone too") {
			t.Errorf("release %s: %t, %v", c.Run, over, err)
		}
	}
	if got := claim(t, s, store.Claim{Most: 9}); len(got) != 1 || got[0].Run != "gone" {
		t.Errorf("released: %+v", got)
	}
}

// queuedIn counts the runs of projects that wait.
func queuedIn(t *testing.T, s Store) {
	for _, id := range []string{"1", "2", "3"} {
		accept(t, s, newRun(id))
	}
	claim(t, s, store.Claim{Most: 1})
	other := newRun("4")
	other.Project = "another"
	accept(t, s, other)
	for most, want := range map[int]string{9: "map[another:1 p:2 q:0]", 1: "map[another:1 p:1 q:0]"} {
		if all, err := s.QueuedIn(t.Context(), []string{"p", "q", "another"}, most); err != nil || fmt.Sprint(all) != want {
			t.Errorf("at most %d: %v, %v, want %s", most, all, err, want)
		}
	}
}

// mostAsked accepts a run that asks for as much as a server lets one, in texts that no index makes smaller.
func mostAsked(t *testing.T, s Store) {
	n := newRun("a")
	n.Project, n.Pool = strings.Repeat("p", 63), strings.Repeat("q", 63)
	for range 33 {
		n.Needs = append(n.Needs, rand.Text()+rand.Text())
	}
	accept(t, s, n)
	got := claim(t, s, store.Claim{Pool: n.Pool, Labels: n.Needs, Most: 1})
	if len(got) != 1 {
		t.Errorf("claimed %+v", got)
	}
}

func renew(t *testing.T, s Store) {
	c := claimed(t, s, "a", time.Millisecond)
	time.Sleep(20 * time.Millisecond)
	if err := s.Renew(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Report(t.Context(), report(c, 1, 1, "x")); err != nil {
		t.Errorf("after a renewal: %v", err)
	}
}

func extend(t *testing.T, s Store) {
	claimed(t, s, "a", lease)
	short := claimed(t, s, "b", time.Second)
	x, err := s.Extend(t.Context(), "r", []store.Hold{{Run: "a", Attempt: 1}, {Run: "b", Attempt: 1}, {Run: "a", Attempt: 2}, {Run: "none", Attempt: 1}}, lease)
	if err != nil || !slices.Equal(x.Lost, []store.Hold{{Run: "a", Attempt: 2}, {Run: "none", Attempt: 1}}) || len(x.Cancel) != 0 {
		t.Errorf("extended: %+v, %v", x, err)
	}
	if x, err := s.Extend(t.Context(), "other", []store.Hold{{Run: "a", Attempt: 1}}, lease); err != nil || len(x.Lost) != 1 {
		t.Errorf("by another runner: %+v, %v", x, err)
	}
	time.Sleep(1100 * time.Millisecond)
	if _, err := s.Report(t.Context(), report(short, 1, 1, "x")); err != nil {
		t.Errorf("after the lease that was extended: %v", err)
	}
}

// looks has what a server reads to see what others have written.
func looks(t *testing.T, s Store) {
	ctx := t.Context()
	n := newRun("a")
	n.Needs = []string{"gpu", "big"}
	accept(t, s, n)
	n = newRun("b")
	n.Priority = 1
	accept(t, s, n)
	n = newRun("c")
	n.Pool = "other"
	accept(t, s, n)
	if w, err := s.Waiting(ctx, "default", 9); err != nil || len(w) != 2 || len(w[0].Needs) != 0 || !slices.Equal(w[1].Needs, []string{"gpu", "big"}) {
		t.Errorf("waiting: %+v, %v", w, err)
	}
	if w, err := s.Waiting(ctx, "default", 1); err != nil || len(w) != 1 {
		t.Errorf("the first of those that wait: %+v, %v", w, err)
	}
	got := claim(t, s, store.Claim{Most: 9})
	if w, err := s.Waiting(ctx, "default", 9); err != nil || len(w) != 1 || len(got) != 1 {
		t.Errorf("waiting after %+v was claimed: %+v, %v", got, w, err)
	}
	if all, err := s.Cancelling(ctx); err != nil || len(all) != 0 {
		t.Errorf("to be ended: %+v, %v", all, err)
	}
	for _, id := range []string{"b", "c"} { // nobody has to end the second one
		end := *ended(run.Cancelled)
		end.Encode = encode(1, 1, 0, "x")
		if _, err := s.Cancel(ctx, "p", id, end); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := s.Cancelling(ctx); err != nil || !slices.Equal(all, []store.Leased{{Hold: store.Hold{Run: "b", Attempt: 1}, Runner: "r"}}) {
		t.Errorf("to be ended: %+v, %v", all, err)
	}
	if _, err := s.Report(ctx, report(got[0], 1, 3, "x")); err != nil {
		t.Fatal(err)
	}
	ids := []string{"a", "b", "c", "none"}
	for i := range 250 { // more than fit into one statement
		ids = append(ids, fmt.Sprint("more", i))
		accept(t, s, newRun(ids[len(ids)-1]))
	}
	last, err := s.Progress(ctx, ids)
	if err != nil || len(last) != 252 || last["a"] != 0 || last["b"] != 3 {
		t.Errorf("progress of %d runs: %v, %v", len(ids), last, err)
	}
	for _, id := range []string{"c", "none"} {
		if n, ok := last[id]; ok {
			t.Errorf("the run %s, which isn't in the queue, is at %d", id, n)
		}
	}
	if last, err := s.Progress(ctx, nil); err != nil || len(last) != 0 {
		t.Errorf("progress of no runs: %v, %v", last, err)
	}
}

// ManyWriters has runs accepted, claimed and ended by many goroutines at once: each run is claimed once and ends once. The stores
// are all of one database.
func ManyWriters(t *testing.T, stores ...Store) {
	const runs, workers = 200, 8
	errs := make(chan error, 2*workers)
	for w := range workers {
		s := stores[w%len(stores)]
		go func() {
			for i := w; i < runs; i += workers {
				if err := s.Accept(t.Context(), newRun(fmt.Sprintf("%04d", i)), nil); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	done := make(chan string, runs+1)
	for w := range workers {
		s := stores[w%len(stores)]
		go func() {
			c := store.Claim{Lessee: store.Lessee{Runner: fmt.Sprint("r", w), Lease: lease}, Pool: "default", Most: 5}
			for len(done) < runs {
				got, err := s.Claim(t.Context(), c)
				for _, one := range got {
					end := report(one, 1, 1, "x")
					end.Ended = ended(run.Succeeded)
					if _, err = s.Report(t.Context(), end); err != nil {
						break
					}
					done <- one.Run
				}
				if err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range 2 * workers {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	ids := []string{}
	for id := range done {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	if len(slices.Compact(ids)) != runs {
		t.Errorf("%d runs have ended, want each of %d once", len(ids), runs)
	}
}

// atOnce calls do from several goroutines at once.
func atOnce(do func(i int)) {
	var all sync.WaitGroup
	begin := make(chan struct{})
	for i := range 8 {
		all.Go(func() {
			<-begin
			do(i)
		})
	}
	close(begin)
	all.Wait()
}

// SameAtOnce has several write the same thing at once: none of them fails, and it is written once. The stores are all of one
// database.
func SameAtOnce(t *testing.T, stores ...Store) {
	ctx := t.Context()
	of := func(i int) Store { return stores[i%len(stores)] }
	for round := range 5 {
		atOnce(func(i int) {
			v := store.Version{Project: "p", Tool: "same", Kind: "tool", Digest: fmt.Sprint(round), Manifest: []byte("m")}
			if is, _, err := of(i).AddVersion(ctx, v); err != nil || is.Version != round+1 {
				t.Errorf("the same files at once are version %d, %v, want %d", is.Version, err, round+1)
			}
			v.Tool, v.Digest = "other", fmt.Sprint(round, i)
			if _, made, err := of(i).AddVersion(ctx, v); err != nil || !made {
				t.Errorf("other files at once: made %v, %v", made, err)
			}
		})
		c := claimed(t, stores[0], fmt.Sprint("run", round), lease)
		atOnce(func(i int) {
			if last, err := of(i).Report(ctx, report(c, 1, 2, "one")); err != nil || last != 2 {
				t.Errorf("the same report at once: %d, %v", last, err)
			}
		})
		end := report(c, 3, 1, "two")
		end.Ended = ended(run.Succeeded)
		atOnce(func(i int) {
			if last, err := of(i).Report(ctx, end); err != nil || last != 3 {
				t.Errorf("the same result at once: %d, %v", last, err)
			}
		})
		if all := texts(t, stores[0], c.Run, 0); !slices.Equal(all, []string{"one", "two"}) {
			t.Errorf("events %q, want each once", all)
		}
		if t.Failed() {
			return
		}
	}
	all, err := stores[0].Versions(ctx, "p", "other", 0, 0)
	if err != nil || len(all) != 40 || all[0].Version != 40 {
		t.Errorf("%d versions, %v", len(all), err)
	}
}

// ClaimsAtOnce has several claim at once as many runs as there are: each gets its part, although the others look at the same
// runs. The stores are all of one database.
func ClaimsAtOnce(t *testing.T, stores ...Store) {
	const each = 5
	for round := range 5 {
		for i := range 8 * each {
			accept(t, stores[0], newRun(fmt.Sprintf("%d-%d", round, i)))
		}
		atOnce(func(i int) {
			c := store.Claim{Lessee: store.Lessee{Runner: fmt.Sprint("r", i), Lease: lease}, Pool: "default", Most: each}
			got, err := stores[i%len(stores)].Claim(t.Context(), c)
			if err != nil || len(got) != each {
				t.Errorf("claimed %d runs, %v, want %d", len(got), err, each)
			}
		})
		if t.Failed() {
			return
		}
	}
}

// givenSecrets has each claim of a run get the secrets that it was given, also after an attempt was given back or lost, and no other run.
func givenSecrets(t *testing.T, s Store) {
	secrets := map[string][]byte{"1": {0, 0xff, 'a'}, "2": nil, "3": bytes.Repeat([]byte{7}, 256<<10), "4": []byte("x")}
	for _, id := range slices.Sorted(maps.Keys(secrets)) {
		n := newRun(id)
		n.Secrets, n.Retries = secrets[id], 1
		var to *store.Lessee
		if id == "4" {
			to = &store.Lessee{Runner: "gone", Lease: time.Millisecond}
		}
		if err := s.Accept(t.Context(), n, to); err != nil {
			t.Fatal(err)
		}
	}
	for round := range 2 {
		got := claim(t, s, store.Claim{Most: 9})
		if len(got) != 3+round {
			t.Fatalf("claimed %+v", got)
		}
		for _, c := range got {
			if !bytes.Equal(c.Secrets, secrets[c.Run]) {
				t.Errorf("run %s has %d bytes of secrets, want %d", c.Run, len(c.Secrets), len(secrets[c.Run]))
			}
			if round == 1 {
				continue
			}
			if _, err := s.Release(t.Context(), "r", store.Hold{Run: c.Run, Attempt: c.Attempt}, nil); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Millisecond) // the lease of run 4
		if _, err := s.Expire(t.Context(), 9, func(store.Claimed) (store.Ended, error) { return store.Ended{Again: true}, nil }); err != nil {
			t.Fatal(err)
		}
	}
}
