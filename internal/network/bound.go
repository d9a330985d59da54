package network

import (
	"net/netip"
	"slices"
)

// Part is a part of a rule, by the name that it has in a file.
type Part string

// The parts by which a rule can be outside of another, in the order in which they are compared.
const (
	PartHost     Part = "host"
	PartCIDR     Part = "cidr"
	PartProtocol Part = "protocol"
	PartPorts    Part = "ports"
	PartDNS      Part = "dns"
)

// Outside returns the first part of the rule by which it grants more than the bound does, or "" where it is inside of it:
// whatever destination and whatever DNS question a list of the rule alone allows, a list of the bound alone allows too.
// It may find a rule outside that is inside by the sum of its parts, never the other way round.
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
	// The text of a wildcard is at or below a wildcard as the names are that it stands for.
	return !ownIsAddress && bound.matchesName(r.Host)
}

// rangeInside compares the addresses, for a rule whose host is inside the bound.
func (r *Rule) rangeInside(bound *Rule) bool {
	if !bound.CIDR.IsValid() {
		// A name alone opens no private address; a range beside it does.
		return !r.CIDR.IsValid() || bound.grantsPrivate() || isHostName(r.Host)
	}
	most := unmapPrefix(bound.CIDR)
	if r.CIDR.IsValid() {
		own := unmapPrefix(r.CIDR)
		inside := own.Bits() >= most.Bits() && most.Contains(own.Addr())
		if inside && most.Bits() < 96 {
			// A range that spells ISATAP's identifier out holds more than one that doesn't; see contains.
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

// inside reports whether the ranges hold every port of this one, be it together.
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

// parent is the name that a wildcard's names are below; any other host is its own.
func parent(host string) string {
	if len(host) > 2 && host[:2] == "*." {
		return host[2:]
	}
	return host
}

// GrantsPrivate reports whether the rule opens an address that isn't public, or this machine. Ranges are judged whole:
// one such address in them is enough.
func (r Rule) GrantsPrivate() bool {
	if isHostName(r.Host) {
		return true
	}
	p, ok := r.ownRange()
	return ok && !publicRange(p)
}

// NamesPrivate reports whether the rule is for addresses that aren't public alone, or for this machine: what it opens of them
// is meant, and isn't just within a wide range.
func (r Rule) NamesPrivate() bool {
	if isHostName(r.Host) {
		return true
	}
	p, ok := r.ownRange()
	return ok && privateRange(p)
}

// ByName reports whether the rule is for a host by its name, or for those of a wildcard: what it opens are addresses, at which
// others may answer. This machine's name is none of them.
func (r Rule) ByName() bool {
	return r.Host != "" && !isHostName(r.Host) && !isAddress(r.Host)
}

// ownRange is the range of a rule for addresses.
func (r *Rule) ownRange() (p netip.Prefix, ok bool) {
	if a, ok := literal(r.Host); ok {
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	return unmapPrefix(r.CIDR), r.CIDR.IsValid()
}

// publicRange reports whether every address of the range is public, and every IPv4 address that the range spells out
// inside of one. (ISATAP's, of which any /64 has all, are not part of a range that doesn't spell them out; see contains.)
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

// privateRange reports whether no address of the range is public, or only for the IPv4 addresses in it that aren't.
func privateRange(p netip.Prefix) bool {
	around, some := classesOf(p)
	if !around {
		return !some[true]
	}
	embedded := rangesInside(p)
	return len(embedded) > 0 && !slices.ContainsFunc(embedded, func(inner netip.Prefix) bool { return !privateRange(inner) })
}

// classesOf says whether the special range around one is public, and of those in it whether some are public (true) or
// aren't (false).
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

// sixToFour has IPv4 addresses behind its prefix (RFC 3056, section 2).
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
	if sixToFour.Overlaps(p) { // a range around it has all of it
		inner = append(inner, netip.PrefixFrom(netip.AddrFrom4([4]byte(b[2:6])), min(max(p.Bits()-16, 0), 32)))
	}
	if r, ok := isatapInside(p); ok {
		inner = append(inner, r)
	}
	return inner
}

// isatapInside returns the IPv4 addresses embedded by way of ISATAP in a range that spells the identifier out.
func isatapInside(p netip.Prefix) (inner netip.Prefix, ok bool) {
	if p.Addr().Is4() || p.Bits() < 96 {
		return inner, false
	}
	b := p.Addr().As16()
	return netip.PrefixFrom(netip.AddrFrom4([4]byte(b[12:])), p.Bits()-96), isISATAP(b)
}
