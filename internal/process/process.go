//go:build linux

// Package process describes processes that don't end: what they wait for, and
// whether they have been killed. When mayfly or the shim gives up on such a
// process, it describes it with this package.
package process

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Overdue returns the error for a sandbox that took too long to do something,
// such as "start" or "end". It describes those of pids that still exist;
// otherwise the processes that wait for them.
func Overdue(doing string, since time.Time, pids []int, waiting ...int) error {
	said := Describe(pids...)
	if said == "" {
		said = Describe(waiting...)
	}
	return fmt.Errorf("the sandbox didn't %s in %s: %s; 'mayfly doctor' names what can't be killed", doing, time.Since(since).Round(10*time.Millisecond), said)
}

// Describe describes what each process is and where it waits, by the thread that
// explains most: "mayfly-shim (process 123) is in an uninterruptible wait (D) in
// bpf_prog_pack_free". It returns "" if none of them exists.
func Describe(pids ...int) string {
	var said []string
	for _, pid := range slices.Compact(slices.Sorted(slices.Values(pids))) {
		if s := describe(pid); s != "" {
			said = append(said, s)
		}
	}
	return strings.Join(said, "; ")
}

func describe(pid int) string {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil || len(tasks) == 0 {
		return ""
	}
	best := readTask(tasks[0])
	for _, dir := range tasks[1:] {
		if t := readTask(dir); t.rank() > best.rank() {
			best = t
		}
	}
	where := ""
	if best.waits != "" && best.waits != "0" {
		where = " in " + best.waits
	}
	return fmt.Sprintf("%s (process %d) is %s%s", best.name, pid, stateText(best.state), where)
}

// task is what proc(5) says about a thread.
type task struct {
	name  string
	state byte   // the letter in the State line of status
	waits string // the kernel function that it sleeps in; "0" if there is none or the kernel hides it (proc_pid_wchan(5))
}

func readTask(dir string) task {
	// The description leaves out what can't be read.
	name, _ := os.ReadFile(filepath.Join(dir, "comm"))
	waits, _ := os.ReadFile(filepath.Join(dir, "wchan"))
	t := task{name: strconv.QuoteToASCII(strings.TrimSpace(string(name))), waits: string(waits)}
	t.name = t.name[1 : len(t.name)-1]
	if state := statusLine(dir, "State:"); state != "" {
		t.state = state[0]
	}
	return t
}

// rank orders threads by how much they explain.
func (t task) rank() int {
	switch {
	case t.state == 'D':
		return 3
	case t.state == 'T' || t.state == 't' || t.state == 'Z':
		return 2
	case t.state == 'R':
		return 1
	}
	return 0
}

func stateText(state byte) string {
	text, known := map[byte]string{
		'D': "in an uninterruptible wait", 'T': "stopped", 't': "stopped by a debugger",
		'R': "running", 'S': "asleep", 'I': "idle", 'Z': "a zombie: it has ended, and its parent hasn't asked how",
	}[state]
	if !known {
		return "in an unknown state"
	}
	return fmt.Sprintf("%s (%c)", text, state)
}

// sigkill is the bit of SIGKILL in the masks of /proc/PID/status.
const sigkill = 1 << (9 - 1)

// Stuck reports whether a process has been killed and one of its threads is in
// an uninterruptible wait in the kernel. A process that is about to end may look
// stuck for a moment.
func Stuck(pid int) bool {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid)) // empty when the process has ended
	return slices.ContainsFunc(tasks, func(dir string) bool {
		return strings.HasPrefix(statusLine(dir, "State:"), "D") && (pending(dir, "SigPnd:") || pending(dir, "ShdPnd:"))
	})
}

func pending(dir, signals string) bool {
	mask, err := strconv.ParseUint(statusLine(dir, signals), 16, 64)
	return err == nil && mask&sigkill != 0
}

func statusLine(dir, name string) string {
	data, _ := os.ReadFile(filepath.Join(dir, "status"))
	for line := range bytes.Lines(data) {
		if value, ok := bytes.CutPrefix(line, []byte(name)); ok {
			return string(bytes.TrimSpace(value))
		}
	}
	return ""
}
