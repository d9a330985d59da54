//go:build linux

package sqlstore

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/mayfly-run/mayfly/internal/audit"
	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/store/postgrestest"
)

// BenchmarkAccept has 64 clients ask for runs at once, with an entry of the audit log for each, and without.
func BenchmarkAccept(b *testing.B) {
	dir := b.TempDir()
	file, err := OpenSQLite(b.Context(), filepath.Join(dir, "a.db"))
	if err != nil {
		b.Fatal(err)
	}
	server := postgrestest.Start(b)
	address := server.Database(b)
	one, err := OpenPostgres(b.Context(), address, slog.Default())
	if err != nil {
		b.Fatal(err)
	}
	other, err := OpenPostgres(b.Context(), address, slog.Default())
	if err != nil {
		b.Fatal(err)
	}
	var n atomic.Int64
	for _, replicas := range [][]*Store{{file}, {one, other}} {
		name := "SQLite"
		if len(replicas) > 1 {
			name = "PostgreSQL"
		}
		for _, audited := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/audited=%v", name, audited), func(b *testing.B) {
				b.SetParallelism(32) // for each of two processors
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						i, ctx := n.Add(1), b.Context()
						id := fmt.Sprintf("%020d", i)
						if audited {
							ctx = store.Audited(ctx, &store.Pending{Entry: audit.Entry{
								Actor: "ada", Address: "192.0.2.7", Action: "create-run", Project: "p", Subject: "runs/" + id, Outcome: audit.OK, Details: map[string]string{"tool": "t"},
							}})
						}
						r := store.NewRun{ID: id, Project: "p", Tool: "t", Version: 1, Kind: "tool", Pool: "default", Request: []byte("{}")}
						if err := replicas[int(i)%len(replicas)].Accept(ctx, r, nil); err != nil {
							b.Error(err)
						}
					}
				})
			})
		}
	}
	for _, s := range []*Store{file, one, other} {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	}
}
