package server

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/store"
)

// presentAge is when a run that waits hears of a runner that has connected to another server. What runners have is counted in the queue, which
// takes longer than to accept a run.
const presentAge = 200 * time.Millisecond

// present returns the runners that are there.
func (s *Server) present(ctx context.Context) ([]store.Runner, error) {
	return s.runners.get(ctx, "", func(ctx context.Context, _ []store.Runner) ([]store.Runner, error) {
		return s.store.Runners(ctx, s.lease)
	})
}

// changedRunners has the runners be read again.
func (s *Server) changedRunners() {
	s.runners.forget(func(string, []store.Runner) bool { return true })
}

// whyWaiting says which of a run's wishes no runner fulfils; it is "" if the run only has to wait.
func (s *Server) whyWaiting(ctx context.Context, pool string, needs []string, size store.Size) (string, error) {
	all, err := s.present(ctx)
	if err != nil {
		return "", err
	}
	return unfulfilled(all, pool, needs, size), nil
}

// runsOf are runs for people. Those that wait say why.
func (s *Server) runsOf(ctx context.Context, runs []store.Run) ([]api.Run, error) {
	out := make([]api.Run, len(runs))
	var all []store.Runner
	known := map[string]string{} // by what a run asks for: most ask for the same
	for i, r := range runs {
		out[i] = runOf(r)
		if r.Over || r.Runner != "" {
			continue
		}
		if len(known) == 0 {
			var err error
			if all, err = s.present(ctx); err != nil {
				return nil, err
			}
		}
		asked := fmt.Sprintf("%q %q %v", r.Pool, r.Needs, r.Size)
		why, ok := known[asked]
		if !ok {
			why = unfulfilled(all, r.Pool, r.Needs, r.Size)
			known[asked] = why
		}
		out[i].Waiting = why
	}
	return out, nil
}

// unfulfilled says what a run asks for that none of the runners has.
func unfulfilled(all []store.Runner, pool string, needs []string, size store.Size) string {
	var missing []string
	var fit []store.Runner // by their labels
	there := false
	for _, r := range all {
		if r.Pool != pool || r.Drain {
			continue
		}
		lacks := slices.DeleteFunc(slices.Clone(needs), func(n string) bool { return slices.Contains(r.Labels, n) })
		if len(lacks) == 0 {
			fit = append(fit, r)
		}
		if !there || len(lacks) < len(missing) {
			missing = lacks
		}
		there = true
	}
	if !there {
		return fmt.Sprintf("no runner of the pool %s is connected", pool)
	}
	if len(fit) > 0 {
		text := tooLarge(size, fit)
		if text != "" {
			text = fmt.Sprintf("no runner of the pool %s%s %s", pool, withLabels(withoutOwn(needs)), text)
		}
		return text
	}
	if slices.Contains(missing, needsKeeping) {
		return fmt.Sprintf("no runner of the pool %s%s keeps sandboxes; update one, start it with --keep-sandboxes, or leave keep_on_failure out", pool, withLabels(withoutOwn(needs)))
	}
	if slices.ContainsFunc(missing, isOwn) {
		return fmt.Sprintf("no runner of the pool %s%s is of a version that can carry the run out; update one", pool, withLabels(withoutOwn(needs)))
	}
	return fmt.Sprintf("no runner of the pool %s has the label %s", pool, strings.Join(missing, " and "))
}

func withLabels(needs []string) string {
	if len(needs) == 0 {
		return ""
	}
	return " with the label " + strings.Join(needs, " and ")
}
