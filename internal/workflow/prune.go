package workflow

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/flock"
)

// keptRuns is the number of journals that are kept: those of the latest runs, whose ids sort by time.
const keptRuns = 100

// Prune removes the journals and artifacts of all except the latest runs. It skips runs in progress, and runs that another
// process removes at the same time. It continues after a run that can't be removed, and returns all errors.
func (r Runs) Prune() error {
	ids, err := r.ids()
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range ids[:max(0, len(ids)-keptRuns)] {
		if err := r.Remove(id); err != nil && !errors.Is(err, ErrRunning) && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// ids returns the ids of the runs that have a journal, the latest last.
func (r Runs) ids() ([]string, error) {
	entries, err := os.ReadDir(r.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list the runs: %w", err)
	}
	var ids []string
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), ".jsonl"); ok && e.Type().IsRegular() {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// Find returns the id of a run from the id or its beginning.
func (r Runs) Find(given string) (string, error) {
	if err := checkID(given); err != nil {
		return "", err
	}
	ids, err := r.ids()
	if err != nil {
		return "", err
	}
	var found []string
	for _, id := range ids {
		if id == given {
			return id, nil
		}
		if strings.HasPrefix(id, given) {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("there is no run %q of a workflow in %s; see: mayfly runs", given, r.Dir)
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("%q is the beginning of the ids of %d runs; write more of it: %s", given, len(found), strings.Join(found[:min(len(found), 3)], ", "))
}

// checkID refuses ids that would lead out of the directory of runs.
func checkID(id string) error {
	if id != filepath.Base(id) || strings.HasPrefix(id, ".") {
		return fmt.Errorf("%q is not the id of a run; see: mayfly runs", id)
	}
	return nil
}

// Remove removes the journal and the artifacts of a run. The error is ErrRunning if the run is in progress.
func (r Runs) Remove(id string) error {
	if err := checkID(id); err != nil {
		return err
	}
	f, err := os.Open(r.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return &noRunError{id, r.Dir}
	}
	if err != nil {
		return fmt.Errorf("remove run %s: %w", id, err)
	}
	defer f.Close()
	if err := lock(f, flock.Exclusive); err != nil {
		return fmt.Errorf("run %s: %w", id, err)
	}
	// mayfly-shim made the artifacts' files in its own folders, so nothing is mounted there.
	err = os.Remove(r.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // another process has removed it since it was opened
	}
	if err := errors.Join(os.RemoveAll(r.ArtifactDir(id)), err); err != nil {
		return fmt.Errorf("remove run %s: %w", id, err)
	}
	return nil
}
