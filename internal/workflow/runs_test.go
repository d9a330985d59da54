package workflow

import (
	"errors"
	"os"
	"sync"
	"testing"

	"github.com/mayfly-run/mayfly/internal/run"
)

// TestOpenOfARunThatIsRemoved checks that a run is opened or removed, and not both: what is appended would be lost.
func TestOpenOfARunThatIsRemoved(t *testing.T) {
	runs := Runs{Dir: t.TempDir()}
	for range 2000 {
		id := run.NewID()
		j, err := runs.Create(Header{ID: id})
		if err == nil {
			err = j.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		var removal error
		var both sync.WaitGroup
		both.Go(func() { removal = runs.Remove(id) })
		j, err = runs.Open(id)
		if err == nil {
			if _, gone := os.Stat(runs.path(id)); gone != nil {
				t.Errorf("the run is open, and its journal is gone")
			}
			err = j.Close()
		}
		both.Wait()
		if removal != nil && !errors.Is(removal, ErrRunning) {
			t.Fatal(removal)
		}
		if err != nil && removal != nil && !errors.Is(err, ErrRunning) {
			t.Fatal(err, removal)
		}
		if t.Failed() {
			return
		}
	}
}
