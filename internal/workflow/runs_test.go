package workflow

import (
	"errors"
	"io/fs"
	"os"
	"strings"
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
		if err != nil && !errors.Is(err, ErrRunning) && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if t.Failed() {
			return
		}
	}
}

func TestRemoveOfAMissingRun(t *testing.T) {
	err := Runs{Dir: t.TempDir()}.Remove("r")
	if !errors.Is(err, fs.ErrNotExist) || !strings.HasSuffix(err.Error(), "; see: mayfly runs") {
		t.Error(err)
	}
}
