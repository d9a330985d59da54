package network_test

import (
	"fmt"
	"net/netip"
	"regexp"
	"testing"

	. "github.com/mayfly-run/mayfly/internal/network"
)

func TestSpecialTable(t *testing.T) {
	source := regexp.MustCompile(`^(RFC \d+( section [\d.]+)?|https://\S+)$`)
	for i, s := range Specials() {
		if s.Prefix != s.Prefix.Masked() || s.Prefix.Addr().Is4In6() {
			t.Errorf("%s is not in its canonical form", s.Prefix)
		}
		if !source.MatchString(s.Source) {
			t.Errorf("%s has the source %q, which is neither an RFC nor a URL", s.Prefix, s.Source)
		}
		for j, around := range Specials() {
			if i == j || around.Prefix.Bits() > s.Prefix.Bits() || !around.Prefix.Contains(s.Prefix.Addr()) {
				continue
			}
			if around.Prefix == s.Prefix || s.Opened && !around.Opened {
				t.Errorf("%s (%s) is in %s (%s)", s.Prefix, s.Class, around.Prefix, around.Class)
			}
		}
	}
}

// ends returns the first and the last address of a range.
func ends(p netip.Prefix) []netip.Addr {
	last := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(last)*8; bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	a, _ := netip.AddrFromSlice(last)
	return []netip.Addr{p.Addr(), a}
}

// spellings returns an IPv4 address in each IPv6 form from which a machine on the way may extract it again.
func spellings(a netip.Addr) map[string]netip.Addr {
	if a.Is6() {
		return map[string]netip.Addr{"plain": a, "with a zone": a.WithZone("eth0")}
	}
	b := a.As4()
	hex := fmt.Sprintf("%02x%02x:%02x%02x", b[0], b[1], b[2], b[3])
	flipped := fmt.Sprintf("%02x%02x:%02x%02x", ^b[0], ^b[1], ^b[2], ^b[3])
	out := map[string]netip.Addr{"plain": a}
	for name, text := range map[string]string{
		"mapped":                       "::ffff:" + hex,
		"translated":                   "::ffff:0:" + hex,
		"NAT64":                        "64:ff9b::" + hex,
		"local NAT64":                  "64:ff9b:1::" + hex,
		"6to4":                         "2002:" + hex + "::1",
		"ISATAP":                       "2001:db8::5efe:" + hex,
		"ISATAP, universal":            "2001:db8:1:2:200:5efe:" + hex,
		"ISATAP, unique local":         "fd12:3456::5efe:" + hex,
		"ISATAP behind 6to4":           "2002:808:808::5efe:" + hex,
		"Teredo server":                "2001:0:" + hex + "::f7f7:f7f7",
		"Teredo client":                "2001:0:808:808:0:ffff:" + flipped,
		"Teredo client, as for ISATAP": "2001:0:808:808:0:5efe:" + flipped,
	} {
		out[name] = netip.MustParseAddr(text)
	}
	return out
}

// TestN01_SpecialAddresses checks that the first and last address of each range that no policy opens are denied, in every
// spelling, by the policies that allow the most.
func TestN01_SpecialAddresses(t *testing.T) {
	policies := map[string]Policy{
		"open":                 {Mode: ModeOpen},
		"a list of everything": {Mode: ModeList, Egress: mustRules(t, "0.0.0.0/0", "::/0")},
	}
	for _, s := range Specials() {
		if s.Opened {
			continue
		}
		for _, a := range ends(s.Prefix) {
			for spelling, written := range spellings(a) {
				for name, p := range policies {
					d := Destination{Address: written, Port: 80, Protocol: TCP}
					if got := p.Decide(d); got.Allowed || got.Suggest != nil {
						t.Errorf("%s %s, %s (%s), under %s: %+v", s.Class, a, spelling, written, name, got)
					}
				}
			}
		}
	}
	// The spellings themselves are allowed; otherwise the test above couldn't fail.
	for spelling, written := range spellings(netip.MustParseAddr("192.0.2.1")) {
		for name, p := range policies {
			if got := p.Decide(Destination{Address: written, Port: 80, Protocol: TCP}); !got.Allowed {
				t.Errorf("192.0.2.1, %s (%s), under %s: %+v", spelling, written, name, got)
			}
		}
	}
}

// TestN01_Metadata checks the addresses at which clouds document a service for their machines, without using the table.
func TestN01_Metadata(t *testing.T) {
	for _, a := range []string{
		"169.254.169.254", "169.254.170.2", "169.254.170.23", "169.254.42.42", "169.254.0.23", "fe80::a9fe:a9fe", // most
		"100.100.100.200", "fd00:100::100:200", // Alibaba
		"fd00:ec2::254", "fd00:ec2::23", "fd00:ec2::123", "fd00:ec2::253", "fd00:ec2:ffff:ffff:ffff:ffff:ffff:ffff", // AWS
		"168.63.129.16",              // Azure
		"fd20:ce::254",               // Google
		"fd00:a9fe:a9fe::1",          // Linode
		"192.0.0.192",                // Oracle, classic
		"fd00:c1::a9fe:a9fe",         // Oracle
		"fd00:42::42",                // Scaleway
		"100.96.0.96",                // Volcengine
		"fec0::1", "fec0::a9fe:a9fe", // site-local
	} {
		d := Destination{Address: netip.MustParseAddr(a), Port: 80, Protocol: TCP}
		if got := (Policy{Mode: ModeOpen}).Decide(d); got.Allowed {
			t.Errorf("%s is allowed: %+v", a, got)
		}
	}
}

// TestISATAPInRanges checks that an IPv6 range opens a private IPv4 address in it only if the range has the ISATAP identifier.
func TestISATAPInRanges(t *testing.T) {
	tests := []struct {
		rules []string
		to    string
		want  bool
	}{
		{[]string{"2001:db8::/32"}, "2001:db8::5efe:a00:1", false},
		{[]string{"::/0"}, "2001:db8::200:5efe:a00:1", false},
		{[]string{"2001:db8::/32"}, "2001:db8::5efe:c000:201", true},
		{[]string{"2001:db8::/32", "10.0.0.0/8"}, "2001:db8::5efe:a00:1", true},
		{[]string{"2001:db8::5efe:a00:0/104"}, "2001:db8::5efe:a00:1", true},
	}
	for _, tt := range tests {
		p := Policy{Mode: ModeList, Egress: mustRules(t, tt.rules...)}
		if got := p.Decide(to(tt.to, 443)); got.Allowed != tt.want {
			t.Errorf("%v, %s: %+v", tt.rules, tt.to, got)
		}
	}
}
