//go:build linux

package security

import (
	"runtime"
	"strings"
	"testing"
)

// TestI09_DeniedSystemCalls makes every call that the profile refuses.
func TestI09_DeniedSystemCalls(t *testing.T) {
	b := newBox(t)
	got := b.attack("syscalls")
	if len(got) < 50 {
		t.Errorf("it tried only %v", got)
	}
	for what, outcome := range got {
		if outcome != "EPERM" && outcome != "ENOSYS" {
			t.Errorf("%s: %s", what, outcome)
		}
	}
}

// TestI09_DeniedSockets makes every family of sockets but the three, and raw
// ones of these.
func TestI09_DeniedSockets(t *testing.T) {
	b := newBox(t)
	got := b.attack("sockets")
	for what, outcome := range got {
		if outcome != "EPERM" {
			t.Errorf("%s: %s", what, outcome)
		}
	}
	if len(got) < 60*6 {
		t.Errorf("it tried only %d", len(got))
	}
}

// TestI09_OtherSystemCallTables: the 32-bit and x32 tables have other numbers
// for the same calls. The filter ends a thread that uses one (SIGSYS): it has no
// errno for a table that it doesn't know.
func TestI09_OtherSystemCallTables(t *testing.T) {
	b := newBox(t)
	for _, way := range []string{"int80", "x32"} {
		r := b.run(b.spec("attacker", way), nil)
		if runtime.GOARCH != "amd64" {
			if !strings.Contains(r.stdout, "none on this processor") {
				t.Errorf("%s: %+v", way, r)
			}
			continue
		}
		if outcome := r.lines()["foreign"]; outcome != "SIGSYS" {
			t.Errorf("%s: %+v", way, r)
		}
	}
}
