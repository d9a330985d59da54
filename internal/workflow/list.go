package workflow

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/mayfly-run/mayfly/internal/run"
)

// Interrupted is the status of a run that was killed before its end.
const Interrupted run.State = "interrupted"

// Summary is what a list shows of a run.
type Summary struct {
	ID       string    `json:"id"`
	Workflow string    `json:"workflow"`
	File     string    `json:"file,omitempty"`
	Began    time.Time `json:"began"`
	// Status is how it ended: run.Running when it is under way, Interrupted when it was killed.
	Status run.State `json:"status"`
	// Succeeded is the number of its steps that did.
	Succeeded int `json:"succeeded"`
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
		if err != nil {
			return nil, fmt.Errorf("read the journal %s: %w", r.path(id), err)
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
	lines := bufio.NewReaderSize(f, 64<<10)
	succeeded := map[string]bool{}
	for {
		line, err := readLine(lines)
		if err != nil {
			break // the end, or a line that a kill has cut
		}
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return s, fmt.Errorf("a line is damaged: %w", err)
		}
		switch e.Type {
		case entryRun:
			s.Workflow, s.File, s.Began = e.Run.Workflow, e.Run.File, e.Time
		case entryResume:
			s.Status = ""
		case entryEnd:
			s.Status = e.Status
		case entryStep:
			if e.Status == run.Succeeded && e.Item == nil {
				succeeded[e.Step] = true
			}
		}
	}
	s.Succeeded = len(succeeded)
	if s.Status == "" {
		s.Status = Interrupted
		if errors.Is(lock(f), ErrRunning) {
			s.Status = run.Running
		}
	}
	return s, nil
}
