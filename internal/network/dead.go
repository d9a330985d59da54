package network

import (
	"fmt"
	"net/netip"
)

// Dead says that a rule opens no destination, whatever other rules there are.
type Dead struct {
	Why string // for users
	// Machine says that the rule's author may have meant this machine, whose name is [HostName].
	Machine bool
}

// Dead says why the rule opens no destination. It returns nil if the rule may open one, or has only dns.
func (r Rule) Dead() *Dead {
	switch {
	case isHostName(r.Host):
		return nil
	case below(r.Host, "localhost"):
		// These names are for the loopback (RFC 6761 section 6.3), and the sandbox has its own.
		return &Dead{Why: r.Host + " is the sandbox itself", Machine: true}
	case !r.CIDR.IsValid() && (r.Host == "host.docker.internal" || r.Host == "host.containers.internal"):
		return &Dead{Why: r.Host + " is Docker's and podman's name for this machine", Machine: true}
	case below(r.Host, "mayfly.internal"):
		return &Dead{Why: HostName + " is the only name below mayfly.internal", Machine: true}
	}
	a, isAddr := literal(r.Host)
	if isAddr {
		t := newTarget(Destination{Address: a})
		if c, never := t.never(); never {
			return deadOf(r.Host+" is "+c.article(), c, "destination")
		}
		if r.CIDR.IsValid() && !r.contains(&t) {
			return &Dead{Why: fmt.Sprintf("%s is not in %s, and a destination must be in both", r.Host, r.CIDR)}
		}
	}
	if r.CIDR.IsValid() {
		if c, never := neverRange(unmapPrefix(r.CIDR)); never {
			return deadOf(r.CIDR.String()+" has only", c, "destinations")
		}
	}
	return nil
}

func deadOf(what string, c class, noun string) *Dead {
	return &Dead{
		Why:     fmt.Sprintf("%s %s %s, which no rule opens", what, c, noun),
		Machine: c == classLoopback || c == classUnspecified,
	}
}

// neverRange returns the class of a range in which no address is ever allowed, either itself or because of an embedded address;
// see [target.never]. It doesn't find a range that consists of several ranges of the table. It relies on the table having no
// range that may be opened inside a range that may not.
func neverRange(p netip.Prefix) (class, bool) {
	if p.Bits() == p.Addr().BitLen() {
		t := newTarget(Destination{Address: p.Addr()})
		return t.never()
	}
	for _, s := range specials() {
		if line := netip.MustParsePrefix(s.prefix); !s.class.opened() && line.Bits() <= p.Bits() && line.Contains(p.Addr()) {
			return s.class, true
		}
	}
	for _, inner := range rangesInside(p) {
		if c, never := neverRange(inner); never {
			return c, true
		}
	}
	return "", false
}
