//go:build linux

package sqlstore

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/mayfly-run/mayfly/internal/store/postgrestest"
	"github.com/mayfly-run/mayfly/internal/store/storetest"
)

// openPostgres opens a database, and closes it at the end of the test.
func openPostgres(t *testing.T, address string) *Store {
	t.Helper()
	s, err := OpenPostgres(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestPostgres(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	server := postgrestest.Start(t)
	storetest.Run(t, func(t *testing.T) storetest.Store { return openPostgres(t, server.Database(t)) })
	// Two servers on one database.
	for name, test := range map[string]func(*testing.T, ...storetest.Store){
		"ManyWriters": storetest.ManyWriters, "SameAtOnce": storetest.SameAtOnce, "ClaimsAtOnce": storetest.ClaimsAtOnce,
	} {
		t.Run("Replicas/"+name, func(t *testing.T) {
			address := server.Database(t)
			test(t, openPostgres(t, address), openPostgres(t, address))
		})
	}
	t.Run("Migrations", func(t *testing.T) { migrateAtOnce(t, server.Database(t)) })
}

// migrateAtOnce opens a new database several times at once.
func migrateAtOnce(t *testing.T, address string) {
	errs := make(chan error)
	const servers = 4
	for range servers {
		go func() {
			s, err := OpenPostgres(t.Context(), address)
			if err == nil {
				err = s.Close()
			}
			errs <- err
		}()
	}
	for range servers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
