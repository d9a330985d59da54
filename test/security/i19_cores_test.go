//go:build linux

package security

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
)

const corePattern = "/proc/sys/kernel/core_pattern"

// TestI19_CrashesLeaveNoCore crashes tools that hold a secret. The host's core_pattern is a file in the working directory, a
// file with a path, and a program of the host that gets the memory by a pipe, which a limit of zero doesn't stop (core(5)). A
// crash on the host shows that the pattern works.
func TestI19_CrashesLeaveNoCore(t *testing.T) {
	b := newBox(t)
	dir := t.TempDir()
	attacker := filepath.Join(dir, "attacker")
	if err := os.WriteFile(attacker, []byte(attackerProgram(t).Body), 0o755); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(corePattern)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(corePattern, old, 0o644); err != nil {
			t.Errorf("the host's core_pattern was %q: %v", old, err)
		}
	})
	piped := filepath.Join(dir, "piped")
	script := filepath.Join(dir, "dump")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nwc -c >> "+piped+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	secret := "CORE" + b.canary.content
	for name, pattern := range map[string]string{"file": "core", "named": dir + "/core.%p", "pipe": "|" + script} {
		if err := os.WriteFile(corePattern, []byte(pattern), 0o644); err != nil {
			t.Fatal(err)
		}
		if !crashOnHost(t, attacker, dir) {
			t.Errorf("%s: a crash on the host dumped no core; the test shows nothing", name)
		}
		if err := os.RemoveAll(piped); err != nil {
			t.Fatal(err)
		}
		for _, sig := range []string{"SEGV", "ABRT"} {
			spec := b.shell("attacker crashed " + sig + "; ls -a / /tmp . $HOME | grep -i core; attacker crash " + sig)
			spec.Security.Writable = true
			spec.Mounts = []engine.Mount{{Kind: engine.MountSecret, Target: "/secrets/canary", Secret: "canary"}}
			spec.Environment = []engine.Variable{{Name: "CANARY", Secret: "canary"}}
			r := b.run(spec, engine.Secrets{"canary": []byte(secret)})
			if got := r.lines(); got["core"] != "false" || got["signal"] == "" || strings.Contains(r.stdout, "core.") {
				t.Errorf("%s %s: %+v", name, sig, r)
			}
		}
		time.Sleep(200 * time.Millisecond) // time for the program at the end of the pipe
		if data, err := os.ReadFile(piped); err == nil {
			t.Errorf("%s: the memory of a tool was piped: %s bytes", name, data)
		}
		cores, err := filepath.Glob(filepath.Join(dir, "core*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, core := range append(cores, "/core") {
			data, err := os.ReadFile(core)
			if err == nil && bytes.Contains(data, []byte(secret)) {
				t.Errorf("%s: %s has the secret", name, core)
			}
			if err == nil && core != "/core" {
				_ = os.Remove(core)
			}
		}
	}
}

// crashOnHost crashes a process without a limit on cores, and reports whether the kernel dumped core.
func crashOnHost(t *testing.T, attacker, dir string) bool {
	t.Helper()
	c := exec.Command("sh", "-c", "ulimit -c unlimited; exec "+attacker+" crash SEGV")
	c.Dir = dir
	err := c.Run()
	status, ok := c.ProcessState.Sys().(syscall.WaitStatus)
	if err == nil || !ok || !status.Signaled() {
		t.Fatalf("it didn't crash: %v", err)
	}
	return status.CoreDump()
}
