//go:build linux

package security

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestI06_AppArmor checks that the tool is under its profile if AppArmor is active, and that its own signals and files work.
func TestI06_AppArmor(t *testing.T) {
	enabled, err := os.ReadFile("/sys/module/apparmor/parameters/enabled")
	active := err == nil && strings.TrimSpace(string(enabled)) == "Y"
	if active {
		if _, err := exec.LookPath("apparmor_parser"); err != nil {
			t.Fatal("AppArmor is active and can't be used: apt-get install apparmor")
		}
	}
	b := newBox(t)
	r := b.run(b.shell("cat /proc/self/attr/apparmor/current; cat /proc/1/attr/current; sleep 1 & kill $! && echo killed; ps | grep -c cat; mkfifo /tmp/f && echo made"), nil)
	if under := strings.Contains(r.stdout, "mayfly-tool-1 (enforce)\n"); under != active {
		t.Errorf("AppArmor is active: %v; the tool says %q, %q", active, r.stdout, r.stderr)
	}
	if !strings.Contains(r.stdout, "killed\n") || !strings.HasSuffix(r.stdout, "made\n") {
		t.Errorf("a tool's own signals and files: %q, %q", r.stdout, r.stderr)
	}
}
