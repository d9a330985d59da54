//go:build linux

package oci

import "testing"

// TestFreeIDs: the ids that doctor advises belong to no user.
func TestFreeIDs(t *testing.T) {
	for name, c := range map[string]struct {
		taken []idRange
		want  int
	}{
		"nobody has any":   {nil, 100_000},
		"one user":         {[]idRange{{100_000, 65_536}}, 165_536},
		"out of order":     {[]idRange{{165_536, 65_536}, {100_000, 65_536}}, 231_072},
		"a gap too small":  {[]idRange{{100_000, 65_536}, {200_000, 65_536}}, 265_536},
		"a gap":            {[]idRange{{100_000, 65_536}, {500_000, 65_536}}, 165_536},
		"across the first": {[]idRange{{99_999, 2}}, 100_001},
		"others":           {[]idRange{{1, 1000}, {1_000_000, 10}}, 100_000},
		"one in another":   {[]idRange{{100_000, 500_000}, {200_000, 10}}, 600_000},
	} {
		if got := freeIDs(c.taken); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
}

// TestEnteredNeedsTheNamespace (I23): the variable that Enter sets counts only in the user namespace that Enter makes.
func TestEnteredNeedsTheNamespace(t *testing.T) {
	const made = "         0       1000          1\n         1     100000      65536\n"
	for name, c := range map[string]struct {
		value, uidMap string
		ok            bool
	}{
		"as Enter makes it":         {"1000:65536:", made, true},
		"with a cgroup":             {"1000:65536:/user.slice/a:b", made, true},
		"fewer groups than users":   {"1000:65000:", made, true},
		"the host's":                {"1000:65536:", "         0          0 4294967295\n", false},
		"root of the host":          {"0:65536:", "         0          0 4294967295\n", false},
		"a container's":             {"1000:65536:", "         0     100000      65536\n", false},
		"another user's":            {"1001:65536:", made, false},
		"more ids than there are":   {"1000:65537:", made, false},
		"more than the user":        {"1000:65536:", "         0       1000          2\n         2     100000      65536\n", false},
		"a range more":              {"1000:65536:", made + "     65537     200000          1\n", false},
		"none of another user's":    {"1000:65536:", "", false},
		"no cgroup field":           {"1000:65536", made, false},
		"no numbers":                {"x:65536:", made, false},
		"no ids":                    {"1000:0:", made, false},
		"empty":                     {"", made, false},
		"subordinate ids elsewhere": {"1000:65536:", "         0       1000          1\n         7     100000      65536\n", false},
	} {
		if r := entered(c.value, c.uidMap); (r != nil) != c.ok {
			t.Errorf("%s: got %+v, want it accepted: %v", name, r, c.ok)
		}
	}
	if r := entered("1000:65536:/user.slice/a:b", made); r == nil || *r != (Rootless{UID: 1000, IDCount: 65536, Cgroup: "/user.slice/a:b"}) {
		t.Errorf("%+v", r)
	}
}
