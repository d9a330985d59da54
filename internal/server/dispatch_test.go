package server

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// TestUndeliveredWaitAgain ends a connection while attempts are in its line: those that were sent stay the runner's, and the others wait
// again.
func TestUndeliveredWaitAgain(t *testing.T) {
	s, _ := logged(t, nil)
	for _, id := range []string{"a", "b", "c"} {
		n := store.NewRun{ID: id, Project: "q", Tool: "t", Kind: "tool", Pool: defaultPool, Request: []byte(`{"tool":{}}`)}
		if err := s.store.Accept(t.Context(), n, nil); err != nil {
			t.Fatal(err)
		}
	}
	link := s.Link(defaultPool, "slow", "slow0123456789012345")
	ctx, cut := context.WithCancel(t.Context())
	sent, ended := make(chan string, 3), make(chan error, 1)
	go func() {
		ended <- link.Messages(ctx, &api.Hello{Protocol: api.Protocol, Name: "slow", Slots: 3}, func(m api.Message) error {
			if m.Assign != nil {
				sent <- m.Assign.Run
				<-ctx.Done() // it reads no more
				return ctx.Err()
			}
			return nil
		})
	}()
	first := next(t, sent, "an attempt")
	s.pool.mu.Lock()
	l := s.pool.lines[link.holder()]
	s.pool.mu.Unlock()
	for end := time.Now().Add(patience); len(l.messages) < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the others don't come into the line")
		}
	}
	cut()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	held, err := s.store.Held(t.Context(), link.holder())
	if err != nil {
		t.Fatal(err)
	}
	if _, there := held[store.Hold{Run: first, Attempt: 1}]; len(held) != 1 || !there {
		t.Errorf("after %s was sent, the runner holds %v", first, held)
	}
	// What the line can't take waits again, too.
	waiting, err := s.store.Waiting(t.Context(), defaultPool, 10)
	if err != nil || len(waiting) != 2 {
		t.Errorf("%d runs wait, %v", len(waiting), err)
	}
	if _, err := s.store.Claim(t.Context(), store.Claim{Lessee: store.Lessee{Runner: link.holder(), Lease: time.Minute}, Pool: defaultPool, Most: 1}); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a", "b", "c"} {
		s.pool.hand(t.Context(), l, &api.Assignment{Holding: api.Holding{Run: id, Attempt: 2}})
	}
	if waiting, err = s.store.Waiting(t.Context(), defaultPool, 10); err != nil || len(waiting) != 2 {
		t.Errorf("%d runs wait after an attempt came too late, %v", len(waiting), err)
	}
}

// TestTwoConnections checks that the later one of two connections of a runner ends the other.
func TestTwoConnections(t *testing.T) {
	s, _ := logged(t, nil)
	h := &api.Hello{Slots: 1}
	one, err := s.pool.connect("default/r@1", defaultPool, h, nil)
	if err != nil {
		t.Fatal(err)
	}
	two, err := s.pool.connect("default/r@1", defaultPool, h, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.pool.disconnect(one)
	if !one.isGone() || two.isGone() || s.pool.lines["default/r@1"] != two {
		t.Error("the first connection stays")
	}
}

// TestDrainComesLast checks that a runner hears that it drains after the run that is being accepted for it, and once.
func TestDrainComesLast(t *testing.T) {
	s, _ := logged(t, nil)
	l, err := s.pool.connect("default/r@1", defaultPool, &api.Hello{Slots: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	n := store.NewRun{ID: "a", Project: "q", Tool: "t", Kind: "tool", Pool: defaultPool}
	l.none = true
	if s.pool.reserve(&n) != l {
		t.Fatal("the runner has no room")
	}
	if !s.pool.drain(l.runner) || len(l.messages) > 0 {
		t.Fatal("the runner was told before the run")
	}
	s.pool.placed(t.Context(), l, n, &run.Request{Tool: &tool.Tool{}}, false, nil)
	s.pool.drain(l.runner)
	if len(l.messages) != 2 {
		t.Fatalf("%d messages", len(l.messages))
	}
	if m := <-l.messages; m.Assign == nil {
		t.Errorf("the first message is %+v", m)
	}
	if m := <-l.messages; !m.Drain {
		t.Errorf("the second message is %+v", m)
	}
}
