package sqlstore

import (
	"context"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// TestGivenAreGone looks for secrets of runs in the whole database once the runs are over, however they have ended.
func TestGivenAreGone(t *testing.T) {
	s := openSQLite(t)
	for _, id := range []string{"reported", "cancelled", "lost"} {
		n := store.NewRun{ID: id, Project: "p", Tool: "t", Kind: "tool", Pool: "default", Request: []byte("{}"), AcceptedBy: "ada", Secrets: []byte("sealed")}
		var to *store.Lessee
		if id != "cancelled" {
			to = &store.Lessee{Runner: "r", Lease: map[string]time.Duration{"reported": time.Minute, "lost": time.Millisecond}[id]}
		}
		if err := s.Accept(t.Context(), n, to); err != nil {
			t.Fatal(err)
		}
	}
	count := func() (n int) {
		t.Helper()
		if err := s.read(context.Background(), func(rows row) error { return rows.Scan(&n) }, `SELECT COUNT(*) FROM queue WHERE secrets IS NOT NULL`); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := count(); n != 3 {
		t.Fatalf("%d runs have secrets", n)
	}
	end := store.Ended{Status: run.Failed, Result: []byte("{}")}
	if _, err := s.Report(t.Context(), store.Report{Hold: store.Hold{Run: "reported", Attempt: 1}, Runner: "r", Lease: time.Minute, First: 1, Ended: &end}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Cancel(t.Context(), "p", "cancelled", end); err != nil {
		t.Fatal(err)
	}
	for ended := 0; ended == 0; {
		ids, err := s.Expire(t.Context(), 9, func(store.Claimed) (store.Ended, error) { return end, nil })
		if err != nil {
			t.Fatal(err)
		}
		ended = len(ids)
	}
	if n := count(); n != 0 {
		t.Errorf("%d runs that are over have secrets", n)
	}
}
