//go:build linux

package oci_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/engine/enginetest"
	"github.com/mayfly-run/mayfly/internal/oci"
	"github.com/mayfly-run/mayfly/test/testbed"
)

// TestI25_AToolThatCantBeKilled freezes a tool. On cgroup v1 a frozen process
// ignores SIGKILL, like a process that waits in the kernel. The run ends with an
// error that says what it waits for, and another run isn't delayed.
func TestI25_AToolThatCantBeKilled(t *testing.T) {
	engineUnderTest := testbed.Engine(t)
	engineUnderTest.EndWithin(500 * time.Millisecond)
	engineUnderTest.KillWithin(500 * time.Millisecond)
	h := testbed.HarnessOf(engineUnderTest, testbed.Busybox(t))
	spec := h.Spec(enginetest.Sleep, "")
	s, err := h.Start(t.Context(), spec, nil, engine.Streams{})
	if err != nil {
		t.Fatal(err)
	}
	group, v1 := "/sys/fs/cgroup/freezer/mayfly/"+spec.ID, true
	file, frozen, thawed := "freezer.state", "FROZEN", "THAWED"
	if _, err := os.Stat(group); err != nil {
		group, v1, file, frozen, thawed = "/sys/fs/cgroup/mayfly/"+spec.ID, false, "cgroup.freeze", "1", "0"
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(group, file), []byte(text), 0); err != nil {
			t.Error(err)
		}
	}
	write(frozen)
	thawOnce := sync.OnceFunc(func() {
		if v1 { // on v2 the tool has ended, and its cgroup is gone
			write(thawed)
		}
	})
	t.Cleanup(thawOnce)
	go func() {
		for range s.Events() {
		}
	}()
	if err := s.Signal(engine.SIGKILL); err != nil {
		t.Error(err)
	}
	exit, err := s.Wait()
	if !v1 {
		if err != nil || exit.Signal != engine.SIGKILL {
			t.Errorf("got %+v, %v, want an end by KILL", exit, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		return
	}
	if err == nil || !strings.Contains(err.Error(), "didn't end in ") || !strings.Contains(err.Error(), "(D) in ") {
		t.Error(err)
	}
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), "a killed process doesn't end") {
		t.Error(err)
	}
	engineUnderTest.EndWithin(time.Hour)
	engineUnderTest.KillWithin(time.Hour)
	nextRunDoesNotWait(t, h)
	if err := engineUnderTest.Sweep(); err == nil || !strings.Contains(err.Error(), "run "+spec.ID) {
		t.Errorf("sweep: %v", err)
	}
	firstSweepWaits(t, engineUnderTest, spec.ID, thawOnce)
}

// firstSweepWaits checks that the first sweep that finds a run waits for its processes: a process that is about to end looks
// stuck for a moment.
func firstSweepWaits(t *testing.T, e *oci.Engine, id string, thaw func()) {
	t.Helper()
	if err := os.Truncate("/run/mayfly/runs/"+id+"/lock", 0); err != nil {
		t.Fatal(err)
	}
	swept := make(chan error, 1)
	go func() { swept <- e.Sweep() }()
	select {
	case err := <-swept:
		t.Fatalf("it doesn't wait: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	thaw()
	if err := <-swept; err != nil {
		t.Fatal(err)
	}
	if err := unix.Access("/run/mayfly/runs/"+id, unix.F_OK); err == nil {
		t.Error("the run's directory still exists")
	}
}

// nextRunDoesNotWait runs a tool while another can't be killed: its start sweeps what it can, and doesn't wait.
func nextRunDoesNotWait(t *testing.T, h *enginetest.Harness) {
	t.Helper()
	s, err := h.Start(t.Context(), h.Spec(enginetest.Exit, "0"), nil, engine.Streams{})
	if err != nil {
		t.Fatal(err)
	}
	for range s.Events() {
	}
	if exit, err := s.Wait(); err != nil || exit.Code != 0 {
		t.Errorf("got %+v, %v, want exit status 0", exit, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
