//go:build linux

package oci_test

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/engine/enginetest"
	"github.com/mayfly-run/mayfly/internal/oci"
	"github.com/mayfly-run/mayfly/internal/oci/wire"
	"github.com/mayfly-run/mayfly/test/testbed"
)

// keptSandbox runs a shell script that fails, and returns its kept sandbox.
func keptSandbox(t *testing.T, text string) (e *oci.Engine, s engine.Sandbox, id string) {
	t.Helper()
	e = testbed.Engine(t)
	h := testbed.HarnessOf(e, testbed.Busybox(t))
	spec := h.Spec(enginetest.Exit, "3")
	spec.Args, spec.KeepFor = []string{"/bin/sh", "-c", text}, 10*time.Minute
	s, err := h.Start(t.Context(), spec, nil, engine.Streams{})
	if err != nil {
		t.Fatal(err)
	}
	for range s.Events() {
	}
	if exit, err := s.Wait(); err != nil || !exit.Kept {
		t.Fatalf("got %+v, %v, want a kept sandbox", exit, err)
	}
	return e, s, spec.ID
}

// shimOf returns the id of a run's shim: the process named mayfly-shim in the run's cgroups.
func shimOf(t *testing.T, id string) int {
	t.Helper()
	found, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range found {
		groups, _ := os.ReadFile(path) // the process may have ended
		name, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "comm"))
		if strings.Contains(string(groups), id) && strings.TrimSpace(string(name)) == "mayfly-shim" {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatalf("run %s has no shim", id)
	return 0
}

// TestI25_AShellHasADeadline: if the shim of a kept sandbox doesn't answer, a shell and a removal end with an error that names
// the shim.
func TestI25_AShellHasADeadline(t *testing.T) {
	e, s, id := keptSandbox(t, "exit 3")
	shim := shimOf(t, id)
	if err := unix.Kill(shim, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	e.StartWithin(100 * time.Millisecond)
	e.EndWithin(100 * time.Millisecond)
	want := func(doing string) *regexp.Regexp {
		return regexp.MustCompile(`^the sandbox didn't ` + doing + ` in \S+: mayfly-shim \(process ` + strconv.Itoa(shim) + `\) is stopped`)
	}
	if _, err := e.Shell(id, []string{"/bin/true"}, nil, engine.Streams{}); err == nil || !want("start a shell").MatchString(err.Error()) {
		t.Error(err)
	}
	if err := e.RemoveKept(id); err == nil || !want("end").MatchString(err.Error()) {
		t.Error(err)
	}
	if err := unix.Kill(shim, unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	e.EndWithin(time.Hour)
	// The removal above may have removed it already.
	if err := s.Remove(); err != nil && !strings.Contains(err.Error(), "has no kept sandbox") {
		t.Error(err)
	}
}

// TestOneShellAtATime: a second shell is refused immediately, and a removal ends the open shell.
func TestOneShellAtATime(t *testing.T) {
	e, s, id := keptSandbox(t, "exit 3")
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	ended := make(chan error, 1)
	go func() {
		defer writer.Close()
		_, err := e.Shell(id, []string{"/bin/sh", "-c", "echo open; exec sleep 1000"}, nil, engine.Streams{Stdout: writer})
		ended <- err
	}()
	if _, err := reader.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := e.Shell(id, []string{"/bin/echo", "second"}, nil, engine.Streams{Stdout: &out}); err == nil || !strings.Contains(err.Error(), "only one can be") || out.Len() > 0 {
		t.Errorf("a second shell: got %v, %q, want it refused", err, out.String())
	}
	if err := s.Remove(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "the shell is ended: the sandbox is removed") {
		t.Error(err)
	}
}

// TestShellInAFullSandbox: shells start even if the tool has used up its number of files, and leave nothing on the host.
func TestShellInAFullSandbox(t *testing.T) {
	e, s, id := keptSandbox(t, "cd /tmp; i=0; while { : > f$i; } 2>/dev/null; do i=$((i+1)); done; exit 3")
	for range 2 {
		var out bytes.Buffer
		if code, err := e.Shell(id, []string{"/bin/echo", "in"}, nil, engine.Streams{Stdout: &out}); err != nil || code != 0 || out.String() != "in\n" {
			t.Errorf("got %d, %v, %q, want 0 and \"in\"", code, err, out.String())
		}
	}
	if err := s.Remove(); err != nil {
		t.Error(err)
	}
}

// TestShellsThatAskNothing: connections without a request, and requests without a command, don't delay other shells.
func TestShellsThatAskNothing(t *testing.T) {
	e, s, id := keptSandbox(t, "exit 3")
	socket := filepath.Join("/run/mayfly/runs", id, wire.SocketName)
	for range 10 {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	start := time.Now()
	if _, err := e.Shell(id, nil, nil, engine.Streams{}); err == nil || !strings.Contains(err.Error(), "the request for a shell names no command") {
		t.Error(err)
	}
	if code, err := e.Shell(id, []string{"/bin/true"}, nil, engine.Streams{}); err != nil || code != 0 {
		t.Error(code, err)
	}
	if took := time.Since(start); took > testbed.Patience/2 {
		t.Errorf("the shells took %v, want at most %v", took, testbed.Patience/2)
	}
	if err := s.Remove(); err != nil {
		t.Error(err)
	}
}
