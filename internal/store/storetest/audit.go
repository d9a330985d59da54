package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/audit"
	"github.com/mayfly-run/mayfly/internal/store"
)

// entries returns the entries that match; those of the whole log must be a chain that ends with its head.
func entries(t *testing.T, s Store, f store.AuditFilter) []audit.Entry {
	t.Helper()
	if f.Most == 0 {
		f.Most = 10_000
	}
	all, err := s.Entries(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func whole(t *testing.T, s Store) []audit.Entry {
	t.Helper()
	head, err := s.AuditHead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := entries(t, s, store.AuditFilter{})
	v := audit.Verifier{Known: head.Hash}
	for i := range all {
		if err := v.Add(&all[i]); err != nil {
			t.Fatal(err)
		}
	}
	if len(all) == 0 {
		if head != (audit.Head{Hash: audit.First}) {
			t.Fatalf("the head of an empty log is %+v", head)
		}
		return nil
	}
	if v.Head() != head || v.First() != 1 {
		t.Fatalf("entries %d to %+v, and the head %+v", v.First(), v.Head(), head)
	}
	return all
}

func pending(action, actor, project string) *store.Pending {
	return &store.Pending{Entry: audit.Entry{Action: action, Actor: actor, Project: project, Subject: "runs/1", Outcome: audit.OK, Details: map[string]string{"tool": "t"}}}
}

// auditLog has entries of changes, of changes that fail, and on their own.
func auditLog(t *testing.T, s Store) {
	whole(t, s)
	begun := time.Now().Add(-time.Minute)
	p := pending("create-run", "ada", "p")
	ctx := store.Audited(t.Context(), p)
	if err := s.Accept(ctx, newRun("1"), nil); err != nil || !p.Written || p.Number != 1 {
		t.Fatalf("accept: %v, %+v", err, p)
	}
	if err := s.Accept(ctx, newRun("2"), nil); err != nil {
		t.Fatal(err)
	}
	if all := whole(t, s); len(all) != 1 || all[0].Actor != "ada" || all[0].Details["tool"] != "t" || all[0].Time.Before(begun) {
		t.Fatalf("a context has one entry, and the log has %+v", all)
	}
	// One of these fails with others of its group, and the other one alone.
	refused := map[string]func(context.Context) error{
		"cancel": func(ctx context.Context) error {
			_, err := s.Cancel(ctx, "p", "none", *ended("cancelled"))
			return err
		},
		"delete-secret": func(ctx context.Context) error { return s.RemoveSecret(ctx, "p", "none") },
	}
	for action, change := range refused {
		p := pending(action, "ada", "p")
		if err := change(store.Audited(t.Context(), p)); !errors.Is(err, store.ErrNotFound) || p.Written {
			t.Errorf("%s: %v, written %v", action, err, p.Written)
		}
	}
	for i, e := range []audit.Entry{
		{Action: "cancel-run", Actor: "bob", Project: "q", Subject: "runs/none", Outcome: "no_such_resource"},
		{Action: "login", Subject: "a\x00\xff", Outcome: "unauthenticated"},
	} {
		if err := s.Append(t.Context(), &e); err != nil || e.Number != int64(i+2) {
			t.Errorf("append: %v, %+v", err, e)
		}
	}
	if all := whole(t, s); len(all) != 3 || all[2].Details != nil {
		t.Errorf("the log has %+v", all)
	}
	for name, c := range map[string]struct {
		f    store.AuditFilter
		want string
	}{
		"project": {store.AuditFilter{Project: "q"}, "[2]"},
		"actor":   {store.AuditFilter{Actor: "ada"}, "[1]"},
		"action":  {store.AuditFilter{Action: "login"}, "[3]"},
		"since":   {store.AuditFilter{Since: begun}, "[1 2 3]"},
		"later":   {store.AuditFilter{Since: time.Now().Add(time.Hour)}, "[]"},
		"after":   {store.AuditFilter{After: 1, Most: 1}, "[2]"},
		"latest":  {store.AuditFilter{Latest: true, Before: 3, Most: 2}, "[2 1]"},
	} {
		numbers := []int64{}
		for _, e := range entries(t, s, c.f) {
			numbers = append(numbers, e.Number)
		}
		if got := fmt.Sprint(numbers); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// AuditAtOnce has several writers of one database write their entries: they make one chain, and each change has its entry.
func AuditAtOnce(t *testing.T, replicas ...Store) {
	const writers, each = 8, 40
	var work sync.WaitGroup
	for w := range writers {
		s := replicas[w%len(replicas)]
		work.Go(func() {
			for i := range each {
				p := pending("create-run", fmt.Sprint(w), "p")
				id := fmt.Sprintf("%d-%d", w, i)
				p.Subject = id
				if err := s.Accept(store.Audited(t.Context(), p), newRun(id), nil); err != nil || !p.Written {
					t.Errorf("accept: %v, written %v", err, p.Written)
				}
			}
		})
	}
	work.Wait()
	subjects := map[string]bool{}
	for _, e := range whole(t, replicas[0]) {
		subjects[e.Subject] = true
		get(t, replicas[0], e.Subject)
	}
	if len(subjects) != writers*each {
		t.Errorf("%d entries for %d changes", len(subjects), writers*each)
	}
}
