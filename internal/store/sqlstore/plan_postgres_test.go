package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/store/postgrestest"
	"github.com/mayfly-run/mayfly/internal/store/storetest"
)

// TestPostgresPlans looks at how PostgreSQL plans what the writers do with a database that is new: these plans stay when there are many runs. None
// may read an index, or sort, where another index has the rows, in their order.
func TestPostgresPlans(t *testing.T) {
	server := postgrestest.Start(t)
	s := openPostgres(t, server.Database(t))
	ctx := t.Context()
	storetest.Histories(t, s)
	claim := func(want int, free store.Size) {
		t.Helper()
		got, err := s.Claim(ctx, store.Claim{Lessee: store.Lessee{Runner: "r", Lease: time.Hour}, Pool: "default", Most: 1, Free: free})
		if err != nil || len(got) != want {
			t.Fatalf("claimed %v, %v", got, err)
		}
	}
	// The history leaves some that wait.
	if _, err := s.Claim(ctx, store.Claim{Lessee: store.Lessee{Runner: "r", Lease: time.Hour}, Pool: "default", Most: 1000}); err != nil {
		t.Fatal(err)
	}
	accept(t, s, "small")
	claim(1, store.Size{})
	limited := store.NewRun{ID: "limited", Project: "p", Pool: "default", Kind: "tool", Limits: []store.Limit{{Name: "k", Most: 1}}, Request: []byte("{}")}
	if err := s.Accept(ctx, limited, nil); err != nil {
		t.Fatal(err)
	}
	claim(1, store.Size{})
	for n := range claimPage + 1 { // more than are read at once: of some the size, of others the labels aren't for the runner
		err := s.Accept(ctx, store.NewRun{ID: fmt.Sprintf("large-%03d", n), Project: "p", Pool: "default", Kind: "tool", Size: store.Size{Memory: 1}, Request: []byte("{}")}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	claim(0, store.Size{})
	if err := s.Accept(ctx, store.NewRun{ID: "large-000-labelled", Project: "p", Pool: "default", Kind: "tool", Needs: []string{"gpu"}, Request: []byte("{}")}, nil); err != nil {
		t.Fatal(err)
	}
	claim(0, store.Size{})
	if _, err := s.Extend(ctx, "r", []store.Hold{{Run: "none", Attempt: 1}}, time.Hour); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	if err := s.write(ctx, func(_ context.Context, tx *tx) error { maps.Copy(all, tx.c.sql); return nil }); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	clear(s.prepared) // they are closed with the database
	s.mu.Unlock()
	if _, err := s.QueuedIn(ctx, []string{"p"}, 1); err != nil {
		t.Fatal(err)
	}
	length := ""
	for length = range s.prepared {
		all[length] = s.d.sql(length)
	}

	fresh := openPostgres(t, server.Database(t))
	c, err := newConnection(ctx, fresh.writing, fresh.d)
	if err != nil {
		t.Fatal(err)
	}
	defer c.drop()
	if _, err := c.conn.ExecContext(ctx, `SET plan_cache_mode = force_generic_plan`); err != nil {
		t.Fatal(err)
	}
	claims, looked, counted := 0, 0, false
	for from, q := range all {
		claim := strings.HasPrefix(from, waitingColumns)
		counted = counted || strings.Contains(from, "FROM running l JOIN queue q")
		plan := postgresPlan(t, c.conn, q)
		for use := range strings.SplitSeq(plan, "->") {
			if !strings.Contains(use, "Scan") || !strings.Contains(use, "on queue") {
				continue
			}
			looked++
			waiting, ofProject := strings.Contains(use, "using queue_waiting"), strings.Contains(use, "using queue_of_project")
			if !strings.Contains(use, "Index Cond:") || waiting != claim || ofProject != (from == length) {
				t.Errorf("%s\nis planned so:\n%s", q, plan)
			}
		}
		if claim {
			claims++
			if strings.Contains(plan, "Sort") {
				t.Errorf("%s\nis planned so:\n%s", q, plan)
			}
		}
	}
	if claims != 4 || looked < 15 || !counted {
		t.Errorf("%d statements of claims and %d uses of the queue are compared, counting what has a limit %v", claims, looked, counted)
	}
}

var parameter = regexp.MustCompile(`\$\d+`)

// postgresPlan returns how PostgreSQL carries a statement out, whatever its parameters.
func postgresPlan(t *testing.T, c *sql.Conn, q string) string {
	t.Helper()
	numbers := map[string]bool{}
	for _, p := range parameter.FindAllString(q, -1) {
		numbers[p] = true
	}
	nulls := ""
	if len(numbers) > 0 {
		nulls = "(NULL" + strings.Repeat(", NULL", len(numbers)-1) + ")"
	}
	switch strings.Fields(q)[0] {
	case "BEGIN", "COMMIT", "ROLLBACK":
		return ""
	}
	if _, err := c.ExecContext(t.Context(), "PREPARE one AS "+q); err != nil {
		t.Fatalf("prepare %s: %v", q, err)
	}
	rows, err := c.QueryContext(t.Context(), "EXPLAIN EXECUTE one"+nulls)
	if err != nil {
		t.Fatalf("explain %s: %v", q, err)
	}
	var plan strings.Builder
	err = each(rows, func(r row) error {
		var line string
		err := r.Scan(&line)
		plan.WriteString(line + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.ExecContext(t.Context(), "DEALLOCATE one"); err != nil {
		t.Fatal(err)
	}
	return plan.String()
}
