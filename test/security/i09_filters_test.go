//go:build linux

package security

import "testing"

// TestI09_Filters tries to give the kernel programs of classic BPF to compile. They would use up a limit of the host
// (net.core.bpf_jit_limit), after which no process could install a filter, and no run could start.
func TestI09_Filters(t *testing.T) {
	b := embeddedBox(t)
	const without = "EINVAL" // the error of a kernel without filters
	t.Run("default", func(t *testing.T) { filtersAreRefused(t, b.attack("filters"), without) })
	t.Run("CAP_NET_RAW", func(t *testing.T) {
		spec := b.spec("attacker", "filters")
		spec.Security.Capabilities = []string{"CAP_NET_RAW"}
		filtersAreRefused(t, b.run(spec, nil).lines(), without)
	})
	// gVisor supports only one errno for what a profile refuses.
	t.Run("gVisor", func(t *testing.T) { filtersAreRefused(t, b.run(b.gvisor("attacker filters"), nil).lines(), "EPERM") })
}

func filtersAreRefused(t *testing.T, got map[string]string, filter string) {
	t.Helper()
	if len(got) != 3*4*3+4 {
		t.Errorf("it tried %d", len(got))
	}
	for what, outcome := range got {
		want := "EPERM"
		if what == "seccomp 0" || what == "prctl 0" {
			want = filter
		}
		if outcome != want {
			t.Errorf("%s: %s, want %s", what, outcome, want)
		}
	}
}
