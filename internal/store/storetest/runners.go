package storetest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/store"
)

func runners(t *testing.T, s Store) {
	ctx := t.Context()
	saw := func(holder, name string) bool {
		drain, err := s.AddRunner(ctx, store.Runner{Holder: holder, Pool: "default", Name: name, Version: "1", Labels: []string{"gpu"}, Slots: 3})
		if err != nil {
			t.Fatal(err)
		}
		return drain
	}
	if saw("default/b@1", "b") || saw("default/a@1", "a") || saw("default/a@1", "a") {
		t.Error("a new runner is to drain")
	}
	n := newRun("1")
	if err := s.Accept(ctx, n, &store.Lessee{Runner: "default/b@1", Lease: lease}); err != nil {
		t.Fatal(err)
	}
	all, err := s.Runners(ctx, lease)
	if err != nil || len(all) != 2 || all[0].Name != "a" || all[1].Name != "b" || all[0].Busy != 0 || all[1].Busy != 1 || all[0].Slots != 3 ||
		!slices.Equal(all[0].Labels, []string{"gpu"}) || all[0].Drain || all[0].Silent < 0 || all[0].Silent > lease || all[0].Version != "1" {
		t.Errorf("runners %+v, %v", all, err)
	}
	if holders, err := s.DrainRunner(ctx, "b"); err != nil || !slices.Equal(holders, []string{"default/b@1"}) {
		t.Errorf("drain: %q, %v", holders, err)
	}
	if _, err := s.DrainRunner(ctx, "none"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("drain a runner that isn't there: %v", err)
	}
	if !saw("default/b@1", "b") {
		t.Error("it isn't told to drain")
	}
	keeps := []store.Kept{{Run: "1", Until: time.Now().UTC().Add(time.Minute)}}
	if drain, err := s.SawRunner(ctx, store.Runner{Holder: "default/b@1", Version: "2", Kept: keeps}); err != nil || !drain {
		t.Errorf("a sign of life of one that drains: %t, %v", drain, err)
	}
	if all, err := s.Runners(ctx, lease); err != nil || len(all) != 2 || len(all[0].Kept) > 0 || !slices.Equal(all[1].Kept, keeps) {
		t.Errorf("what they keep: %+v, %v", all, err)
	}
	if saw("default/b@2", "b") {
		t.Error("the next process of its name is told to drain")
	}
	if err := s.RemoveRunner(ctx, "default/b@1"); err != nil {
		t.Fatal(err)
	}
	if all, err := s.Runners(ctx, lease); err != nil || len(all) != 2 || all[1].Holder != "default/b@2" {
		t.Errorf("after one is removed: %+v, %v", all, err)
	}
	if drain, err := s.SawRunner(ctx, store.Runner{Holder: "default/b@1"}); err != nil || drain {
		t.Errorf("a late sign of life of one that was removed: %t, %v", drain, err)
	}
	if err := s.RemoveRunner(ctx, "default/b@2"); err != nil { // it isn't to drain
		t.Fatal(err)
	}
	if all, err := s.Runners(ctx, lease); err != nil || len(all) != 2 {
		t.Errorf("after the late sign of life: %+v, %v", all, err)
	}
	if saw("default/b@1", "b") {
		t.Error("one that was removed is told to drain")
	}
	time.Sleep(20 * time.Millisecond)
	if all, err := s.Runners(ctx, time.Millisecond); err != nil || len(all) != 0 {
		t.Errorf("those that were just there: %+v, %v", all, err)
	}
	if err := s.ForgetRunners(ctx, time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if all, err := s.Runners(ctx, lease); err != nil || len(all) != 0 {
		t.Errorf("after they are forgotten: %+v, %v", all, err)
	}
}
