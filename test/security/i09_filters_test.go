//go:build linux

package security

import (
	"strings"
	"testing"
)

// TestI09_Filters tries to give the kernel programs of classic BPF to compile:
// they would fill a limit of the host's (net.core.bpf_jit_limit), after which
// no process gets a filter, and no run starts.
func TestI09_Filters(t *testing.T) {
	b := newBox(t)
	check := func(t *testing.T, got map[string]string) {
		t.Helper()
		if len(got) != 3*4*3+4 {
			t.Errorf("it tried %d", len(got))
		}
		for what, outcome := range got {
			want := "EPERM"
			if what == "seccomp 0" || what == "prctl 0" {
				want = "EINVAL" // as a kernel without filters
			}
			if outcome != want {
				t.Errorf("%s: %s, want %s", what, outcome, want)
			}
		}
	}
	t.Run("default", func(t *testing.T) { check(t, b.attack("filters")) })
	t.Run("CAP_NET_RAW", func(t *testing.T) {
		spec := b.spec("attacker", "filters")
		spec.Security.Capabilities = []string{"CAP_NET_RAW"}
		check(t, b.run(spec, nil).lines())
	})
	t.Run("gVisor", func(t *testing.T) {
		for what, outcome := range b.run(b.gvisor("attacker filters"), nil).lines() {
			if outcome == "done" && !strings.Contains(what, "beyond") {
				t.Errorf("%s: %s", what, outcome)
			}
		}
	})
}
