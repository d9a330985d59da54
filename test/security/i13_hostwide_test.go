//go:build linux

package security

import "testing"

// TestI13_HostWideLimitsAreLeft takes inotify instances, which count for the
// user that made the sandbox, as queued signals of timers do, and terminals,
// which count for the whole host, until there are no more: all end long before the host's own limit.
func TestI13_HostWideLimitsAreLeft(t *testing.T) {
	b := newBox(t)
	r := b.run(b.shell("attacker hostwide"), nil)
	got := r.lines()
	for what, want := range map[string]string{"watch": "done", "inotify": "32", "terminals": "64", "timers": "1024"} {
		if got[what] != want {
			t.Errorf("%s: %q, want %q; %+v", what, got[what], want, r)
		}
	}
}
