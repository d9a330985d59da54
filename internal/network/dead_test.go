package network_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	. "github.com/mayfly-run/mayfly/internal/network"
)

func TestDead(t *testing.T) {
	for text, want := range map[string]struct {
		why     string
		machine bool
	}{
		"localhost:8080":                    {"localhost is the sandbox itself", true},
		"LOCALHOST":                         {"localhost is the sandbox itself", true},
		"*.localhost":                       {"*.localhost is the sandbox itself", true},
		"api.localhost":                     {"api.localhost is the sandbox itself", true},
		"host localhost cidr 10.0.0.0/8":    {"localhost is the sandbox itself", true},
		"hosts.mayfly.internal":             {"host.mayfly.internal is the only name below mayfly.internal", true},
		"*.mayfly.internal":                 {"host.mayfly.internal is the only name below mayfly.internal", true},
		"mayfly.internal":                   {"host.mayfly.internal is the only name below mayfly.internal", true},
		"127.0.0.1":                         {"127.0.0.1 is a loopback destination, which no rule opens", true},
		"127.1.2.3:80":                      {"127.1.2.3 is a loopback destination", true},
		"127.0.0.0/8":                       {"127.0.0.0/8 has only loopback destinations, which no rule opens", true},
		"127.0.0.1/32":                      {"127.0.0.1/32 has only loopback destinations", true},
		"::1":                               {"::1 is a loopback destination", true},
		"::1/128":                           {"::1/128 has only loopback destinations", true},
		"0.0.0.0":                           {"0.0.0.0 is an unspecified address destination", true},
		"169.254.169.254":                   {"169.254.169.254 is a link-local destination", false},
		"169.254.0.0/16":                    {"169.254.0.0/16 has only link-local destinations", false},
		"169.254.169.0/24":                  {"169.254.169.0/24 has only link-local destinations", false},
		"fe80::/10":                         {"link-local", false},
		"fd00:ec2::254":                     {"cloud metadata", false},
		"168.63.129.16":                     {"cloud metadata", false},
		"224.0.0.0/4":                       {"multicast", false},
		"64:ff9b::7f00:0/104":               {"loopback", true},
		"2002:a9fe::/32":                    {"link-local", false},
		"2001:db8::5efe:7f00:1/128":         {"loopback", true},
		"host a.example cidr 127.0.0.0/8":   {"loopback", true},
		"host 10.0.0.1 cidr 192.168.0.0/16": {"10.0.0.1 is not in 192.168.0.0/16", false},

		"host 10.0.0.1 cidr 10.0.0.0/8": {},
		HostName + ":80":                {},
		"HOST.mayfly.internal":          {},
		"*.internal":                    {},
		"notlocalhost":                  {},
		"localhost.example":             {},
		"a.example":                     {},
		"0.0.0.0/0":                     {},
		"::/0":                          {},
		"126.0.0.0/7":                   {}, // it begins at 126.0.0.0, which is public
		"168.63.129.0/24":               {},
		"169.254.0.0/15":                {},
		"::/127":                        {}, // it consists of two ranges of the table, which Dead doesn't detect
		"64:ff9b::/96":                  {},
		"2002::/16":                     {},
		"fd00::/8":                      {},
		"10.0.0.0/8":                    {},
		"dns localhost":                 {},
	} {
		dead := mustRules(t, text)[0].Dead()
		switch {
		case dead == nil && want.why == "":
		case dead == nil || want.why == "" || !strings.Contains(dead.Why, want.why) || dead.Machine != want.machine:
			t.Errorf("%s: got %+v, want %+v", text, dead, want)
		}
	}
	for _, s := range Specials() {
		if dead := (Rule{CIDR: s.Prefix}).Dead(); (dead == nil) != s.Opened {
			t.Errorf("%s (%s): got %+v, want dead: %v", s.Prefix, s.Class, dead, !s.Opened)
		}
		for _, inner := range Specials() {
			if !s.Opened && inner.Opened && s.Prefix.Overlaps(inner.Prefix) && inner.Prefix.Bits() >= s.Prefix.Bits() {
				t.Errorf("a policy may open %s, which is inside %s, which it may not open", inner.Prefix, s.Prefix)
			}
		}
	}
}

// TestDeadOpensNothing checks that a dead rule allows no destination.
func TestDeadOpensNothing(t *testing.T) {
	found := 0
	rapid.Check(t, func(t *rapid.T) {
		r := rules().Filter(func(r Rule) bool { return r.Host != "" || r.CIDR.IsValid() }).Draw(t, "rule")
		if r.Dead() == nil {
			return
		}
		found++
		d := reached(r).Draw(t, "destination")
		d.Unresolved = false // the address of an unresolved destination is only a stand-in
		if got := (Policy{Mode: ModeList, Egress: []Rule{r}}).Decide(d); got.Allowed {
			t.Fatalf("%s allows %+v, but is dead: %s", r, d, r.Dead().Why)
		}
	})
	if found == 0 {
		t.Error("no rule was dead")
	}
}
