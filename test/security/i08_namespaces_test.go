//go:build linux

package security

import (
	"strings"
	"testing"
)

// TestI08_NoNamespaces tries every call that makes or enters a namespace.
func TestI08_NoNamespaces(t *testing.T) {
	b := newBox(t)
	for _, user := range []string{"", "1000:1000"} {
		spec := b.spec("attacker", "namespaces")
		spec.User = user
		got := b.run(spec, nil).lines()
		for what, outcome := range got {
			want := "EPERM"
			if strings.HasPrefix(what, "clone3") {
				want = "ENOSYS" // clone3's flags are in memory, where a filter can't see them
			}
			for part := range strings.FieldsSeq(outcome) {
				if part != want && (what != "setns" || part != "EACCES") && (!b.engine.OwnKernel || part != "ENOSYS") {
					t.Errorf("user %q: %s: %s, want %s", user, what, outcome, want)
				}
			}
		}
		if len(got) < 25 {
			t.Errorf("it tried only %v", got)
		}
	}
}
