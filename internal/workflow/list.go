package workflow

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/mayfly-run/mayfly/internal/flock"
	"github.com/mayfly-run/mayfly/internal/run"
)

// The statuses of runs that came to no end of their own.
const (
	partial     run.State = "partial"     // the steps that were asked for succeeded
	interrupted run.State = "interrupted" // it was killed
	damaged     run.State = "damaged"     // its journal can't be read
)

// Summary is what a list shows of a run.
type Summary struct {
	ID       string    `json:"id"`
	Workflow string    `json:"workflow"`
	File     string    `json:"file,omitempty"`
	Began    time.Time `json:"began"`
	// Status is how it ended: running when it is under way, partial when
	// steps were left out, interrupted when it was killed, damaged when its journal can't
	// be read.
	Status run.State `json:"status"`
	// Succeeded, Failed and Skipped count its steps by how they ended; one that was cancelled or timed out counts as failed.
	Succeeded int `json:"succeeded"`
	Failed    int `json:"failed"`
	Skipped   int `json:"skipped"`
}

// List lists the runs, the latest first. No output of a step is read.
func (r Runs) List() ([]Summary, error) {
	ids, err := r.ids()
	if err != nil {
		return nil, err
	}
	slices.Reverse(ids)
	out := make([]Summary, 0, len(ids))
	for _, id := range ids {
		s, err := r.summary(id)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			s.Status = damaged
		}
		out = append(out, s)
	}
	return out, nil
}

func (r Runs) summary(id string) (Summary, error) {
	s := Summary{ID: id}
	f, err := os.Open(r.path(id))
	if err != nil {
		return s, err
	}
	defer f.Close()
	ends := map[string]run.State{} // a step that began again counts by how that ends
	for e, err := range entriesOf(f) {
		if err != nil {
			return s, err
		}
		switch e.Type {
		case EntryRun:
			if e.Run == nil {
				return s, errors.New("it is not the beginning of a run")
			}
			s.Workflow, s.File, s.Began = e.Run.Workflow, e.Run.File, e.Time
		case EntryResume:
			s.Status = ""
		case EntryEnd:
			s.Status = e.Status
		case EntryStep:
			if e.Item == nil && e.Status != "" {
				ends[e.Step] = e.Status
			}
		}
	}
	for _, status := range ends {
		switch status {
		case run.Succeeded:
			s.Succeeded++
		case run.Skipped:
			s.Skipped++
		default:
			s.Failed++
		}
	}
	if s.Status == "" {
		s.Status = interrupted
		// A shared lock, for a moment: it keeps nobody from asking the same.
		if errors.Is(lock(f, flock.Shared), ErrRunning) {
			s.Status = run.Running
		}
	}
	return s, nil
}
