package network_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	. "github.com/mayfly-run/mayfly/internal/network"
)

func TestOutside(t *testing.T) {
	tests := []struct {
		rule, bound string
		want        Part
	}{
		{"api.example.com:443", "api.example.com", ""},
		{"api.example.com:443", "API.example.com:443", ""},
		{"api.example.com:443", "*.example.com:443", ""},
		{"*.api.example.com:443", "*.example.com:443", ""},
		{"*.example.com", "*.example.com", ""},
		{"example.com", "*.example.com", PartHost},
		{"*.example.com", "api.example.com", PartHost},
		{"*.com", "*.example.com", PartHost},
		{"notexample.com", "*.example.com", PartHost},
		{"10.0.0.1", "*.example.com", PartHost},
		{HostName + ":80", HostName, ""},
		{HostName, HostName + ":80", PartPorts},
		{HostName, "*.internal", PartHost},
		{HostName, "0.0.0.0/0", PartHost},
		{"*.internal", HostName, PartHost},
		{"0.0.0.0/0", HostName, PartCIDR},
		{"10.1.0.0/16", "10.0.0.0/8", ""},
		{"10.0.0.0/7", "10.0.0.0/8", PartCIDR},
		{"0.0.0.0/0", "10.0.0.0/8", PartCIDR},
		{"::/0", "0.0.0.0/0", PartCIDR},
		{"10.0.0.1", "10.0.0.0/8", ""},
		{"11.0.0.1", "10.0.0.0/8", PartCIDR},
		{"10.0.0.1", "10.0.0.1", ""},
		{"10.0.0.1/32", "10.0.0.1", PartCIDR}, // the range also contains IPv6 addresses that embed the address
		{"host db.corp cidr 10.0.0.1/32", "10.0.0.0/8", PartDNS},
		{"host db.corp cidr 10.0.0.1/32", "cidr 10.0.0.0/8 dns corp", ""},
		{"host db.corp cidr 10.0.0.1/32", "host *.corp cidr 10.0.0.0/8", ""},
		{"host *.corp cidr 10.0.0.1/32", "cidr 10.0.0.0/8 dns corp", ""},
		{"host *.corp cidr 10.0.0.1/32", "cidr 10.0.0.0/8 dns db.corp", PartDNS},
		{"host db.corp", "cidr 10.0.0.0/8 dns corp", PartCIDR},
		{"host db.corp cidr 10.0.0.1/32", "*.corp", PartCIDR},
		{"cidr 10.0.0.0/8 dns db.corp", "cidr 10.0.0.0/8 dns corp", ""},
		{"cidr 10.0.0.0/8 dns corp", "cidr 10.0.0.0/8 dns db.corp", PartDNS},
		{"cidr 10.0.0.0/8 dns corp", "10.0.0.0/8", PartDNS},
		{"dns db.corp", "host api.example dns corp", ""},
		{"dns corp", "*.corp", PartDNS},
		{"10.0.0.0/8", "dns corp", PartCIDR},
		{"api.example", "dns example", PartHost},
		{"a.example tcp", "a.example tcp", ""},
		{"a.example", "a.example tcp", PartProtocol},
		{"a.example udp", "a.example tcp", PartProtocol},
		{"a.example:443", "a.example:443 tcp", PartProtocol},
		{"a.example", "a.example:1-65535", PartPorts},
		{"a.example icmp", "a.example:1-65535", PartPorts},
		{"a.example:80-90", "a.example:70-84,85-100", ""},
		{"a.example:80-90", "a.example:85-100,70-84", ""},
		{"a.example:80-90", "a.example:70-84,86-100", PartPorts},
		{"a.example:80,443", "a.example:443", PartPorts},
		{"a.example:65535", "a.example:65000-65535", ""},
		{"2001:db8::5efe:a00:0/104", "2001:db8::/32", PartCIDR},
		{"2001:db8::5efe:c000:200/120", "2001:db8::/32", ""},
	}
	for _, tt := range tests {
		rules := mustRules(t, tt.rule, tt.bound)
		if got := rules[0].Outside(rules[1]); got != tt.want {
			t.Errorf("%s is outside %s by %q, want %q", tt.rule, tt.bound, got, tt.want)
		}
	}
}

// TestInsideAllowsNoMore checks that a bound allows everything that a rule inside it allows.
func TestInsideAllowsNoMore(t *testing.T) {
	inside := 0
	rapid.Check(t, func(t *rapid.T) {
		bound := rules().Draw(t, "bound")
		r := narrowed(bound).Draw(t, "rule")
		if r.Outside(bound) != "" {
			return
		}
		inside++
		one, most := Policy{Mode: ModeList, Egress: []Rule{r}}, Policy{Mode: ModeList, Egress: []Rule{bound}}
		for _, d := range rapid.SliceOfN(reached(r), 10, 10).Draw(t, "destinations") {
			if got := most.Decide(d); one.Decide(d).Allowed && !got.Allowed {
				t.Fatalf("%s, inside %s, allows %+v; the bound denies it: %s", r, bound, d, got.Reason)
			}
		}
		for _, name := range []string{"a.internal", "example", "a.example", "b.a.example", "x.b.a.example"} {
			for _, q := range []Question{Addresses, Records} {
				if one.Resolves(name, q) && !most.Resolves(name, q) {
					t.Fatalf("%s, inside %s, allows question %d about %s; the bound doesn't", r, bound, q, name)
				}
			}
		}
	})
	if inside == 0 {
		t.Error("no rule was inside its bound")
	}
}

// reached draws destinations, many of which the rule allows.
func reached(r Rule) *rapid.Generator[Destination] {
	return rapid.Custom(func(t *rapid.T) Destination {
		d := destinations().Draw(t, "destination")
		if rapid.IntRange(0, 4).Draw(t, "any") == 0 {
			return d
		}
		d.Host = strings.EqualFold(r.Host, HostName)
		d.Local = d.Host
		d.Unresolved = d.Unresolved && !d.Host
		if r.Host != "" {
			d.Names = []string{strings.Replace(r.Host, "*", "x", 1)}
		}
		if r.CIDR.IsValid() || IsAddress(r.Host) {
			d.Address = within(r).Draw(t, "address")
		}
		if r.Protocol != "" {
			d.Protocol = r.Protocol
		}
		if len(r.Ports) > 0 {
			ports := rapid.SampledFrom(r.Ports).Draw(t, "ports")
			d.Port = rapid.Uint16Range(ports.First, ports.Last).Draw(t, "port")
		}
		return d
	})
}

// narrowed draws rules, many of which are inside the bound.
func narrowed(bound Rule) *rapid.Generator[Rule] {
	return rapid.Custom(func(t *rapid.T) Rule {
		r := rules().Draw(t, "other")
		if rapid.IntRange(0, 3).Draw(t, "same host") != 0 {
			r.Host = bound.Host
		}
		if rapid.IntRange(0, 3).Draw(t, "same range") != 0 {
			r.CIDR = bound.CIDR
			if r.CIDR.IsValid() {
				r.CIDR = netip.PrefixFrom(within(bound).Draw(t, "base"), rapid.IntRange(bound.CIDR.Bits(), bound.CIDR.Addr().BitLen()).Draw(t, "bits")).Masked()
			}
		}
		if rapid.IntRange(0, 3).Draw(t, "same ports") != 0 {
			r.Ports, r.Protocol = slices.Clone(bound.Ports), bound.Protocol
		}
		if rapid.IntRange(0, 3).Draw(t, "same dns") != 0 {
			r.DNS = bound.DNS
		}
		return r
	})
}

// within draws addresses in a rule's range, including IPv6 addresses that embed one.
func within(r Rule) *rapid.Generator[netip.Addr] {
	return rapid.Custom(func(t *rapid.T) netip.Addr {
		if a, err := netip.ParseAddr(r.Host); err == nil && rapid.Bool().Draw(t, "literal") {
			return a
		}
		a := addresses().Draw(t, "address")
		if !r.CIDR.IsValid() {
			return a
		}
		b, base := a.As16(), r.CIDR.Addr().AsSlice()
		out := b[16-len(base):]
		for i := range r.CIDR.Bits() {
			mask := byte(0x80 >> (i % 8))
			out[i/8] = out[i/8]&^mask | base[i/8]&mask
		}
		a, _ = netip.AddrFromSlice(out)
		if a.Is4() && rapid.IntRange(0, 3).Draw(t, "embedded") == 0 {
			return rapid.SampledFrom([]netip.Addr{
				embed("64:ff9b::", a, 12), embed("64:ff9b:1::", a, 12), embed("2002::", a, 2), embed("2001:db8::5efe:0:0", a, 12),
			}).Draw(t, "spelling")
		}
		return a
	})
}

func embed(around string, a netip.Addr, at int) netip.Addr {
	b, inner := netip.MustParseAddr(around).As16(), a.As4()
	copy(b[at:], inner[:])
	return netip.AddrFrom16(b)
}

func TestGrantsPrivate(t *testing.T) {
	for text, want := range map[string]bool{
		"api.example":                     false,
		"*.internal":                      false,
		HostName + ":80":                  true,
		"10.0.0.1":                        true,
		"192.0.2.1":                       false,
		"203.0.113.0/24":                  false,
		"host db.corp cidr 10.0.0.0/8":    true,
		"host a.example cidr 192.0.0.0/8": true,
		"0.0.0.0/0":                       true,
		"0.0.0.0/1":                       true,
		"8.0.0.0/7":                       false,
		"8.0.0.0/6":                       true, // ends at 11.255.255.255
		"168.63.129.0/24":                 true,
		"192.0.0.9":                       false,
		"192.0.0.8/30":                    true,
		"128.0.0.0/2":                     true,
		"::/0":                            true,
		"2000::/3":                        true,
		"2002::/15":                       true, // 6to4
		"2600::/12":                       false,
		"2001:db8::/32":                   false,
		"2001:db8::/64":                   false,
		"2001:20::/28":                    false,
		"2001:20::/27":                    true, // it consists of two public ranges of the table, which GrantsPrivate doesn't detect
		"2001::/16":                       true,
		"fd00::/8":                        true,
		"64:ff9b::/96":                    true,
		"64:ff9b::808:0/112":              false,
		"64:ff9b::a00:0/104":              true,
		"2002:808::/32":                   false,
		"2002:a00::/24":                   true,
		"2002::/16":                       true,
		"2002:808:808:1::/64":             false,
		"2001:db8::5efe:a00:1/128":        true,
		"2001:db8::5efe:808:808/128":      false,
		"dns corp":                        false,
	} {
		if got := mustRules(t, text)[0].GrantsPrivate(); got != want {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
}

func TestNamesPrivate(t *testing.T) {
	for text, want := range map[string]bool{
		"api.example": false, "dns corp": false, HostName + ":80": true,
		"10.0.0.1": true, "192.168.0.0/16": true, "host db.corp cidr 10.0.0.0/8": true, "100.64.0.0/10": true, "fd00::/8": true, "fc00::/7": true,
		"192.0.2.1": false, "203.0.113.0/24": false, "0.0.0.0/0": false, "::/0": false, "10.0.0.0/7": false, "host *.corp cidr 0.0.0.0/0": false,
		"2000::/3": false, "64:ff9b::/96": false, "64:ff9b::a00:0/104": true, "2002:a00::/24": true, "2002:808::/32": false, "8000::/1": true,
	} {
		if got := mustRules(t, text)[0].NamesPrivate(); got != want {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
}

// TestRulesThatNamePrivateReachNothingPublic checks that a range that is private as a whole contains no public address.
func TestRulesThatNamePrivateReachNothingPublic(t *testing.T) {
	named := 0
	rapid.Check(t, func(t *rapid.T) {
		r := rules().Draw(t, "rule")
		if !r.NamesPrivate() || strings.EqualFold(r.Host, HostName) {
			return
		}
		named++
		if !r.GrantsPrivate() {
			t.Fatalf("%s names private addresses but grants none", r)
		}
		address := within(r).Draw(t, "address")
		if IsAddress(r.Host) {
			address = netip.MustParseAddr(r.Host)
		}
		// An IPv6 range doesn't contain the IPv4-mapped addresses (RFC 4291 section 2.5.5.2).
		if address.Is4In6() && !r.CIDR.Addr().Is4In6() {
			return
		}
		if Public(address) {
			t.Fatalf("%s contains the public address %s", r, address)
		}
	})
	if named == 0 {
		t.Error("no rule names private addresses")
	}
}

// TestPublicRulesReachWhatIsPublic checks that a rule that grants nothing private reaches no address that isn't public, not even
// one that is embedded in another.
func TestPublicRulesReachWhatIsPublic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rules().Draw(t, "rule")
		if r.GrantsPrivate() {
			return
		}
		d := destinations().Draw(t, "destination")
		d.Address, d.Host = within(r).Draw(t, "address"), false
		if (Policy{Mode: ModeList, Egress: []Rule{r}}).Decide(d).Allowed && !d.Unresolved && !reachesPublic(d.Address) {
			t.Fatalf("%s allows %+v", r, d)
		}
	})
}

// reachesPublic reports whether an address, or the IPv4 address that a local translator (64:ff9b:1::/48) turns it into, is public.
func reachesPublic(a netip.Addr) bool {
	d := Destination{Address: a, Port: 80, Protocol: TCP}
	if (Policy{Mode: ModePublic}).Decide(d).Allowed {
		return true
	}
	b := a.As16()
	return netip.MustParsePrefix("64:ff9b:1::/48").Contains(a) && Public(netip.AddrFrom4([4]byte(b[12:])))
}
