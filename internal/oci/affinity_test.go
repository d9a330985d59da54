//go:build linux

package oci_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/engine/enginetest"
	"github.com/mayfly-run/mayfly/test/testbed"
)

// processors are those of this process's cgroup, whichever of them it was started on (taskset(1)).
func processors(t *testing.T) string {
	t.Helper()
	var all unix.CPUSet
	for i := range len(all) * 64 {
		all.Set(i)
	}
	list := make(chan string)
	go func() {
		defer close(list)
		runtime.LockOSThread() // and never unlocks: the thread ends with its goroutine
		if err := unix.SchedSetaffinity(0, &all); err != nil {
			t.Error(err)
			return
		}
		own, err := os.ReadFile("/proc/thread-self/status")
		if err != nil {
			t.Error(err)
			return
		}
		list <- field(string(own), "Cpus_allowed_list")
	}()
	return <-list
}

// TestStartsAtOnceLeaveTheirProcessor: a sandbox that starts beside many others does so on one processor; the tool and, once
// it runs, the shim may run on all, and the tool has the precise timers of any process.
func TestStartsAtOnceLeaveTheirProcessor(t *testing.T) {
	own, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		t.Fatal(err)
	}
	cpus, tools := field(string(own), "Cpus_allowed_list"), processors(t)
	// On a busy machine this process may get to look only when no start is under way: try again.
	narrowed := false
	for deadline := time.Now().Add(testbed.Patience); !narrowed && time.Now().Before(deadline); {
		if narrowed = startManyAtOnce(t, cpus, tools); runtime.NumCPU() == 1 {
			return
		}
	}
	if !narrowed {
		t.Error("no shim stayed on a processor")
	}
}

// startManyAtOnce checks where the tools of many sandboxes run, and their shims afterwards. It reports whether it has seen
// a shim that stayed on a processor.
func startManyAtOnce(t *testing.T, cpus, tools string) (narrowed bool) {
	t.Helper()
	h := testbed.Harness(t, testbed.Busybox(t))
	script := enginetest.Program{Name: "affinity", Shell: "cat /proc/self/status; echo slack: $(cat /proc/self/timerslack_ns); read -r line"}
	var runs sync.WaitGroup
	started := make(chan struct{}, 8*runtime.NumCPU())
	stdin, end := io.Pipe()
	for range cap(started) {
		runs.Go(func() {
			spec := h.Spec(script, "")
			var stdout bytes.Buffer
			s, err := h.Start(t.Context(), spec, nil, engine.Streams{Stdin: stdin, Stdout: &stdout})
			started <- struct{}{}
			if err != nil {
				t.Error(err)
				return
			}
			for range s.Events() {
			}
			if _, err := s.Wait(); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if tool := field(stdout.String(), "Cpus_allowed_list"); tool != tools {
				t.Errorf("the tool may run on processors %q, want %q", tool, tools)
			}
			if slack := field(stdout.String(), "slack"); slack != "50000" {
				t.Errorf("the tool has a timer slack of %s ns", slack)
			}
		})
	}
	for left := cap(started); left > 0; {
		select {
		case <-started:
			left--
		default:
			narrowed = narrowed || len(threadsElsewhere(t, cpus)) > 0
		}
	}
	var narrow []string
	for deadline := time.Now().Add(testbed.Patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if narrow = threadsElsewhere(t, cpus); len(narrow) == 0 {
			break
		}
	}
	if len(narrow) > 0 {
		t.Errorf("threads of running shims that may not run on %s: %v", cpus, narrow)
	}
	_ = end.Close() // it never fails
	runs.Wait()
	return narrowed
}

// threadsElsewhere are the threads of this process's shims whose processors are others.
func threadsElsewhere(t *testing.T, cpus string) []string {
	t.Helper()
	statuses, err := filepath.Glob("/proc/[0-9]*/task/*/status")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, path := range statuses {
		status, err := os.ReadFile(path)
		if err != nil {
			continue // it ended
		}
		name, parent := field(string(status), "Name"), field(string(status), "PPid")
		if name == "mayfly-shim" && parent == strconv.Itoa(os.Getpid()) && field(string(status), "Cpus_allowed_list") != cpus {
			found = append(found, path)
		}
	}
	return found
}

func field(status, name string) string {
	for line := range strings.Lines(status) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
