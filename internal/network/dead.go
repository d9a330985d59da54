package network

import (
	"fmt"
	"net/netip"
)

// Dead is a rule that opens no destination, whatever it is beside.
type Dead struct {
	Why string
	// Machine says that the rule's author may have meant this machine, which has the name [HostName].
	Machine bool
}

// Dead says why the rule opens no destination; nil where it may open one. A rule of dns alone is about none.
func (r Rule) Dead() *Dead {
	switch {
	case isHostName(r.Host):
		return nil
	case below(r.Host, "localhost"):
		// RFC 6761, section 6.3: these names are the loopback's, which is the sandbox's own.
		return &Dead{Why: r.Host + " is the sandbox itself", Machine: true}
	case !r.CIDR.IsValid() && (r.Host == "host.docker.internal" || r.Host == "host.containers.internal"):
		return &Dead{Why: r.Host + " is Docker's and podman's name for this machine", Machine: true}
	case below(r.Host, "mayfly.internal"):
		return &Dead{Why: HostName + " is the only name of Mayfly's", Machine: true}
	}
	a, isAddr := literal(r.Host)
	if isAddr {
		t := newTarget(Destination{Address: a})
		if c, never := t.never(); never {
			return deadOf(r.Host+" is a", c, "destination")
		}
		if r.CIDR.IsValid() && !r.contains(&t) {
			return &Dead{Why: fmt.Sprintf("%s is not in %s, and a destination has to be in both", r.Host, r.CIDR)}
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

// neverRange returns the class of a range of which no address is ever allowed, itself or by one embedded in it; see
// [target.never]. It doesn't find that of one that is put together of several ranges of the table. No range of the table
// that may be opened is inside of one that may not.
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
