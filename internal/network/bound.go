package network

import (
	"net/netip"
	"slices"
)

// Part is a part of a rule, under its name in a file.
type Part string

// The parts by which a rule can be outside another, in the order in which [Rule.Outside] compares them.
const (
	PartHost     Part = "host"
	PartCIDR     Part = "cidr"
	PartProtocol Part = "protocol"
	PartPorts    Part = "ports"
	PartDNS      Part = "dns"
)

// Outside returns the first part of the rule by which it grants more than the bound, or "" if the rule is inside the bound: a list
// of the bound alone then allows every destination and every DNS question that a list of the rule alone allows. Outside may
// report a rule whose parts together are inside the bound, but it never misses one that is outside.
func (r Rule) Outside(bound Rule) Part {
	if r.Host != "" || r.CIDR.IsValid() {
		switch {
		case !r.hostInside(&bound):
			if r.Host == "" {
				return PartCIDR
			}
			return PartHost
		case !r.rangeInside(&bound):
			return PartCIDR
		case bound.Protocol != "" && bound.Protocol != r.Protocol:
			return PartProtocol
		case !portsInside(r.Ports, bound.Ports):
			return PartPorts
		}
	}
	if !r.questionsInside(&bound) {
		return PartDNS
	}
	return ""
}

func (r *Rule) hostInside(bound *Rule) bool {
	own, ownIsAddress := literal(r.Host)
	most, mostIsAddress := literal(bound.Host)
	switch {
	case isHostName(r.Host) || isHostName(bound.Host):
		return isHostName(r.Host) && isHostName(bound.Host)
	case bound.Host == "":
		return bound.CIDR.IsValid()
	case mostIsAddress:
		return ownIsAddress && own == most
	}
	// A wildcard is inside another if its text, read as a name, matches.
	return !ownIsAddress && bound.matchesName(r.Host)
}

// rangeInside reports whether the addresses of the rule are inside the bound's. The host must be inside already.
func (r *Rule) rangeInside(bound *Rule) bool {
	if !bound.CIDR.IsValid() {
		// A name alone opens no private address, but a name with a range does.
		return !r.CIDR.IsValid() || bound.namesAddresses() || isHostName(r.Host)
	}
	most := unmapPrefix(bound.CIDR)
	if r.CIDR.IsValid() {
		own := unmapPrefix(r.CIDR)
		inside := own.Bits() >= most.Bits() && most.Contains(own.Addr())
		if inside && most.Bits() < 96 {
			// A range that contains the ISATAP identifier opens addresses that a shorter one doesn't; see contains.
			inner, spelled := isatapInside(own)
			return !spelled || publicRange(inner)
		}
		return inside
	}
	if a, ok := literal(r.Host); ok {
		t := newTarget(Destination{Address: a})
		return most.Contains(a) && bound.contains(&t)
	}
	return false
}

func portsInside(ports, bound []PortRange) bool {
	if len(bound) == 0 {
		return true
	}
	for _, r := range ports {
		if !r.inside(bound) {
			return false
		}
	}
	return len(ports) > 0
}

// inside reports whether the ranges together contain every port of this one.
func (r PortRange) inside(ranges []PortRange) bool {
	next := int(r.First)
	for progress := true; progress && next <= int(r.Last); {
		progress = false
		for _, b := range ranges {
			if int(b.First) <= next && next <= int(b.Last) {
				next, progress = int(b.Last)+1, true
			}
		}
	}
	return next > int(r.Last)
}

func (r *Rule) questionsInside(bound *Rule) bool {
	for _, suffix := range r.DNS {
		if !bound.matchesDNS(suffix) {
			return false
		}
	}
	if r.Host == "" || isHostName(r.Host) || isAddress(r.Host) || bound.matchesName(r.Host) {
		return true
	}
	return bound.matchesDNS(parent(r.Host))
}

// parent returns the name above a wildcard's names, and any other host as it is.
func parent(host string) string {
	if len(host) > 2 && host[:2] == "*." {
		return host[2:]
	}
	return host
}

// GrantsPrivate reports whether the rule opens this machine or an address that isn't public. One such address in a range is enough.
func (r Rule) GrantsPrivate() bool {
	if isHostName(r.Host) {
		return true
	}
	p, ok := r.ownRange()
	return ok && !publicRange(p)
}

// NamesPrivate reports whether the rule is only for addresses that aren't public, or for this machine. The author of such a rule
// means private addresses; in a wide range they may be an accident.
func (r Rule) NamesPrivate() bool {
	if isHostName(r.Host) {
		return true
	}
	p, ok := r.ownRange()
	return ok && privateRange(p)
}

// ByName reports whether the rule names a host by a DNS name or a wildcard. Such a rule opens the addresses of the name, where other
// sites may answer too. The name of this machine doesn't count.
func (r Rule) ByName() bool {
	return r.Host != "" && !isHostName(r.Host) && !isAddress(r.Host)
}

// ownRange returns the rule's host as a range if it is an address, and otherwise its CIDR. ok is false if the rule has neither.
func (r *Rule) ownRange() (p netip.Prefix, ok bool) {
	if a, ok := literal(r.Host); ok {
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	return unmapPrefix(r.CIDR), r.CIDR.IsValid()
}

// publicRange reports whether every address of the range is public, and every IPv4 address embedded in one of them. (Every /64 has
// ISATAP addresses for all of IPv4. They count only in a range that contains the ISATAP identifier; see contains.)
func publicRange(p netip.Prefix) bool {
	around, some := classesOf(p)
	if !around || some[false] {
		return false
	}
	for _, inner := range rangesInside(p) {
		if !publicRange(inner) {
			return false
		}
	}
	return true
}

// privateRange reports whether no address of the range is public. An IPv6 range whose own addresses are public also counts if
// every IPv4 address embedded in them is not.
func privateRange(p netip.Prefix) bool {
	around, some := classesOf(p)
	if !around {
		return !some[true]
	}
	embedded := rangesInside(p)
	return len(embedded) > 0 && !slices.ContainsFunc(embedded, func(inner netip.Prefix) bool { return !privateRange(inner) })
}

// classesOf looks a range up in the table of special ranges. around says whether the smallest special range that contains p is
// public. some[true] says that p contains a smaller special range that is public, some[false] one that isn't.
func classesOf(p netip.Prefix) (around bool, some map[bool]bool) {
	most := -1
	some = map[bool]bool{}
	for _, s := range specials() {
		public := s.class == classPublic
		switch line := netip.MustParsePrefix(s.prefix); {
		case line.Bits() > p.Bits():
			if p.Contains(line.Addr()) {
				some[public] = true
			}
		case line.Contains(p.Addr()) && line.Bits() > most:
			around, most = public, line.Bits()
		}
	}
	return around, some
}

// sixToFour is the range of 6to4, whose addresses have an IPv4 address after the prefix (RFC 3056 section 2).
var sixToFour = netip.MustParsePrefix("2002::/16")

// rangesInside returns the ranges of IPv4 addresses embedded in the addresses of a public range; see embeddedIn.
func rangesInside(p netip.Prefix) (inner []netip.Prefix) {
	if p.Addr().Is4() {
		return nil
	}
	b := p.Addr().As16()
	if isNAT64(b) && p.Bits() >= 96 {
		inner = append(inner, netip.PrefixFrom(netip.AddrFrom4([4]byte(b[12:])), p.Bits()-96))
	}
	if sixToFour.Overlaps(p) { // a range around 6to4 contains all of it
		inner = append(inner, netip.PrefixFrom(netip.AddrFrom4([4]byte(b[2:6])), min(max(p.Bits()-16, 0), 32)))
	}
	if r, ok := isatapInside(p); ok {
		inner = append(inner, r)
	}
	return inner
}

// isatapInside returns the IPv4 addresses embedded by ISATAP in a range. ok is false if the range doesn't contain the identifier.
func isatapInside(p netip.Prefix) (inner netip.Prefix, ok bool) {
	if p.Addr().Is4() || p.Bits() < 96 {
		return inner, false
	}
	b := p.Addr().As16()
	return netip.PrefixFrom(netip.AddrFrom4([4]byte(b[12:])), p.Bits()-96), isISATAP(b)
}
