//go:build linux

package oci_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/engine/enginetest"
	"github.com/mayfly-run/mayfly/test/testbed"
)

// TestI25_AStuckStartWithoutMayfly: a shim that reads a cache from a named pipe
// without a writer hangs. When mayfly is gone the shim ends anyway, and the next
// start removes what is left.
func TestI25_AStuckStartWithoutMayfly(t *testing.T) {
	h := testbed.Harness(t, testbed.Busybox(t))
	spec := h.Spec(enginetest.Sleep, "")
	caches := t.TempDir()
	if err := unix.Mkfifo(filepath.Join(caches, "c.tar"), 0o600); err != nil {
		t.Fatal(err)
	}
	spec.Mounts = append(spec.Mounts, engine.Mount{Kind: engine.MountCache, Target: "/cache", Folder: "caches", Path: "c"})
	shim, control, err := testbed.Engine(t).Orphan(spec, engine.Local{Image: h.Unpacked, Folders: map[string]string{"caches": caches}}, 200*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = shim.Wait() // the error is exit status 1
	}()
	t.Cleanup(func() {
		_ = shim.Process.Kill() // fails if it has ended
		<-ended
	})
	for end := time.Now().Add(time.Minute); !waitsForWriter(shim.Process.Pid); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the shim doesn't open the cache")
		}
	}
	if err := control.Close(); err != nil {
		t.Error(err)
	}
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("the shim doesn't end")
		_ = shim.Process.Kill()
		<-ended
	}
	if err := testbed.Engine(t).Sweep(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat("/run/mayfly/runs/" + spec.ID); !os.IsNotExist(err) {
		t.Errorf("the run's directory: got %v, want it removed", err)
	}
}

// waitsForWriter reports whether a thread of a process waits in the open of a named pipe.
func waitsForWriter(pid int) bool {
	files, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/wchan")
	return slices.ContainsFunc(files, func(file string) bool {
		data, _ := os.ReadFile(file)                                             // the thread may have ended
		return string(data) == "wait_for_partner" || string(data) == "fifo_open" // the compiler may have inlined the former into the latter
	})
}
