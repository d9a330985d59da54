package network_test

import (
	"encoding/json"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	. "github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/network/networktest"
)

// addresses draws addresses, many of which are special.
func addresses() *rapid.Generator[netip.Addr] {
	v4 := rapid.Custom(func(t *rapid.T) netip.Addr {
		start := rapid.SampledFrom([][]byte{
			{}, {10}, {127}, {169, 254}, {192, 168}, {172, 16}, {100, 100, 100, 200}, {100, 64}, {224}, {0}, {255, 255, 255, 255}, {192, 0, 2},
		}).Draw(t, "start")
		var b [4]byte
		copy(b[:], rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "octets"))
		copy(b[:], start)
		return netip.AddrFrom4(b)
	})
	v6 := rapid.Custom(func(t *rapid.T) netip.Addr {
		start := rapid.SampledFrom([]string{
			"::", "64:ff9b::", "64:ff9b:1::", "2002::", "fe80::", "ff02::", "fc00::", "fd00:ec2::254", "2001:db8::", "2600::", "::ffff:0:0:0",
			"2001::", "2001:db8::5efe:0:0", "2001:db8::200:5efe:0:0",
		}).Draw(t, "start")
		b := netip.MustParseAddr(start).As16()
		inner := v4.Draw(t, "inner").As4()
		if b[0] == 0x20 && b[1] == 0x02 {
			copy(b[2:], inner[:])
		} else if rapid.Bool().Draw(t, "tail") {
			copy(b[12:], inner[:])
		}
		return netip.AddrFrom16(b)
	})
	return rapid.OneOf(v4, v6)
}

func names() *rapid.Generator[string] {
	return rapid.SampledFrom([]string{"a.example", "b.a.example", "c.b.a.example", "10.0.0.1", HostName, "x.mayfly.internal", "bad name", "*.a.example", "xn--bcher-kva.example"})
}

func rules() *rapid.Generator[Rule] {
	return rapid.Custom(func(t *rapid.T) Rule {
		var r Rule
		kind := rapid.IntRange(1, 3).Draw(t, "kind")
		if kind&1 != 0 {
			r.Host = rapid.SampledFrom([]string{"a.example", "*.a.example", "*.example", "*.internal", HostName, "10.0.0.1", "169.254.169.254", "127.0.0.1", "::1"}).Draw(t, "host")
		}
		if kind&2 != 0 {
			a := addresses().Draw(t, "base")
			r.CIDR = netip.PrefixFrom(a, rapid.IntRange(0, a.BitLen()).Draw(t, "bits")).Masked()
			if r.CIDR.Addr().Is4In6() {
				r.CIDR = UnmapPrefix(r.CIDR)
			}
		}
		if rapid.IntRange(0, 2).Draw(t, "with dns") == 0 {
			r.DNS = rapid.SliceOfN(rapid.SampledFrom([]string{"a.example", "b.a.example", "example", "internal"}), 1, 2).Draw(t, "dns")
			if rapid.IntRange(0, 3).Draw(t, "dns alone") == 0 {
				return Rule{DNS: r.DNS}
			}
		}
		r.Protocol = rapid.SampledFrom([]Protocol{"", TCP, UDP, ICMP}).Draw(t, "protocol")
		if r.Protocol != ICMP {
			for range rapid.IntRange(0, 2).Draw(t, "ranges") {
				first := rapid.Uint16Range(1, 65535).Draw(t, "first")
				r.Ports = append(r.Ports, PortRange{first, rapid.Uint16Range(first, 65535).Draw(t, "last")})
			}
		}
		return r
	})
}

func policies() *rapid.Generator[Policy] {
	return rapid.Custom(func(t *rapid.T) Policy {
		p := Policy{Mode: rapid.SampledFrom([]Mode{ModeNone, ModePublic, ModeOpen, ModeList, ModeList, ModeList}).Draw(t, "mode")}
		if p.Mode == ModeList {
			p.Egress = rapid.SliceOfN(rules(), 0, 5).Draw(t, "egress")
		}
		return p
	})
}

func destinations() *rapid.Generator[Destination] {
	return rapid.Custom(func(t *rapid.T) Destination {
		d := Destination{
			Names:    rapid.SliceOfN(names(), 0, 3).Draw(t, "names"),
			Address:  addresses().Draw(t, "address"),
			Port:     rapid.SampledFrom([]uint16{0, 1, 53, 80, 443, 8443, 65535}).Draw(t, "port"),
			Protocol: rapid.SampledFrom([]Protocol{TCP, UDP, ICMP}).Draw(t, "protocol"),
		}
		d.Local = rapid.IntRange(0, 4).Draw(t, "local") == 0
		d.Host = d.Local && rapid.Bool().Draw(t, "host")
		d.Unresolved = !d.Local && len(d.Names) > 0 && rapid.IntRange(0, 4).Draw(t, "unresolved") == 0
		return d
	})
}

// forbidden returns ranges that no policy opens. It doesn't use the table in special.go, so that it checks the table too.
func forbidden() []netip.Prefix {
	var out []netip.Prefix
	for _, s := range []string{
		"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "100.100.100.200/32", "224.0.0.0/4", "255.255.255.255/32",
		"::/128", "::1/128", "fe80::/10", "fec0::/10", "ff00::/8", "fd00:ec2::/32", "192.0.0.192/32", "100.96.0.96/32",
		"64:ff9b::a9fe:0/112", "64:ff9b::7f00:0/104", "2002:a9fe::/32", "2002:7f00::/24",
		"2001:db8::5efe:a9fe:0/112", "2001:db8:7::200:5efe:7f00:0/104", "2001:0:a9fe::/48", "2001:0:808:808::5601:0/112",
	} {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func TestNeverAllowed(t *testing.T) {
	bad := forbidden()
	rapid.Check(t, func(t *rapid.T) {
		p := policies().Draw(t, "policy")
		d := destinations().Draw(t, "destination")
		block := rapid.SampledFrom(bad).Draw(t, "block")
		b := d.Address.As16() // random bits, moved into the block
		base := block.Addr().AsSlice()
		for i := range block.Bits() {
			mask := byte(0x80 >> (i % 8))
			b[i/8] = b[i/8]&^mask | base[i/8]&mask
		}
		d.Address, _ = netip.AddrFromSlice(b[:len(base)])
		d.Host = false
		if !block.Contains(d.Address) {
			t.Fatalf("the test is wrong: %s is outside %s", d.Address, block)
		}
		if got := p.Decide(d); got.Allowed || got.Suggest != nil {
			t.Fatalf("%+v: %+v", d, got)
		}
	})
}

// with returns the policy with one more rule, as a user writes it who follows a suggestion. The modes "open" and "public" have
// no rules.
func with(p Policy, r Rule) Policy {
	switch p.Mode {
	case ModeNone, ModeList:
		return Policy{Mode: ModeList, Egress: append(slices.Clone(p.Egress), r)}
	}
	return p
}

func TestAddingNeverRemoves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := policies().Draw(t, "policy")
		d := destinations().Draw(t, "destination")
		r := rules().Draw(t, "rule")
		if p.Decide(d).Allowed && !with(p, r).Decide(d).Allowed {
			t.Fatalf("rule %s took away %+v", r, d)
		}
		for _, name := range d.Names {
			for _, q := range []Question{Addresses, Records} {
				if p.Resolves(name, q) && !with(p, r).Resolves(name, q) {
					t.Fatalf("rule %s took away the name %s", r, name)
				}
			}
		}
	})
}

func TestMappedIsJudgedTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := policies().Draw(t, "policy")
		d := destinations().Draw(t, "destination")
		if !d.Address.Is4() {
			d.Address = netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "v4")))
		}
		plain := p.Decide(d)
		d.Address = netip.AddrFrom16(d.Address.As16())
		mapped := p.Decide(d)
		if plain.Allowed != mapped.Allowed || plain.Rule != mapped.Rule || plain.Host != mapped.Host || plain.Reason != mapped.Reason {
			t.Fatalf("plain %+v, mapped %+v", plain, mapped)
		}
	})
}

func TestSuggestionAllows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := policies().Draw(t, "policy")
		d := destinations().Draw(t, "destination")
		got := p.Decide(d)
		if got.Allowed && got.Suggest != nil {
			t.Fatalf("allowed, but it suggests %s", got.Suggest)
		}
		if got.Suggest == nil {
			return
		}
		if err := got.Suggest.Validate(); err != nil {
			t.Fatalf("it suggests an invalid rule: %v", err)
		}
		list := Policy{Mode: ModeList, Egress: append(slices.Clone(p.Egress), *got.Suggest)} // a tool with a rule has mode "list"
		if after := list.Decide(d); !after.Allowed {
			t.Fatalf("%s doesn't allow %+v: %s", got.Suggest, d, after.Reason)
		}
	})
}

// TestHostOnlyIsPublicOnly checks the defence against DNS rebinding: names alone open only public addresses.
func TestHostOnlyIsPublicOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Policy{Mode: ModeList}
		for _, r := range rapid.SliceOfN(rules(), 1, 5).Draw(t, "rules") {
			if r.Host == "" || IsAddress(r.Host) {
				r.Host = "*.example"
			}
			r.CIDR = netip.Prefix{}
			p.Egress = append(p.Egress, r)
		}
		d := destinations().Draw(t, "destination")
		d.Host = false
		if p.Decide(d).Allowed && !(Policy{Mode: ModePublic}).Decide(d).Allowed {
			t.Fatalf("names alone opened %+v", d)
		}
	})
}

func TestRuleText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rules().Filter(func(r Rule) bool { return r.Validate() == nil }).Draw(t, "rule")
		for _, text := range []string{r.String(), r.Label()} {
			back, err := networktest.ParseRule(text)
			if err != nil || back.String() != r.String() {
				t.Fatalf("%s came back as %s, %v", text, back, err)
			}
		}
		data, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var back Rule
		if err := json.Unmarshal(data, &back); err != nil || back.String() != r.String() {
			t.Fatalf("%s came back as %s, %v", data, back, err)
		}
	})
}
