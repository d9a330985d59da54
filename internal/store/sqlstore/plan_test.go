package sqlstore

import (
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// TestPlans looks at how SQLite reads what runners have: by an index, and never through the whole queue, of which nearly all may wait.
func TestPlans(t *testing.T) {
	s := openSQLite(t)
	ctx := t.Context()
	reads := map[string]func() error{
		"held":     func() error { _, err := s.Held(ctx, "r"); return err },
		"requests": func() error { return s.HeldRequests(ctx, "r", func([]byte) (bool, error) { return false, nil }) },
		"runners":  func() error { _, err := s.Runners(ctx, time.Hour); return err },
		"taken":    func() error { _, err := s.Taken(ctx); return err },
		"running":  func() error { _, err := s.Running(ctx, "p"); return err },
		"queued":   func() error { _, err := s.QueuedIn(ctx, []string{"p"}, 9); return err },
		"list": func() error {
			_, _, err := s.Runs(ctx, store.Filter{Project: "p", Status: []run.State{run.Running}, Most: 1})
			return err
		},
		"list with a text": func() error {
			_, _, err := s.Runs(ctx, store.Filter{Project: "p", Status: []run.State{run.Running}, Text: "x", Look: 1, Most: 1})
			return err
		},
	}
	for name, read := range reads {
		t.Run(name, func(t *testing.T) {
			clear(s.prepared) // they are closed with the database
			if err := read(); err != nil {
				t.Fatal(err)
			}
			if len(s.prepared) == 0 {
				t.Fatal("nothing was read")
			}
			for q := range s.prepared {
				plan := planOf(t, s, q)
				for line := range strings.Lines(plan) {
					if (strings.Contains(line, "SCAN q") || strings.Contains(line, "SCAN runs")) && !strings.Contains(line, "USING INDEX queue_runner") && !strings.Contains(line, "USING INDEX queue_leased") {
						t.Errorf("%s\nis read so:\n%s", q, plan)
					}
				}
			}
		})
	}
}

// planOf returns how SQLite carries a statement out.
func planOf(t *testing.T, s *Store, q string) string {
	t.Helper()
	args := make([]any, strings.Count(q, "?"))
	for i := range args {
		args[i] = "1"
	}
	rows, err := s.db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+s.d.sql(q), args...)
	if err != nil {
		t.Fatal(err)
	}
	var plan strings.Builder
	err = each(rows, func(r row) error {
		var id, parent, unused int
		var detail string
		err := r.Scan(&id, &parent, &unused, &detail)
		plan.WriteString(detail + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return plan.String()
}
