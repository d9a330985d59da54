package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// together carries out calls, each of which writes once, in one group, in their order.
func (s *Store) together(calls []func() error) []error {
	own := s.writer
	defer func() { s.writer = own }()
	w := &writer{db: s.writing, d: s.d, wake: own.wake, waiting: make(chan *write), closing: make(chan struct{})}
	w.audited = w.waiting
	w.detailed.Store(true)
	s.writer = w
	group := make([]*write, len(calls))
	ended := make([]chan error, len(calls))
	for i, call := range calls {
		ended[i] = make(chan error, 1)
		go func() { ended[i] <- call() }()
		group[i] = <-w.waiting
	}
	failed := w.carryOut(nil, group).close()
	errs := make([]error, len(calls))
	for i := range ended {
		errs[i] = errors.Join(<-ended[i], failed)
	}
	return errs
}

// step is something that a server or a runner does.
type step struct {
	what string
	do   func(ctx context.Context, s *Store) error
}

// someStep draws a step on one of a few runs, by one of two runners, so that they get in each other's way.
func someStep(t *rapid.T) step {
	id := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(t, "run")
	runner := rapid.SampledFrom([]string{"p/x@1", "p/y@2"}).Draw(t, "runner")
	first, count := rapid.Int64Range(1, 4).Draw(t, "first"), rapid.Int64Range(0, 3).Draw(t, "count")
	chunk := func(before int64) (store.Chunk, error) {
		return store.Chunk{First: before + 1, Last: before + count, Lines: count, Bytes: 10 * count, Data: []byte(strings.Repeat("x", int(count)))}, nil
	}
	report := func(ended *store.Ended) func(context.Context, *Store) error {
		return func(ctx context.Context, s *Store) error {
			_, err := s.Report(ctx, store.Report{
				Hold: store.Hold{Run: id, Attempt: 1}, Runner: runner, Lease: time.Hour, First: first, Count: count, State: run.Running, Encode: chunk, Ended: ended,
			})
			return err
		}
	}
	key := rapid.SampledFrom([]string{"", "k", "l"}).Draw(t, "key")
	once := func(ctx context.Context) context.Context {
		if key == "" {
			return ctx
		}
		body := func(any) ([]byte, error) { return []byte(id), nil }
		return store.OnlyOnce(ctx, &store.Once{Token: []byte("t"), Key: key, Print: []byte(id), Body: body})
	}
	accept := func(to *store.Lessee) func(context.Context, *Store) error {
		return func(ctx context.Context, s *Store) error {
			n := store.NewRun{ID: id, Project: "p", Tool: "t", Kind: "tool", Pool: "default", Request: []byte("{}"), Retries: 1}
			return s.Accept(once(ctx), n, to)
		}
	}
	how := store.Ended{Status: run.Failed, ExitCode: 3, Result: []byte("{}")}
	given := fmt.Sprintf(" %s %s", id, runner)
	steps := []step{
		{"accept" + given, accept(&store.Lessee{Runner: runner, Lease: time.Hour})},
		{"accept, waiting" + given, accept(nil)},
		{fmt.Sprintf("report %d, %d%s", first, count, given), report(nil)},
		{fmt.Sprintf("report %d, %d and the end%s", first, count, given), report(&how)},
		{"token" + given, func(ctx context.Context, s *Store) error {
			return s.AddToken(once(ctx), store.Token{Hash: []byte(id), Name: id, Project: "p"})
		}},
		{"cancel" + given, func(ctx context.Context, s *Store) error { _, err := s.Cancel(ctx, "p", id, how); return err }},
		{"extend" + given, func(ctx context.Context, s *Store) error {
			_, err := s.Extend(ctx, runner, []store.Hold{{Run: id, Attempt: 1}}, time.Hour)
			return err
		}},
		{"claim" + given, func(ctx context.Context, s *Store) error {
			_, err := s.Claim(ctx, store.Claim{Lessee: store.Lessee{Runner: runner, Lease: time.Hour}, Pool: "default", Free: store.Unbounded(), Most: 2})
			return err
		}},
		{"reclaim" + given, func(ctx context.Context, s *Store) error {
			_, _, err := s.Reclaim(ctx, runner, nil, func(store.Claimed) (store.Ended, error) { return how, nil })
			return err
		}},
	}
	return rapid.SampledFrom(append(steps, steps[0], steps[0], steps[2], steps[2], steps[3], steps[3])).Draw(t, "step")
}

// contents is what a store has, except for times.
func (s *Store) contents(t *rapid.T) string {
	var all strings.Builder
	runs, _, err := s.Runs(t.Context(), store.Filter{Project: "p", Most: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range runs {
		r.Accepted, r.Started, r.Finished = time.Time{}, time.Time{}, time.Time{}
		chunks, err := s.Chunks(t.Context(), r.ID, 0, 1<<20)
		fmt.Fprintf(&all, "%+v %+v %v\n", r, chunks, err)
	}
	for _, key := range []string{"k", "l"} {
		a, err := s.Answer(t.Context(), []byte("t"), key)
		fmt.Fprintf(&all, "%s %s %s %v\n", key, a.Print, a.Body, err)
	}
	return all.String()
}

// sameTogether has what a group writes together be the same as what its writes do one after another.
func sameTogether(t *testing.T, open func(name string) *Store) {
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		groups := rapid.SliceOfN(rapid.SliceOfN(rapid.Custom(someStep), 1, 8), 1, 5).Draw(t, "groups")
		alone, grouped := open(fmt.Sprint("alone", n)), open(fmt.Sprint("grouped", n))
		defer func() {
			if err := errors.Join(alone.Close(), grouped.Close()); err != nil {
				t.Error(err)
			}
		}()
		for _, group := range groups {
			var want []error
			var calls []func() error
			for _, one := range group {
				want = append(want, one.do(t.Context(), alone))
				calls = append(calls, func() error { return one.do(t.Context(), grouped) })
			}
			got := grouped.together(calls)
			for i, one := range group {
				if fmt.Sprint(got[i]) != fmt.Sprint(want[i]) {
					t.Fatalf("%s: in the group %v, alone %v", one.what, got[i], want[i])
				}
			}
			if a, b := alone.contents(t), grouped.contents(t); a != b {
				t.Fatalf("one after another:\n%s\nin groups:\n%s", a, b)
			}
		}
	})
}

func TestSameTogether(t *testing.T) {
	dir := t.TempDir()
	sameTogether(t, func(name string) *Store {
		s, err := OpenSQLite(t.Context(), filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

// manyTogether has as many runs begin and end in a group as there are statements for.
func manyTogether(t *testing.T, s *Store) {
	const runs = 64 + 16 + 4 + 1
	lessee := &store.Lessee{Runner: "p/x@1", Lease: time.Hour}
	all := func(call func(id string) error) {
		t.Helper()
		var calls []func() error
		for i := range runs {
			calls = append(calls, func() error { return call(fmt.Sprintf("run-%02d", i)) })
		}
		for i, err := range s.together(calls) {
			if err != nil {
				t.Fatalf("%d: %v", i, err)
			}
		}
	}
	report := func(id string, first int64, ended *store.Ended) error {
		_, err := s.Report(t.Context(), store.Report{
			Hold: store.Hold{Run: id, Attempt: 1}, Runner: "p/x@1", Lease: time.Hour, First: first, Count: 2, State: run.Running, Ended: ended,
			Encode: func(before int64) (store.Chunk, error) {
				return store.Chunk{First: before + 1, Last: before + 2, Lines: 1, Bytes: 10, Data: []byte("x")}, nil
			},
		})
		return err
	}
	all(func(id string) error {
		o := &store.Once{Token: []byte("t"), Key: id, Print: []byte(id), Body: func(any) ([]byte, error) { return []byte(id), nil }}
		n := store.NewRun{ID: id, Project: "p", Tool: "t", Kind: "tool", Pool: "default", Request: []byte("{}")}
		return s.Accept(store.OnlyOnce(t.Context(), o), n, lessee)
	})
	all(func(id string) error { return report(id, 1, nil) })
	all(func(id string) error {
		return report(id, 3, &store.Ended{Status: run.Failed, ExitCode: 3, Result: []byte("{}")})
	})
	got, _, err := s.Runs(t.Context(), store.Filter{Project: "p", Most: 2 * runs})
	if err != nil || len(got) != runs {
		t.Fatalf("%d runs, %v", len(got), err)
	}
	for _, r := range got {
		if r.Status != run.Failed || r.Events != 4 || r.Lines != 2 || r.Runner != "p/x@1" || r.Attempt != 1 || r.Started.IsZero() || r.Finished.IsZero() {
			t.Errorf("%+v", r)
		}
	}
	// Nothing of it is made twice: the group ends, and each hears it.
	for i, err := range s.together([]func() error{
		func() error { return report("run-00", 3, &store.Ended{Status: run.Succeeded, Result: []byte("{}")}) },
		func() error { return report("run-01", 3, &store.Ended{Status: run.Failed, Result: []byte("{}")}) },
	}) {
		if want := []error{store.ErrNotHeld, nil}[i]; !errors.Is(err, want) {
			t.Errorf("the end of run %d again: %v", i, err)
		}
	}
}

// TestRepeatedTogether has a request that was made already share a transaction with another write, which isn't carried out again for it.
func TestRepeatedTogether(t *testing.T) {
	s := openSQLite(t)
	accept := func(id string) error {
		o := &store.Once{Token: []byte("t"), Key: "k", Print: []byte("p"), Body: func(any) ([]byte, error) { return []byte(id), nil }}
		return s.Accept(store.OnlyOnce(t.Context(), o), store.NewRun{ID: id, Project: "p", Pool: "default", Request: []byte("{}")}, nil)
	}
	for _, want := range []error{nil, store.ErrRepeated} {
		tries := 0
		errs := s.together([]func() error{
			func() error { return accept("a") },
			func() error { return s.write(t.Context(), func(context.Context, *tx) error { tries++; return nil }) },
			func() error { return accept("b") },
		})
		if !errors.Is(errs[0], want) || errs[1] != nil || !errors.Is(errs[2], store.ErrRepeated) || tries != 1 {
			t.Errorf("%v, and the other was carried out %d times", errs, tries)
		}
	}
}

func TestManyTogether(t *testing.T) {
	s := openSQLite(t)
	manyTogether(t, s)
}

// TestEndsTogether counts the ends of a group in one statement, whose rows have an order.
func TestEndsTogether(t *testing.T) {
	for _, ends := range []int{1, 5, 65, mostGrouped} {
		one := tx{counted: make([]string, ends)}
		one.countEnds(0)
		if calls := one.collected(); len(calls) != 1 {
			t.Errorf("%d ends are counted in %d statements", ends, len(calls))
		}
	}
}
