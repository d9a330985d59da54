package sqlstore

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/store"
)

// TestClaimPassesProjects has more runs in some projects than one claim reads, none of them for the runner: that of the last project
// gets its turn.
func TestClaimPassesProjects(t *testing.T) {
	s := openSQLite(t)
	add := func(project, id string, size store.Size) {
		t.Helper()
		err := s.Accept(t.Context(), store.NewRun{ID: id, Project: project, Tool: "t", Kind: "tool", Pool: "p", Size: size, Request: []byte("{}")}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	add("a", "a", store.Size{Memory: 2})
	add("b", "b", store.Size{})
	copied := `INSERT INTO queue SELECT %s FROM queue, (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < ?) SELECT i FROM n) WHERE run = 'a'`
	names := ""
	err := s.write(t.Context(), func(ctx context.Context, tx *tx) error {
		return tx.rows(ctx, func(rows row) error {
			var name string
			err := rows.Scan(&name)
			if names != "" {
				names += ", "
			}
			if name == "run" {
				name = "run || i"
			}
			names += name
			return err
		}, `SELECT name FROM pragma_table_info('queue')`)
	})
	if err != nil {
		t.Fatal(err)
	}
	err = s.write(t.Context(), func(ctx context.Context, tx *tx) error {
		_, err := tx.exec(ctx, fmt.Sprintf(copied, names), 2*mostLooked)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Claim(t.Context(), store.Claim{Lessee: store.Lessee{Runner: "r", Lease: time.Minute}, Pool: "p", Free: store.Size{Memory: 1}, Most: 1})
	if err != nil || len(got) != 1 || got[0].Run != "b" {
		t.Errorf("got %+v, %v", got, err)
	}
}
