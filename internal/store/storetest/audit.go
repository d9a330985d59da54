package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
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
	begin, err := s.AuditBegin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Begins(&begin); err != nil || v.Head() != head || v.First() != begin.Number+1 {
		t.Fatalf("entries %d to %+v, and the head %+v, after %+v: %v", v.First(), v.Head(), head, begin, err)
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
		"delete-secret": func(ctx context.Context) error { return s.RemoveSecret(ctx, "p", "none", nil) },
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
	subjects, before := map[string]bool{}, time.Time{}
	for _, e := range whole(t, replicas[0]) {
		subjects[e.Subject] = true
		if e.Time.Before(before) {
			t.Errorf("entry %d is %v before the one before it", e.Number, before.Sub(e.Time))
		}
		before = e.Time
		get(t, replicas[0], e.Subject)
	}
	if len(subjects) != writers*each {
		t.Errorf("%d entries for %d changes", len(subjects), writers*each)
	}
}

// auditRemoval removes entries from the beginning of the log. What is left is a chain that says so.
func auditRemoval(t *testing.T, s Store) {
	add := func(n int) {
		t.Helper()
		for range n {
			if err := s.Append(t.Context(), &audit.Entry{Action: "login", Actor: "ada", Outcome: audit.OK}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, c := range []struct {
		add, most, want int
		kept            time.Duration
		first, last     int64
	}{
		{0, 10, 0, 0, 0, 0},
		{1, 10, 0, 0, 1, 1}, // the last entry stays
		{9, 100, 0, time.Hour, 1, 10},
		{0, 4, 4, 0, 5, 11},
		{0, 100, 6, 0, 11, 12},
		{0, 100, 0, 0, 11, 12}, // there are only the entries about removals
		{1, 100, 0, 0, 11, 13},
		{1, 100, 3, 0, 14, 15},
	} {
		add(c.add)
		n, err := s.RemoveEntries(t.Context(), c.kept, c.most)
		if err != nil || n != c.want {
			t.Fatalf("%d: %d are removed, %v, want %d", i, n, err, c.want)
		}
		all := whole(t, s)
		if len(all) == 0 {
			all = []audit.Entry{{}}
		}
		if last := all[len(all)-1]; all[0].Number != c.first || last.Number != c.last || c.want > 0 && last.Action != audit.Remove {
			t.Errorf("%d: entries %d to %+v", i, all[0].Number, last)
		}
	}
	if some := entries(t, s, store.AuditFilter{Action: audit.Remove}); len(some) != 1 || some[0].Details["last"] != "13" || some[0].Details["entries"] != "3" {
		t.Errorf("the entries about removals: %+v", some)
	}
}

// RemoveAtOnce has several stores of one database remove entries while others append some: what is left is one chain, and each entry was
// removed once.
func RemoveAtOnce(t *testing.T, replicas ...Store) {
	var work sync.WaitGroup
	var appended, removed atomic.Int64
	for n := range 4 {
		s := replicas[n%len(replicas)]
		work.Go(func() {
			for range 100 {
				if err := s.Append(t.Context(), &audit.Entry{Action: "login", Outcome: audit.OK}); err != nil {
					t.Errorf("append: %v", err)
				}
				appended.Add(1)
			}
		})
		work.Go(func() {
			for range 20 {
				n, err := s.RemoveEntries(t.Context(), 0, 7)
				if err != nil {
					t.Errorf("remove: %v", err)
				}
				if removed.Add(int64(n)); n > 0 {
					appended.Add(1)
				}
			}
		})
	}
	work.Wait()
	all := whole(t, replicas[0])
	if begin := all[0].Number - 1; removed.Load() == 0 || begin != removed.Load() || all[len(all)-1].Number != appended.Load() {
		t.Errorf("entries %d to %d, of %d that were appended and %d that were removed", all[0].Number, all[len(all)-1].Number, appended.Load(), removed.Load())
	}
}
