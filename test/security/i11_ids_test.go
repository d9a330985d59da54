//go:build linux

package security

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// TestI11_RunsAtOnceHaveIDsOfTheirOwn starts 20 runs, and checks that the ranges of host ids of their processes are different.
// If a sandbox has a kernel of its own, ids belong to that kernel; the test checks that its process on the host is restricted.
func TestI11_RunsAtOnceHaveIDsOfTheirOwn(t *testing.T) {
	b := newBox(t)
	const runs = 20
	lives := make([]*live, runs)
	var starts sync.WaitGroup
	for i := range runs {
		starts.Go(func() {
			spec := b.shell("echo ready; sleep 300")
			spec.User = "1000:1000"
			l, err := b.start(spec, nil, nil)
			if err != nil {
				t.Error(err)
				return
			}
			lives[i] = l
			t.Cleanup(func() { _ = l.sandbox.Close() }) // it is closed below, unless the test ends before
		})
	}
	starts.Wait()
	taken := map[int]string{} // the run of each range, by the number of the range
	for _, l := range lives {
		if l == nil {
			continue
		}
		l.stdout.until(t, "ready")
		pids := pidsOf(t, l.id)
		if len(pids) == 0 {
			t.Errorf("run %s has no processes", l.id)
		}
		if b.engine.OwnKernel {
			checkSentryPrivileges(t, pids)
			continue
		}
		for _, pid := range pids {
			for _, kind := range []string{"uid_map", "gid_map"} {
				data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, kind))
				if err != nil {
					t.Fatal(err)
				}
				f := strings.Fields(string(data))
				if len(f) != 3 || f[0] != "0" || f[2] != "65536" {
					t.Fatalf("%s of process %d is %q", kind, pid, data)
				}
				first, err := strconv.Atoi(f[1])
				if err != nil || first < 1<<30 || first%65536 != 0 {
					t.Errorf("%s of process %d begins with %s", kind, pid, f[1])
				}
				if owner, twice := taken[first/65536]; twice && owner != l.id {
					t.Errorf("runs %s and %s have the same ids", owner, l.id)
				}
				taken[first/65536] = l.id
			}
			// Real, effective, saved and file system ids, as the host sees them.
			if got := field(t, pid, "Uid"); !allAbove(got, 1<<30) {
				t.Errorf("process %d has user ids %v", pid, got)
			}
		}
	}
	if len(taken) != runs && !b.engine.OwnKernel {
		t.Errorf("%d ranges for %d runs", len(taken), runs)
	}
	for _, l := range lives {
		if l == nil {
			continue
		}
		if err := l.close(); err != nil {
			t.Error(err)
		}
	}
}

// checkSentryPrivileges checks gVisor's sentry, the process that executes a tool's system calls: it has no capability except
// CAP_SYS_PTRACE, by which it controls its tool's processes, can't gain any, and has a filter of system calls.
func checkSentryPrivileges(t *testing.T, pids []int) {
	t.Helper()
	const ptrace = 1 << 19 // CAP_SYS_PTRACE (capabilities(7))
	sentries := 0
	for _, pid := range pids {
		command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // it may have ended
		if !strings.HasPrefix(string(command), "runsc-sandbox\x00") {
			continue
		}
		sentries++
		for name, want := range map[string]string{"CapInh": "0", "CapAmb": "0", "CapEff": fmt.Sprintf("%x", ptrace), "CapBnd": fmt.Sprintf("%x", ptrace), "NoNewPrivs": "1", "Seccomp": "2"} {
			got := strings.TrimLeft(statusLine(t, pid, name), "0")
			if want = strings.TrimLeft(want, "0"); got != want {
				t.Errorf("process %d: %s is %q, want %q", pid, name, got, want)
			}
		}
	}
	if sentries == 0 {
		t.Errorf("none of its processes %v is gVisor's kernel", pids)
	}
}

// field returns the numbers of a field in /proc/PID/status.
func field(t *testing.T, pid int, name string) []int {
	t.Helper()
	var out []int
	for text := range strings.FieldsSeq(statusLine(t, pid, name)) {
		if n, err := strconv.Atoi(text); err == nil {
			out = append(out, n)
		}
	}
	return out
}

// statusLine reads a line of /proc/PID/status.
func statusLine(t *testing.T, pid int, name string) string {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(rest)
		}
	}
	t.Fatalf("no %s of process %d", name, pid)
	return ""
}

func allAbove(numbers []int, least int) bool {
	for _, n := range numbers {
		if n < least {
			return false
		}
	}
	return len(numbers) > 0
}

// parentOf returns the parent of a process, or 0 if the process has ended.
func parentOf(pid int) int {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(data), "\nPPid:")
	line, _, _ := strings.Cut(rest, "\n")
	parent, _ := strconv.Atoi(strings.TrimSpace(line))
	return parent
}
