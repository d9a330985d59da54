//go:build linux

package security

import (
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/test/testbed"
)

// TestI24_Rootless checks that a tool of an ordinary user can ask the kernel for the same, and hold the same in it, as a tool of
// root.
func TestI24_Rootless(t *testing.T) {
	c := newRootless(t)
	try := func(args ...string) map[string]string {
		t.Helper()
		d := c.quiet("attack", "command: [attacker, \""+strings.Join(args, "\", \"")+"\"]\n")
		if d.code != 0 || d.stdout == "" {
			t.Fatalf("attacker %v: %+v", args, d)
		}
		return result{stdout: d.stdout}.lines()
	}
	t.Run("system calls", func(t *testing.T) { systemCallsAsDecided(t, try) })
	t.Run("options", func(t *testing.T) { optionsAsDecided(t, try) })
	t.Run("files", func(t *testing.T) { filesAsDecided(t, try("files", "/proc", "/sys")) })
	t.Run("masked files", func(t *testing.T) {
		masksHold(t, try(append([]string{"try"}, maskedPaths...)...), func(string) bool { return false })
	})
	t.Run("filters", func(t *testing.T) { filtersAreRefused(t, try("filters"), "EINVAL") })
	t.Run("queues", func(t *testing.T) { noQueueIsNobodys(t, try) })
	t.Run("locks", func(t *testing.T) { locksHaveAProcess(t, try) })
	for what, args := range map[string]string{"more sockets than its memory limit": "abandon", "more than 4096 locks": "locks, \"50000\", \"1\", end"} {
		t.Run(what, func(t *testing.T) {
			d := c.mayfly("run", c.tool("many", "resources: {memory: 64Mi}\ncommand: [attacker, "+args+"]\n"))
			if d.code != 137 || !strings.Contains(d.stderr, what) && !(testbed.Unified() && args == "abandon") || strings.Contains(d.stdout, "done") {
				t.Errorf("%+v", d)
			}
		})
	}
}
