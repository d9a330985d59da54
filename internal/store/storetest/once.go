package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// asked is a request with a key; what it makes is answered with text, and the number of the version that was made.
func asked(token, key, text string) *store.Once {
	return &store.Once{Token: []byte(token), Key: key, Print: []byte("print " + text), Body: func(made any) ([]byte, error) {
		if m, ok := made.(store.Made); ok {
			text = fmt.Sprint(text, m.Version.Version, m.New)
		}
		return []byte(text), nil
	}}
}

func once(t *testing.T, s Store) {
	ctx := t.Context()
	answer := func(key, want string) {
		t.Helper()
		a, err := s.Answer(ctx, []byte("a"), key)
		if err != nil || string(a.Body) != want || string(a.Print) == "" {
			t.Errorf("the answer of %s: %q %q, %v, want %q", key, a.Body, a.Print, err, want)
		}
	}
	none := func(token, key string) {
		t.Helper()
		if a, err := s.Answer(ctx, []byte(token), key); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the answer of %s %s: %q, %v, want none", token, key, a.Body, err)
		}
	}
	none("a", "k")
	o := asked("a", "k", "first")
	if err := s.Accept(store.OnlyOnce(ctx, o), newRun("1"), nil); err != nil || o.Repeated {
		t.Fatalf("accept: %v", err)
	}
	answer("k", "first")
	o = asked("a", "k", "second")
	if err := s.Accept(store.OnlyOnce(ctx, o), newRun("2"), nil); !errors.Is(err, store.ErrRepeated) || !o.Repeated {
		t.Errorf("accept again: %v", err)
	}
	if _, err := s.Run(ctx, "p", "2"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the second run: %v", err)
	}
	answer("k", "first")
	for _, other := range []struct{ token, key string }{{"a", "K"}, {"b", "k"}} {
		if err := s.Accept(store.OnlyOnce(ctx, asked(other.token, other.key, "x")), newRun("3"+other.token+other.key), nil); err != nil {
			t.Errorf("accept for %v: %v", other, err)
		}
	}
	// Nothing is kept of what failed.
	if err := s.Accept(store.OnlyOnce(ctx, asked("a", "fails", "x")), newRun("1"), nil); err == nil {
		t.Error("a run is accepted twice")
	}
	none("a", "fails")
	unanswered := asked("a", "unanswered", "x")
	unanswered.Body = func(any) ([]byte, error) { return nil, errors.New("no answer") }
	if err := s.Accept(store.OnlyOnce(ctx, unanswered), newRun("4"), nil); err == nil {
		t.Error("a run without an answer is accepted")
	}
	if _, err := s.Run(ctx, "p", "4"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the run without an answer: %v", err)
	}

	v := store.Version{Project: "p", Tool: "t", Kind: "tool", Digest: "d", Manifest: []byte("{}")}
	if _, _, err := s.AddVersion(store.OnlyOnce(ctx, asked("a", "v1", "")), v); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.AddVersion(store.OnlyOnce(ctx, asked("a", "v2", "")), v); err != nil {
		t.Fatal(err)
	}
	answer("v1", "1 true")
	answer("v2", "1 false")
	token := store.Token{Hash: []byte("h"), Name: "n", Role: "viewer"}
	for i, want := range []error{nil, store.ErrRepeated} {
		if err := s.AddToken(store.OnlyOnce(ctx, asked("a", "t", "token")), token); !errors.Is(err, want) {
			t.Errorf("token %d: %v, want %v", i, err, want)
		}
	}
	answer("t", "token")
	r := newRun("flow")
	r.Kind = "workflow"
	step := store.StepForward{Run: "flow", Entries: [][]byte{[]byte("{}")}}
	for i, want := range []error{nil, store.ErrRepeated} {
		if err := s.AcceptWorkflow(store.OnlyOnce(ctx, asked("a", "w", "flow")), r, step); !errors.Is(err, want) {
			t.Errorf("workflow %d: %v, want %v", i, err, want)
		}
	}
	if err := s.ForgetAnswers(ctx); err != nil {
		t.Fatal(err)
	}
	answer("k", "first") // it is young
}

// OnceAtOnce has many requests with the same key come at once, to several servers: one run is made for each key.
func OnceAtOnce(t *testing.T, stores ...Store) {
	const keys, tries = 20, 8
	var work sync.WaitGroup
	var mu sync.Mutex
	made := map[string]string{}
	for k := range keys {
		for i := range tries {
			work.Go(func() {
				key, id := fmt.Sprint(k), fmt.Sprintf("%d-%d", k, i)
				s := stores[i%len(stores)]
				err := s.Accept(store.OnlyOnce(t.Context(), asked("a", key, id)), newRun(id), nil)
				switch {
				case err == nil:
					mu.Lock()
					defer mu.Unlock()
					if made[key] != "" {
						t.Errorf("key %s made the runs %s and %s", key, made[key], id)
					}
					made[key] = id
				case !errors.Is(err, store.ErrRepeated):
					t.Error(err)
				default:
					if a, err := s.Answer(t.Context(), []byte("a"), key); err != nil || len(a.Body) == 0 {
						t.Errorf("key %s was used, and has the answer %q, %v", key, a.Body, err)
					}
				}
			})
		}
	}
	work.Wait()
	all, _, err := stores[0].Runs(t.Context(), store.Filter{Project: "p", Status: []run.State{run.Queued}, Most: 1000})
	if err != nil || len(all) != keys || len(made) != keys {
		t.Errorf("%d runs for %d keys, %v", len(all), len(made), err)
	}
}
