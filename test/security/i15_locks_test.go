//go:build linux

package security

import (
	"strings"
	"testing"
)

// TestI15_LocksAreCounted checks that a run with too many locks of parts of files ends. No cgroup counts these locks, and no
// other limit bounds their number.
func TestI15_LocksAreCounted(t *testing.T) {
	b := embeddedBox(t)
	for name, c := range map[string]struct {
		args []string
		ends bool
	}{
		"few":           {[]string{"attacker", "locks", "4000", "1"}, false},
		"many":          {[]string{"attacker", "locks", "50000", "1", "end"}, true},
		"of some":       {[]string{"attacker", "locks", "50000", "20", "end"}, true},
		"few of others": {[]string{"attacker", "locks", "4000", "4"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			spec := b.spec(c.args...)
			spec.Resources.Memory = 64 << 20
			spec.Resources.PIDs = 512 // Go's runtime starts a number of threads for each process that depends on the machine
			r := b.run(spec, nil)
			if got := r.OutOfMemory && r.TooManyLocks; got != c.ends || strings.Contains(r.stdout, "done") == c.ends {
				t.Errorf("%+v %s", r.Exit, r.stdout)
			}
		})
	}
}

// TestI15_LocksHaveAProcess checks that locks whose owner can't be determined are refused.
func TestI15_LocksHaveAProcess(t *testing.T) { locksHaveAProcess(t, newBox(t).attack) }

func locksHaveAProcess(t *testing.T, try attack) {
	t.Helper()
	got := try("lock-kinds")
	for what, want := range map[string]string{
		"F_OFD_GETLK": "EINVAL", "F_OFD_SETLK": "EINVAL", "F_OFD_SETLKW": "EINVAL", "F_OFD_SETLK beyond 32 bits": "EPERM",
		"F_GETLK": "done", "F_SETLK": "done", "F_SETLKW": "done", "a process with shared descriptors": "EPERM",
	} {
		if got[what] != want {
			t.Errorf("%s: %q, want %q", what, got[what], want)
		}
	}
}

// TestI15_AShellsLocksAreCounted checks the same for a shell in a kept sandbox.
func TestI15_AShellsLocksAreCounted(t *testing.T) {
	b := embeddedBox(t)
	spec := b.shell("exit 3")
	b.keep(t, spec)
	said, _, err := b.look(spec, "attacker", "locks", "50000", "1", "end")
	if err == nil || !strings.Contains(err.Error(), "more than 4096 locks") || strings.Contains(said, "done") {
		t.Errorf("%v, %s", err, said)
	}
}
