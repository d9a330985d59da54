//go:build linux

package security

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/test/testbed"
)

// TestI14_ForkBombs runs two fork bombs, the attacker's and one in shell, beside a run that must go on with its work.
func TestI14_ForkBombs(t *testing.T) {
	b := newBox(t)
	neighbour := b.mustStart(b.shell("while :; do true | true; echo tick; sleep 0.05; done"))
	neighbour.stdout.until(t, "tick")
	for name, args := range map[string][]string{
		"attacker": {"attacker", "forkbomb"},
		"shell":    {"sh", "-c", "f() { f | f & }; while :; do f; done"},
	} {
		spec := b.spec(args...)
		spec.Resources.PIDs = 40
		limit := 40 + b.engine.Processes
		l := b.mustStart(spec)
		most, refused, ended := 0, false, false
		before := strings.Count(neighbour.stdout.String(), "tick")
		ticks := func() int { return strings.Count(neighbour.stdout.String(), "tick") - before }
		began := time.Now()
		// A program that gives up at the first refusal ends, and its cgroup disappears before it can be read.
		for ; time.Since(began) < 1500*time.Millisecond || time.Since(began) < testbed.Patience && (ticks() < 3 || !refused && !ended); time.Sleep(20 * time.Millisecond) {
			most = max(most, counter(t, l.id, "pids.current"))
			refused = refused || counter(t, l.id, "pids.events") > 0
			select {
			case <-l.ended:
				ended = true
			default:
			}
		}
		if most > limit {
			t.Errorf("%s: it has up to %d processes; the limit is %d", name, most, limit)
		}
		if n := ticks(); n < 3 {
			t.Errorf("%s: the neighbour made %d steps", name, n)
		}
		if err := l.sandbox.Signal(engine.SIGKILL); err != nil {
			t.Error(err)
		}
		r, err := l.wait()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !r.TooManyProcesses {
			t.Errorf("%s: the limit was never met", name)
		}
	}
	if err := neighbour.close(); err != nil {
		t.Error(err)
	}
}

// counter returns the last number in a file of a run's pids cgroup, or 0 if the cgroup doesn't exist.
func counter(t *testing.T, id, file string) int {
	t.Helper()
	for _, dir := range []string{"/sys/fs/cgroup/pids/mayfly", "/sys/fs/cgroup/mayfly"} {
		data, err := os.ReadFile(filepath.Join(dir, id, file))
		if err != nil {
			continue
		}
		fields := strings.Fields(string(data))
		n, err := strconv.Atoi(fields[len(fields)-1])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return 0
}
