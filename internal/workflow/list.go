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

// These are statuses of runs that don't have a final state.
const (
	partial     run.State = "partial"     // the selected steps succeeded
	interrupted run.State = "interrupted" // it was killed
	damaged     run.State = "damaged"     // its journal can't be read
)

// Summary describes a run in a list.
type Summary struct {
	ID       string    `json:"id"`
	Workflow string    `json:"workflow"`
	File     string    `json:"file,omitempty"`
	Began    time.Time `json:"began"`
	// Status is the final state of the run, or one of: running if it is in progress, partial if steps were left out,
	// interrupted if it was killed, damaged if its journal can't be read.
	Status run.State `json:"status"`
	// Succeeded, Failed and Skipped count the steps by how they ended; a cancelled or timed-out step counts as failed.
	Succeeded int `json:"succeeded"`
	Failed    int `json:"failed"`
	Skipped   int `json:"skipped"`
}

// List returns the runs, the latest first.
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
			continue // it has been removed since
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
	ends := map[string]run.State{} // a step that started again counts by its last end
	for e, err := range entriesOf(f) {
		if err != nil {
			return s, err
		}
		switch e.Type {
		case EntryRun:
			if e.Run == nil {
				return s, errors.New("this is not a valid start of a run")
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
