//go:build linux

package oci_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/oci/wire"
	"github.com/mayfly-run/mayfly/test/testbed"
)

// TestShimOfAnotherRelease: a shim refuses the request of a mayfly of another release. It reads the whole request, so that
// mayfly gets to read the answer, and ends.
func TestShimOfAnotherRelease(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	control, theirs := os.NewFile(uintptr(pair[0]), "shim"), os.NewFile(uintptr(pair[1]), "control")
	defer control.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	cmd := exec.CommandContext(t.Context(), filepath.Join(testbed.Bin(t), "mayfly-shim"), wire.Arguments(100000, 65536, wire.Anywhere)...)
	cmd.ExtraFiles = []*os.File{theirs, null, null, null, null, null}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	enc := json.NewEncoder(control)
	if err := enc.Encode(wire.Hello{Protocol: "1.none", Version: "v0.0.1"}); err != nil {
		t.Error(err)
	}
	// The request is larger than a socket's buffer, and has types that this shim doesn't know.
	if err := enc.Encode(map[string]any{"start": map[string]any{"spec": strings.Repeat("x", 8<<20)}}); err != nil {
		t.Errorf("send a request: %v", err)
	}
	var report wire.Report
	if err := json.NewDecoder(control).Decode(&report); err != nil || report.Failure == nil {
		t.Fatalf("got report %+v, %v, want a failure", report, err)
	}
	want := ", and mayfly, which started it, is v0.0.1: they don't work together; install all programs from the same release (mayfly version --all lists them)"
	if text := report.Failure.Err().Error(); !strings.HasPrefix(text, "mayfly-shim: it is version ") || !strings.HasSuffix(text, want) {
		t.Errorf("got %q, want it to end with %q", text, want)
	}
	control.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
