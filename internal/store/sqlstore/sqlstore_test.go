package sqlstore

import (
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/mayfly-run/mayfly/internal/store/storetest"
)

func TestSQLite(t *testing.T) {
	defer goleak.VerifyNone(t)
	storetest.Run(t, func(t *testing.T) storetest.Store {
		s, err := OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "a ?#%41.db"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return s
	})
}

// TestSQLiteHasNoOthers checks that nobody waits for other servers of a file.
func TestSQLiteHasNoOthers(t *testing.T) {
	s, err := OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "a.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Changed() != nil {
		t.Error("there is a channel")
	}
}
