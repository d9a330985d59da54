//go:build linux

package security

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/test/testbed"
)

// TestI25_CtrlCDuringAStart interrupts a run whose shim answers nothing: it ends
// as cancelled, soon, and nothing is left. That a start and an end have a
// deadline, and what can't be killed, is tested in internal/oci.
func TestI25_CtrlCDuringAStart(t *testing.T) {
	c := newCLI(t)
	programs := t.TempDir()
	testbed.OwnPrograms(programs)
	mayfly, err := os.ReadFile(filepath.Join(testbed.Bin(t), "mayfly"))
	if err != nil {
		t.Fatal(err)
	}
	started := filepath.Join(programs, "started")
	for name, content := range map[string]string{
		"mayfly":      string(mayfly),
		"mayfly-shim": "#!/bin/sh\n: > " + started + "\nexec sleep 300\n",
	} {
		if err := os.WriteFile(filepath.Join(programs, name), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := c.command("run", c.tool("never", "command: echo never\n"))
	cmd.Path, cmd.Args[0] = filepath.Join(programs, "mayfly"), filepath.Join(programs, "mayfly")
	said := newOutput()
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-ended
	})
	for end := time.Now().Add(testbed.Patience); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(started); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the shim doesn't start")
		}
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Error(err)
	}
	select {
	case <-ended:
	case <-time.After(testbed.Patience):
		_ = cmd.Process.Kill()
		t.Fatalf("it doesn't end: %s", said)
	}
	if code := cmd.ProcessState.ExitCode(); code != 130 || !strings.Contains(said.String(), "interrupted") {
		t.Errorf("exit status %d: %s", code, said)
	}
	if left, err := testbed.Leftovers(); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}
