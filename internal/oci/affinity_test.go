//go:build linux

package oci_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/engine/enginetest"
	"github.com/mayfly-run/mayfly/test/testbed"
)

// TestStartsAtOnceLeaveTheirProcessor: a sandbox that starts beside many others does so on one processor; the tool and, once
// it runs, the shim may run on all, and as precisely as ever.
func TestStartsAtOnceLeaveTheirProcessor(t *testing.T) {
	own, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		t.Fatal(err)
	}
	cpus := field(string(own), "Cpus_allowed_list")
	h := &enginetest.Harness{Engine: testbed.Engine(t), Image: testbed.Busybox(t), Args: enginetest.Shell}
	script := enginetest.Program{Name: "affinity", Shell: "cat /proc/self/status /proc/self/timerslack_ns; echo; read -r line"}
	var runs sync.WaitGroup
	started := make(chan string, 8*runtime.NumCPU())
	stdin, end := io.Pipe()
	for range cap(started) {
		runs.Go(func() {
			spec := h.Spec(script, "")
			var stdout bytes.Buffer
			s, err := h.Engine.Start(t.Context(), spec, nil, engine.Streams{Stdin: stdin, Stdout: &stdout})
			started <- spec.ID
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
			got, slack, _ := strings.Cut(stdout.String(), "\n50000\n")
			if tool := field(got, "Cpus_allowed_list"); tool != cpus || slack != "\n" {
				t.Errorf("the tool may run on processors %q, want %q:\n%s", tool, cpus, stdout.String())
			}
		})
	}
	for range cap(started) {
		<-started
	}
	var narrow []string
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if narrow = threadsElsewhere(t, cpus); len(narrow) == 0 {
			break
		}
	}
	if len(narrow) > 0 {
		t.Errorf("threads of running shims that may not run on %s: %v", cpus, narrow)
	}
	_ = end.Close() // it never fails
	runs.Wait()
}

// threadsElsewhere are the threads of all shims whose processors are others.
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
		if name := field(string(status), "Name"); name == "mayfly-shim" && field(string(status), "Cpus_allowed_list") != cpus {
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
