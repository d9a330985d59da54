//go:build linux

package server

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/archive"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/store/postgrestest"
	"github.com/mayfly-run/mayfly/internal/store/sqlstore"
)

// patience is how long a test waits for what should happen at once.
const patience = 2 * time.Minute

// deaf is a store that doesn't say that others have written.
type deaf struct{ Store }

func (deaf) Changed() <-chan struct{} { return nil }
func (deaf) Events() <-chan struct{}  { return nil }

// replica is a server of several on one database, with a client of it.
type replica struct {
	*Server
	client *api.Client
}

// newReplica starts a server, which ends with the test.
func newReplica(t *testing.T, database, contents, token string, poll time.Duration, hears bool) *replica {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir()) // other tests look for what is left of sandboxes in the machine's
	db, err := sqlstore.OpenPostgres(t.Context(), database, slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	o := Options{Store: db, Archive: archive.Dir(contents), Log: slog.Default(), Poll: poll}
	if !hears {
		o.Store = deaf{db}
	}
	s := New(o)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	front := httptest.NewServer(s.Handler())
	t.Cleanup(front.Close)
	t.Cleanup(s.Close) // before its front, which waits for streams
	client, err := api.NewClient(api.ClientOptions{Server: front.URL, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &replica{s, client}
}

// someKey is the key of a runner that opens nothing.
const someKey = "age1uq65j4vuh495lz0quqyyq7m2dk0tf65hgdf5mzjeh7mmm85a6fes43lj0p"

// connect connects a runner, and returns what it is told.
func (r *replica) connect(t *testing.T, name string) (*Link, <-chan api.Message) {
	t.Helper()
	link, messages, ended := r.Link(defaultPool, name, rand.Text()), make(chan api.Message, 100), make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		ended <- link.Messages(ctx, &api.Hello{Protocol: api.Protocol, Name: name, Slots: 10, Key: someKey}, func(m api.Message) error {
			if m.Alive {
				return nil
			}
			select {
			case messages <- m:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("runner %s: %v", name, err)
		}
	})
	if m := next(t, messages, "the session"); m.Session == nil {
		t.Fatalf("the first message is %+v", m)
	}
	return link, messages
}

// next waits for a message, or an event.
func next[M any](t *testing.T, from <-chan M, what string) M {
	t.Helper()
	select {
	case m := <-from:
		return m
	case <-time.After(patience):
		t.Fatalf("nothing comes, want %s", what)
		panic("unreachable")
	}
}

// TestReplicas has runs accepted, followed and cancelled at one server and carried out at another one, by each of the two ways in
// which a server notices what others have written. The other way is off, so that it can't help.
func TestReplicas(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	postgres := postgrestest.Start(t)
	const never = 24 * time.Hour
	for name, c := range map[string]struct {
		poll  time.Duration
		hears bool
	}{
		"woken":   {never, true},
		"polling": {10 * time.Millisecond, false},
	} {
		t.Run(name, func(t *testing.T) {
			database, contents := postgres.Database(t), t.TempDir()
			token, hash := NewToken()
			here := newReplica(t, database, contents, token, c.poll, c.hears)
			if err := here.store.AddToken(t.Context(), store.Token{Hash: hash, Name: "admin", Role: RoleAdmin}); err != nil {
				t.Fatal(err)
			}
			there := newReplica(t, database, contents, token, c.poll, c.hears)
			link, messages := there.connect(t, "r")
			const definition = "name: t\nimage: i\ncommand: [x]\n"
			digest := archive.Digest([]byte(definition))
			if err := here.client.PutContent(t.Context(), "p", digest, strings.NewReader(definition)); err != nil {
				t.Fatal(err)
			}
			// More than one, since a server also looks when its connection is new.
			for range 3 {
				r, err := here.client.CreateRun(t.Context(), "p", &api.NewRun{
					Bundle: &api.Bundle{Definition: "t.yaml", Files: []api.File{{Path: "t.yaml", Digest: digest, Size: int64(len(definition))}}},
				})
				if err != nil {
					t.Fatal(err)
				}
				m := next(t, messages, "the run")
				if m.Assign == nil || m.Assign.Run != r.ID || m.Assign.Request.Tool.Name != "t" {
					t.Fatalf("the runner hears %+v, want run %s", m, r.ID)
				}
				follow(t, here, link, m.Assign.Holding)
			}
			if c.hears {
				return // an end is asked for by polling only
			}
			r, err := here.client.CreateRun(t.Context(), "p", &api.NewRun{
				Bundle: &api.Bundle{Definition: "t.yaml", Files: []api.File{{Path: "t.yaml", Digest: digest, Size: int64(len(definition))}}},
			})
			if err != nil {
				t.Fatal(err)
			}
			next(t, messages, "the run")
			if _, err := here.client.Cancel(t.Context(), "p", r.ID); err != nil {
				t.Fatal(err)
			}
			if m := next(t, messages, "its end"); m.Cancel == nil || *m.Cancel != (api.Holding{Run: r.ID, Attempt: 1}) {
				t.Errorf("the runner hears %+v, want the end of run %s", m, r.ID)
			}
		})
	}
}

// follow follows a run at one server, while its runner reports to another one.
func follow(t *testing.T, here *replica, link *Link, h api.Holding) {
	t.Helper()
	events, ended := make(chan run.Event, 100), make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { ended <- here.client.Follow(ctx, "p", h.Run, 0, func(e run.Event) { events <- e }, nil) }()
	report := func(r *api.Report) {
		t.Helper()
		r.Holding = h
		if _, err := link.Report(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	for i, state := range []run.State{run.Pulling, run.Creating, run.Running} {
		report(&api.Report{First: int64(i) + 1, Events: []run.Event{{State: &run.StateChange{State: state}}}})
		if e := next(t, events, string(state)); e.State == nil || e.State.State != state || e.Seq != int64(i)+1 {
			t.Fatalf("the reader gets %+v, want the state %s", e, state)
		}
	}
	result := &run.Result{Status: run.Succeeded, Outputs: map[string]string{}}
	report(&api.Report{First: 4, Events: []run.Event{{Result: result}}, Result: result})
	if e := next(t, events, "the result"); e.Result == nil || e.Result.Status != run.Succeeded {
		t.Fatalf("the reader gets %+v, want the result", e)
	}
	if err := next(t, ended, "the end of the stream"); err != nil {
		t.Error(err)
	}
}
