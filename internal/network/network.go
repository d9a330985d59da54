// Package network decides which destinations a tool may reach.
//
// A [Policy] is data: a mode and, in mode "list", egress rules. [Policy.Decide] judges one connection attempt and
// [Policy.Resolves] one DNS question. Both are pure functions, so the same answer comes out in the sandbox and in
// a test. Nothing here opens a socket or asks a resolver.
//
// Some destinations are refused whatever a policy says; see the table in special.go. The order of judgement is: is the
// question well formed, is the destination one of the never-allowed ones, then the mode, then the rules. Rules can only
// add: no rule takes away what another one grants, so their order has no meaning.
package network

import (
	"errors"
	"fmt"
	"net/netip"
)

// HostName is the name under which a sandbox sees the machine that it runs on. Only a rule that spells it out, in mode
// "list", opens it; no wildcard and no address range does.
const HostName = "host.mayfly.internal"

// Modes are all modes.
func Modes() []Mode { return []Mode{ModeNone, ModePublic, ModeOpen, ModeList} }

// Mode says what is reachable before any rule is read.
type Mode string

// The modes. The zero Mode is none of them: it fails [Policy.Validate], and [Policy.Decide] denies everything under it.
const (
	// ModeNone reaches nothing.
	ModeNone Mode = "none"
	// ModePublic reaches what is globally reachable on the internet, and no private network.
	ModePublic Mode = "public"
	// ModeOpen reaches everything but the never-allowed destinations.
	ModeOpen Mode = "open"
	// ModeList reaches what the egress rules name.
	ModeList Mode = "list"
)

// Protocol is the transport of a connection, or of the connections that a rule is about.
type Protocol string

// The protocols that a sandbox can speak. In a [Rule] the empty Protocol stands for all of them; in a [Destination] it
// is an error and denied.
const (
	TCP  Protocol = "tcp"
	UDP  Protocol = "udp"
	ICMP Protocol = "icmp"
)

// PortRange is the ports from First to Last, both included. One port has First equal to Last.
type PortRange struct {
	First, Last uint16
}

// Port returns the range that holds the port p alone.
func Port(p uint16) PortRange { return PortRange{First: p, Last: p} }

// Contains reports whether p lies in the range.
func (r PortRange) Contains(p uint16) bool { return r.First <= p && p <= r.Last }

// Rule grants a set of destinations, and DNS questions. Each of Host, CIDR, Ports and Protocol that is given must hold; at
// least one of Host, CIDR and DNS is given. A rule with DNS alone grants questions and no destination.
type Rule struct {
	// Host is a DNS name ("api.example.com"), a wildcard for the names below one, at any depth and without that name
	// itself ("*.example.com"), or the text of an IP address. Names are ASCII: international ones in their xn-- form.
	//
	// A name, unlike a CIDR, never grants a private address: whoever holds the name could point it at one
	// (DNS rebinding).
	Host string `json:"host,omitempty"`
	// CIDR is a range of addresses; the zero Prefix restricts nothing. It grants private addresses too.
	CIDR netip.Prefix `json:"cidr,omitzero"`
	// Ports are the ports granted; none means every port. A rule with ports is never about ICMP, which has none.
	Ports []PortRange `json:"ports,omitempty"`
	// Protocol is the protocol granted; empty means every one.
	Protocol Protocol `json:"protocol,omitempty"`
	// DNS are suffixes ("corp.example.com"): questions of every type may be asked about these names and those below. Without
	// it a rule lets only the addresses be asked of the names that its Host matches, and a CIDR alone opens no name.
	DNS []string `json:"dns,omitempty"`
}

// Policy is what one sandbox may reach.
type Policy struct {
	Mode Mode `json:"mode"`
	// Egress are the rules of mode "list"; the other modes have none.
	Egress []Rule `json:"egress,omitempty"`
}

// Destination is what a tool tries to reach.
type Destination struct {
	// Names are the DNS names that lately resolved to Address for this sandbox, in lower case, without the final dot,
	// the most telling first.
	Names []string
	// Address is the address dialled; a zone and a v4-mapped form are looked through.
	Address netip.Addr
	// Port is the port dialled; it is without meaning for ICMP.
	Port uint16
	// Protocol is the transport.
	Protocol Protocol
	// Host says that the destination is this machine, by way of [HostName].
	Host bool
	// Local says that Address is one of this machine's own.
	Local bool
	// Unresolved says that the first name was never looked up, because no rule is about it (see [Policy.Resolves]) or
	// because a test's mocks answer for it: Address is then an invention that stands for the name, and is neither judged
	// nor shown. A name that may be asked could lead into any range, so ranges don't restrict such a destination; one that
	// may not leads into none.
	Unresolved bool
}

// Decision is the verdict on one destination.
type Decision struct {
	Allowed bool `json:"allowed"`
	// Rule is the text of what decided: "host *.slack.com:443", "mode open", "built-in link-local".
	Rule string `json:"rule"`
	// Host is the name that a rule matched, or else the best one to show: a DNS name where one is known, the address
	// otherwise.
	Host string `json:"host"`
	// Reason says to a person why the destination is denied; it is empty when it is allowed.
	Reason string `json:"reason,omitempty"`
	// Suggest is a rule that, added to a policy of mode "list", would allow the destination; nil where no rule could.
	Suggest *Rule `json:"suggest,omitempty"`
}

// Validate reports everything that is wrong with the policy, joined into one error, or nil.
func (p Policy) Validate() error {
	switch p.Mode {
	case ModeNone, ModePublic, ModeOpen:
		if len(p.Egress) > 0 {
			// Rules that nobody reads would make a policy look tighter than it is.
			return fmt.Errorf("network mode %q takes no egress rules; rules need mode %q", p.Mode, ModeList)
		}
		return nil
	case ModeList:
	default:
		return fmt.Errorf("network mode %q is not known; write none, public, open or list", p.Mode)
	}
	var errs []error
	for i, r := range p.Egress {
		if err := r.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("egress rule %d: %w", i+1, err))
		}
	}
	return errors.Join(errs...)
}
