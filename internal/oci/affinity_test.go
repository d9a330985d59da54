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

// processors returns the processors of this process's cgroup, even if taskset(1) started it on fewer.
func processors(t *testing.T) string {
	t.Helper()
	var all unix.CPUSet
	for i := range len(all) * 64 {
		all.Set(i)
	}
	list := make(chan string)
	go func() {
		defer close(list)
		runtime.LockOSThread() // never unlocked: the thread ends with its goroutine
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

// TestStartsAtOnceLeaveTheirProcessor: a sandbox that starts at the same time as many others starts on one processor. The tool
// may run on all processors, and so may the shim once the tool runs. The tool has the usual timer slack.
func TestStartsAtOnceLeaveTheirProcessor(t *testing.T) {
	own, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		t.Fatal(err)
	}
	cpus, tools := field(string(own), "Cpus_allowed_list"), processors(t)
	// On a busy machine this process may run only when no start is in progress: try again.
	narrowed := false
	for deadline := time.Now().Add(testbed.Patience); !narrowed && time.Now().Before(deadline); {
		if narrowed = startManyAtOnce(t, cpus, tools); runtime.NumCPU() == 1 {
			return
		}
	}
	if !narrowed {
		t.Error("no shim stayed on one processor")
	}
}

// startManyAtOnce starts many sandboxes at the same time, and checks the processors of their tools, and then of their shims. It
// reports whether it has seen a shim that stayed on one processor.
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
				t.Errorf("the tool's processors: got %q, want %q", tool, tools)
			}
			if slack := field(stdout.String(), "slack"); slack != "50000" {
				t.Errorf("the tool's timer slack: got %s ns, want 50000", slack)
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
		t.Errorf("threads of running shims with processors other than %s: %v", cpus, narrow)
	}
	_ = end.Close() // never fails
	runs.Wait()
	return narrowed
}

// threadsElsewhere returns the threads of this process's shims that have processors other than cpus.
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
			continue // the thread has ended
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
