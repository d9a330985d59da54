package network

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// matches reports whether every part of the rule matches the target, and the name that matched.
func (r *Rule) matches(t *target) (name string, ok bool) {
	if r.Protocol != "" && r.Protocol != t.Protocol {
		return "", false
	}
	if !r.matchesPort(t) {
		return "", false
	}
	if r.CIDR.IsValid() && !t.in(r) {
		return "", false
	}
	if t.Host {
		// Only its exact name opens this machine. The author of a range or wildcard that happens to match it probably
		// didn't think of it.
		return HostName, isHostName(r.Host)
	}
	if r.Host == "" {
		return t.show(), r.CIDR.IsValid()
	}
	if isHostName(r.Host) {
		return "", false
	}
	for _, name := range t.Names {
		if r.matchesName(name) {
			return name, true
		}
	}
	if a, isAddr := literal(r.Host); isAddr && !t.Unresolved && a == t.addr {
		return r.Host, true
	}
	return "", false
}

// in reports whether the target is in the rule's range. An unresolved target may be in any range if its name may be looked up.
func (t *target) in(r *Rule) bool {
	if t.Unresolved {
		return t.resolves
	}
	return r.contains(t)
}

// matchesDNS reports whether the rule grants every question about the name.
func (r *Rule) matchesDNS(name string) bool {
	return slices.ContainsFunc(r.DNS, func(suffix string) bool { return below(name, suffix) })
}

// below reports whether a name is the suffix or below it, ignoring case (RFC 4343).
func below(name, suffix string) bool {
	at := len(name) - len(suffix)
	return suffix != "" && at >= 0 && strings.EqualFold(name[at:], suffix) && (at == 0 || name[at-1] == '.')
}

// isHostName reports whether s is HostName, ignoring case. It compares the lengths first, since Decide calls it for every rule.
func isHostName(s string) bool { return len(s) == len(HostName) && strings.EqualFold(s, HostName) }

func (r *Rule) matchesPort(t *target) bool {
	if len(r.Ports) == 0 {
		return true
	}
	if t.Protocol == ICMP {
		return false
	}
	for _, ports := range r.Ports {
		if ports.Contains(t.Port) {
			return true
		}
	}
	return false
}

// matchesName reports whether the rule's host matches a DNS name, ignoring case (RFC 4343).
func (r *Rule) matchesName(name string) bool {
	suffix, wild := strings.CutPrefix(r.Host, "*")
	if !wild {
		// A host that is an address matches only addresses. A DNS name can look like an address, but doesn't match it.
		return len(r.Host) == len(name) && name != "" && strings.EqualFold(r.Host, name) && !isAddress(r.Host)
	}
	if len(suffix) < 2 || suffix[0] != '.' || len(name) <= len(suffix) {
		return false
	}
	return strings.EqualFold(name[len(name)-len(suffix):], suffix)
}

// contains reports whether the rule's range contains the target's address or the IPv4 address embedded in it. If an embedded
// address has several readings, the range must contain all of them, since it is unknown which is right.
//
// An IPv6 range contains a private IPv4 address that ISATAP embeds only if the range contains the whole interface identifier.
// Every /64 has ISATAP addresses for all of IPv4, and the author of such a range doesn't think of them.
func (r *Rule) contains(t *target) bool {
	c := unmapPrefix(r.CIDR)
	if c.Contains(t.addr) && (!t.inside.isatap || c.Bits() >= 96 || t.publicInside()) {
		return true
	}
	for _, a := range t.inside.all() {
		if !c.Contains(netip.AddrFrom4(a)) {
			return false
		}
	}
	return t.inside.n > 0
}

// namesAddresses reports whether the rule has a range or an address. Only such a rule opens private addresses.
func (r *Rule) namesAddresses() bool { return r.CIDR.IsValid() || isAddress(r.Host) }

// unmapPrefix turns a range of IPv4-mapped addresses into the IPv4 range.
func unmapPrefix(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

func isAddress(host string) bool {
	_, ok := literal(host)
	return ok
}

// literal parses a host that is an address. It checks the first character before it calls the parser, since most hosts are names.
func literal(host string) (netip.Addr, bool) {
	if host == "" || !strings.Contains(host, ":") && (host[0] < '0' || host[0] > '9') {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(host)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}

// Validate returns an error that joins everything that is wrong with the rule, or nil.
func (r Rule) Validate() error {
	var errs []error
	switch {
	case r.Host != "" || r.CIDR.IsValid():
	case len(r.DNS) == 0:
		errs = append(errs, errors.New("a rule needs a host, a cidr or dns"))
	case len(r.Ports) > 0 || r.Protocol != "":
		errs = append(errs, errors.New("a rule with dns alone has no ports and no protocol"))
	}
	for _, suffix := range r.DNS {
		errs = append(errs, validSuffix(suffix))
	}
	if r.Host != "" {
		errs = append(errs, validHost(r.Host))
	}
	if r.CIDR.IsValid() {
		errs = append(errs, validCIDR(r.CIDR))
	}
	for _, ports := range r.Ports {
		errs = append(errs, ports.validate())
	}
	switch r.Protocol {
	case "", TCP, UDP:
	case ICMP:
		if len(r.Ports) > 0 {
			errs = append(errs, errors.New("protocol icmp has no ports"))
		}
	default:
		errs = append(errs, fmt.Errorf("protocol %q is not known; write tcp, udp or icmp", string(r.Protocol)))
	}
	return errors.Join(errs...)
}

func (r PortRange) validate() error {
	switch {
	case r.First == 0:
		return fmt.Errorf("port range %s starts at 0; ports go from 1 to 65535", r)
	case r.Last < r.First:
		return fmt.Errorf("port range %s ends before it starts", r)
	}
	return nil
}

func validCIDR(p netip.Prefix) error {
	if p.Addr().Is4In6() && p.Bits() < 96 {
		return fmt.Errorf("cidr %q mixes IPv4 and IPv6; write one rule for each", p)
	}
	if m := p.Masked(); m != p {
		return fmt.Errorf("cidr %q has bits set after the prefix; write %s", p, m)
	}
	return nil
}

// validHost checks a rule's host by RFC 1123 section 2.1 and RFC 1035 section 2.3.4. It also allows the underscore, which real
// names have.
func validHost(host string) error {
	if isAddress(host) {
		return nil
	}
	name, wild := strings.CutPrefix(host, "*.")
	if wild && strings.HasSuffix("."+strings.ToLower(name), "."+HostName) {
		return fmt.Errorf("host %q: %s has no names below it", host, HostName)
	}
	switch {
	case len(host) > 253:
		return fmt.Errorf("host of %d characters is too long; a DNS name has at most 253", len(host))
	case strings.Contains(host, "://"):
		return fmt.Errorf("host %q is a URL; write only the name in it", host)
	case strings.HasSuffix(host, "."):
		return fmt.Errorf("host %q ends with a dot; leave it out", host)
	case strings.Contains(name, "*"):
		return fmt.Errorf("host %q: the wildcard stands only for the leftmost label, as in *.example.com", host)
	}
	for i := range len(host) {
		if host[i] >= 0x80 {
			return fmt.Errorf("host %q is not ASCII; write an international name in its xn-- form", host)
		}
	}
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if err := validLabel(host, label); err != nil {
			return err
		}
	}
	// Many resolvers read a name whose last label is a number as an address ("127.1", "0x7f.1"), which Decide wouldn't have
	// judged. RFC 1123 doesn't allow such names.
	if last := strings.ToLower(labels[len(labels)-1]); numeric(last) {
		return fmt.Errorf("host %q ends in a number but is not an IP address", host)
	}
	return nil
}

// validSuffix checks a suffix in a rule's DNS.
func validSuffix(suffix string) error {
	switch {
	case isAddress(suffix):
		return fmt.Errorf("dns suffix %q is an address; write a name", suffix)
	case strings.HasPrefix(suffix, "*"):
		return fmt.Errorf("dns suffix %q has a wildcard; a suffix always includes the names below it, so leave the wildcard out", suffix)
	case below(suffix, HostName):
		return fmt.Errorf("dns suffix %q: Mayfly answers for %s itself", suffix, HostName)
	}
	return validHost(suffix)
}

func validLabel(host, label string) error {
	switch {
	case label == "":
		return fmt.Errorf("host %q has an empty label", host)
	case len(label) > 63:
		return fmt.Errorf("host %q has a label of %d characters; at most 63 are allowed", host, len(label))
	case label[0] == '-' || label[len(label)-1] == '-':
		return fmt.Errorf("host %q has a label that starts or ends with a hyphen", host)
	}
	for _, c := range label {
		ok := c == '-' || c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !ok {
			return fmt.Errorf("host %q has the character %q, which no DNS name has", host, c)
		}
	}
	return nil
}

// numeric reports whether a label is a decimal or hexadecimal number.
func numeric(label string) bool {
	digits := "0123456789"
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		label, digits = hex, "0123456789abcdef"
	}
	return strings.Trim(label, digits) == ""
}
