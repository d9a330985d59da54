//go:build linux

package security

import (
	"errors"
	"syscall"
	"testing"
	"time"
)

// TestI18_KilledProcessesLeaveNothing kills mayfly, the shim, both, the holder, and all three, each with tools that resist their
// end.
func TestI18_KilledProcessesLeaveNothing(t *testing.T) {
	killRuns(t, newCLI(t))
}

// killRuns does so for root or for an ordinary user.
func killRuns(t *testing.T, c *cli) {
	t.Helper()
	for _, how := range stubbornWays {
		if how == "orphans" {
			continue // it ends by itself
		}
		path := c.tool("stubborn-"+how, "command: [attacker, stubborn, "+how+"]\n")
		for _, kinds := range [][]string{{"mayfly"}, {"shim"}, {"holder"}, {"mayfly", "shim"}, {"shim", "mayfly"}, {"holder", "mayfly", "shim"}} {
			r := c.startRun(path, "ready")
			pids := map[string]int{"mayfly": r.cmd.Process.Pid, "shim": r.process("shim"), "holder": r.process("holder")}
			all := append([]int{pids["mayfly"], pids["shim"], pids["holder"]}, pidsOf(t, r.id)...)
			swept := false
			for _, kind := range kinds {
				// If several are killed at once, none may have the time to clean up, and the death of one may have ended the next.
				if err := syscall.Kill(pids[kind], syscall.SIGKILL); err != nil && !(errors.Is(err, syscall.ESRCH) && swept) {
					t.Fatal(err)
				}
				swept = len(kinds) > 1
			}
			r.wait()
			if swept {
				time.Sleep(100 * time.Millisecond)
				// The next start removes what a killed process couldn't remove.
				if d := c.mayfly("run", c.tool("next", "command: [sh, -c, exit 0]\n"), "--quiet"); d.code != 0 {
					t.Errorf("%s: the next run: %+v", how, d)
				}
			}
			r.nothingLeft(all...)
			if t.Failed() {
				t.Fatalf("%s: after the end of %v", how, kinds)
			}
		}
	}
}

// TestI18_AnInterruptedRunLeavesNothing interrupts a run, which gets TERM, and KILL after the grace period. A second interrupt
// kills it immediately.
func TestI18_AnInterruptedRunLeavesNothing(t *testing.T) {
	c := newCLI(t)
	path := c.tool("stubborn", "command: [attacker, stubborn, setsid]\n")
	for _, twice := range []bool{false, true} {
		grace := "--grace=300ms"
		if twice {
			grace = "--grace=1h"
		}
		r := c.startRun(path, "ready", grace)
		_ = r.cmd.Process.Signal(syscall.SIGINT)
		if twice {
			time.Sleep(500 * time.Millisecond) // an earlier one would count as the same interrupt, such as that of timeout(1)
			_ = r.cmd.Process.Signal(syscall.SIGINT)
		}
		r.wait()
		if code := r.cmd.ProcessState.ExitCode(); code != 130 {
			t.Errorf("exit status %d", code)
		}
		r.nothingLeft(r.cmd.Process.Pid)
	}
}
