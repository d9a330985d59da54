package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// target is a destination with what [Policy.Decide] needs to know about it.
type target struct {
	Destination
	addr   netip.Addr // unmapped, without zone
	class  class      // of addr
	inside embedded   // the IPv4 addresses in addr
	// resolves says that the policy allows looking the name up. It is only set for an unresolved target in mode "list".
	resolves bool
}

func newTarget(d Destination) target {
	t := target{Destination: d, addr: d.Address.Unmap().WithZone("")}
	if t.addr.IsValid() {
		t.class, t.inside = classOf(t.addr), embeddedIn(t.addr)
	}
	return t
}

// never returns the class of the target or of an address embedded in it, and whether no policy opens that class.
func (t *target) never() (class, bool) {
	if !t.class.opened() {
		return t.class, true
	}
	for _, a := range t.inside.all() {
		if c := classOf4(a); !c.opened() {
			return c, true
		}
	}
	return "", false
}

// Public reports whether an address is on the public internet: it is globally reachable, and so is each address embedded in it.
func Public(a netip.Addr) bool {
	t := newTarget(Destination{Address: a})
	_, never := t.never()
	return t.addr.IsValid() && t.public() && !never
}

func (t *target) public() bool {
	if t.Unresolved { // only the name counts, which could lead to a public address
		return true
	}
	return t.class == classPublic && t.publicInside()
}

func (t *target) publicInside() bool {
	for _, a := range t.inside.all() {
		if classOf4(a) != classPublic {
			return false
		}
	}
	return true
}

// show returns the best name of the target for people.
func (t *target) show() string {
	switch {
	case t.Host:
		return HostName
	case len(t.Names) > 0:
		return t.Names[0]
	case t.addr.IsValid():
		return t.addr.String()
	}
	return "unknown address"
}

// Decide says whether the tool may reach the destination and what decided it. If the tool may not, the decision also says why, and
// which rule would allow it. Decide denies what it doesn't know: an invalid address, an unknown protocol or an unknown mode.
func (p Policy) Decide(d Destination) Decision {
	t := newTarget(d)
	deny := func(rule, reason string) Decision {
		return Decision{Rule: rule, Host: t.show(), Reason: reason}
	}
	denyFor := func(mode Mode, reason string) Decision {
		out := deny("mode "+string(mode), reason)
		out.Suggest = t.suggest()
		return out
	}
	if !t.addr.IsValid() {
		return deny("built-in invalid address", "the destination has no valid address")
	}
	if t.Protocol != TCP && t.Protocol != UDP && t.Protocol != ICMP {
		return deny("built-in unknown protocol", fmt.Sprintf("protocol %q is not one of tcp, udp and icmp", t.Protocol))
	}
	if class, bad := t.never(); bad && (!t.Host || class != classLoopback) {
		return deny("built-in "+string(class), fmt.Sprintf("%s is %s %s destination, which no policy opens", t.addr, class.article(), class))
	}
	if t.Local && !t.Host {
		return deny("built-in own address",
			fmt.Sprintf("%s is an address of this machine; it is reachable only as %s", t.addr, HostName))
	}
	switch p.Mode {
	case ModeNone:
		return denyFor(p.Mode, "the network is off (mode none)")
	case ModeOpen, ModePublic:
		if t.Host {
			return denyFor(p.Mode, HostName+" is this machine, which only an egress rule that names it opens")
		}
		if p.Mode == ModePublic && !t.public() {
			return denyFor(p.Mode, fmt.Sprintf("%s is not a public address (mode public)", t.addr))
		}
		return Decision{Allowed: true, Rule: "mode " + string(p.Mode), Host: t.show()}
	case ModeList:
		return p.decideList(&t)
	}
	return deny("built-in unknown mode", fmt.Sprintf("network mode %q is not known", p.Mode))
}

func (p Policy) decideList(t *target) Decision {
	t.resolves = t.Unresolved && slices.ContainsFunc(t.Names, func(name string) bool { return p.Resolves(name, Addresses) })
	isPublic := t.public()
	rebound := "" // a name that a rule with only a host matches, although the address is private
	for i := range p.Egress {
		r := &p.Egress[i]
		name, ok := r.matches(t)
		if !ok {
			continue
		}
		if !isPublic && !t.Host && !r.namesAddresses() {
			rebound = name
			continue
		}
		return Decision{Allowed: true, Rule: r.Label(), Host: name}
	}
	out := Decision{Rule: "mode list", Host: t.show(), Suggest: t.suggest()}
	switch {
	case t.Host:
		out.Reason = HostName + " is this machine, which only an egress rule that names it opens"
	case rebound != "":
		out.Host = rebound
		out.Suggest = t.suggestFor(rebound)
		out.Reason = fmt.Sprintf("%s resolves to the private address %s, which a rule with only a host does not open; "+
			"give the rule a cidr too", HostText(rebound), t.addr)
	case t.otherName() != nil:
		out.Suggest = nil
		out.Reason = fmt.Sprintf("%s; this machine is %s, which only an egress rule that names it opens", t.otherName().Why, HostName)
	default:
		out.Reason = "no egress rule allows " + t.text()
		if r := p.rangeFor(t); r != nil && out.Suggest != nil {
			out.Suggest.CIDR = r.CIDR
			out.Reason += fmt.Sprintf("; the name isn't looked up: %s opens addresses, not names", r.Label())
		}
	}
	return out
}

// otherName says why the target's name opens nothing, if it is a name that other programs have for this machine. It returns nil
// for any other target.
func (t *target) otherName() *Dead {
	if len(t.Names) == 0 {
		return nil
	}
	if dead := (Rule{Host: t.Names[0]}).Dead(); dead != nil && dead.Machine {
		return dead
	}
	return nil
}

// rangeFor returns the first rule with only a range that would allow an unresolved target if its name had an address in the range.
// Whether it has one is unknown, but the author of the range may have meant the name too.
func (p Policy) rangeFor(t *target) *Rule {
	if !t.Unresolved || t.resolves {
		return nil
	}
	for i := range p.Egress {
		r := &p.Egress[i]
		if r.Host == "" && r.CIDR.IsValid() && (r.Protocol == "" || r.Protocol == t.Protocol) && r.matchesPort(t) {
			return r
		}
	}
	return nil
}

// text describes the target for a reason: "api.example.com (192.0.2.7) tcp port 443".
func (t *target) text() string {
	var b strings.Builder
	if len(t.Names) > 0 {
		b.WriteString(HostText(t.show()))
	} else {
		b.WriteString(t.show())
	}
	if len(t.Names) > 0 && !t.Unresolved {
		fmt.Fprintf(&b, " (%s)", t.addr)
	}
	fmt.Fprintf(&b, " %s", t.Protocol)
	if t.Protocol != ICMP {
		fmt.Fprintf(&b, " port %d", t.Port)
	}
	return b.String()
}

// suggest returns the narrowest rule that would allow the target, by name if there is one. It returns nil if no rule could.
func (t *target) suggest() *Rule {
	for _, name := range t.Names {
		if usable(name) {
			return t.suggestFor(name)
		}
	}
	if t.Unresolved {
		return nil // the address is a stand-in
	}
	return t.suggestFor("")
}

// HostText returns a host's name for people. Tools choose the names that they look up: HostText quotes an invalid name, so that it
// can't control a terminal or look like another line.
func HostText(name string) string {
	odd := strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f })
	if odd || validHost(name) != nil {
		return strconv.QuoteToASCII(name)
	}
	return name
}

// usable reports whether a rule can have a resolved name as its host: the name is valid, and means only itself in a rule.
func usable(name string) bool {
	return !strings.HasPrefix(name, "*") && !strings.EqualFold(name, HostName) && !isAddress(name) && validHost(name) == nil
}

func (t *target) suggestFor(name string) *Rule {
	r := &Rule{}
	switch {
	case t.Host:
		r.Host = HostName
	case usable(name):
		r.Host = strings.ToLower(name)
		if !t.public() {
			r.CIDR = netip.PrefixFrom(t.addr, t.addr.BitLen())
		}
	default:
		r.CIDR = netip.PrefixFrom(t.addr, t.addr.BitLen())
	}
	// Leave TCP out, so that the most common rule stays short: {host: …, ports: [443]}. People mean TCP by a port.
	if t.Protocol != TCP {
		r.Protocol = t.Protocol
	}
	if t.Protocol != ICMP && t.Port != 0 {
		r.Ports = []PortRange{Port(t.Port)}
	}
	return r
}

// Question is a kind of question about a DNS name.
type Question int

// The kinds that a policy distinguishes.
const (
	// Addresses are questions of the types A and AAAA.
	Addresses Question = iota
	// Records are questions of all other types.
	Records
)

// Resolves reports whether Mayfly may ask an upstream resolver the question about the DNS name. A question is itself a message to
// whoever runs the name's zone, and the answer is a message to the tool. So in mode "list" only two kinds of questions may be
// asked: for the addresses of names that a rule's Host matches, and for anything about names that a rule's DNS opens, whose zones
// the author trusts. Questions about [HostName] never go upstream, since Mayfly answers them.
func (p Policy) Resolves(name string, question Question) bool {
	_, ok := p.ResolvedBy(name, question)
	return ok
}

// ResolvedBy is like [Policy.Resolves], and also returns what decided it: a rule's label, or the mode.
func (p Policy) ResolvedBy(name string, question Question) (rule string, ok bool) {
	mode := "mode " + string(p.Mode)
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if name == "" || name == HostName {
		return mode, false
	}
	switch p.Mode {
	case ModeOpen, ModePublic:
		return mode, true
	case ModeList:
		for i := range p.Egress {
			r := &p.Egress[i]
			if question == Addresses && r.matchesName(name) || r.matchesDNS(name) {
				return r.Label(), true
			}
		}
	}
	return mode, false
}

// SuggestDNS returns the rule that opens every question about the name, or nil for a name that no rule can have.
func SuggestDNS(name string) *Rule {
	if !usable(name) {
		return nil
	}
	return &Rule{DNS: []string{strings.ToLower(name)}}
}
