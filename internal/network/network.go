// Package network decides which destinations a tool may reach.
//
// A [Policy] is data: a mode and, in mode "list", egress rules. [Policy.Decide] judges one attempt to connect and
// [Policy.Resolves] one DNS question. Both are pure functions, so they give the same answer in a sandbox and in a test.
// This package doesn't open sockets or ask resolvers.
//
// No policy opens some destinations; see the table in special.go. Decide denies a malformed destination first, then those
// that no policy opens, and then looks at the mode and the rules. A rule only adds: it never takes away what another rule
// grants, so the order of rules doesn't matter.
package network

import (
	"errors"
	"fmt"
	"net/netip"
)

// HostName is the name that a sandbox has for the machine that it runs on. Only a rule with exactly this name, in mode "list",
// opens it; a wildcard or an address range doesn't.
const HostName = "host.mayfly.internal"

// Modes returns all modes.
func Modes() []Mode { return []Mode{ModeNone, ModePublic, ModeOpen, ModeList} }

// Mode says what a tool may reach without rules.
type Mode string

// The modes. The zero Mode is not a mode: [Policy.Validate] returns an error for it, and [Policy.Decide] denies everything.
const (
	// ModeNone reaches nothing.
	ModeNone Mode = "none"
	// ModePublic reaches every public address, and no private network.
	ModePublic Mode = "public"
	// ModeOpen reaches everything except the destinations that no policy opens.
	ModeOpen Mode = "open"
	// ModeList reaches what the egress rules name.
	ModeList Mode = "list"
)

// Protocol is the transport protocol of a connection, or of the connections that a rule grants.
type Protocol string

// The protocols that a sandbox can use. In a [Rule] an empty Protocol means all of them; in a [Destination] it is denied.
const (
	TCP  Protocol = "tcp"
	UDP  Protocol = "udp"
	ICMP Protocol = "icmp"
)

// PortRange is the ports from First to Last, inclusive. For a single port, First equals Last.
type PortRange struct {
	First, Last uint16
}

// Port returns the range of the single port p.
func Port(p uint16) PortRange { return PortRange{First: p, Last: p} }

// Contains reports whether p is in the range.
func (r PortRange) Contains(p uint16) bool { return r.First <= p && p <= r.Last }

// Rule grants a set of destinations, and DNS questions. A destination must match each of Host, CIDR, Ports and Protocol that is set.
// At least one of Host, CIDR and DNS is set. A rule with only DNS grants questions and no destination.
type Rule struct {
	// Host is a DNS name ("api.example.com"), a wildcard for all names below one, which doesn't match that name itself
	// ("*.example.com"), or an IP address. Names are ASCII; international names are in their xn-- form.
	//
	// Unlike a CIDR, a name never grants a private address, since the owner of the name could point it at one (DNS
	// rebinding).
	Host string `json:"host,omitempty"`
	// CIDR is a range of addresses. It grants private addresses too. The zero Prefix matches every address.
	CIDR netip.Prefix `json:"cidr,omitzero"`
	// Ports are the ports that the rule grants; empty means every port. A rule with ports doesn't match ICMP, which has no ports.
	Ports []PortRange `json:"ports,omitempty"`
	// Protocol is the protocol that the rule grants; empty means every protocol.
	Protocol Protocol `json:"protocol,omitempty"`
	// DNS has suffixes ("corp.example.com"). It grants questions of every type about these names and the names below them.
	// A rule without DNS grants only questions for the addresses of the names that its Host matches, and with only a CIDR
	// it grants no questions.
	DNS []string `json:"dns,omitempty"`
}

// Policy is what one sandbox may reach.
type Policy struct {
	Mode Mode `json:"mode"`
	// Egress has the rules of mode "list"; it is empty in the other modes.
	Egress []Rule `json:"egress,omitempty"`
}

// Destination is what a tool tries to reach.
type Destination struct {
	// Names are the DNS names that recently resolved to Address for this sandbox, in lower case, without the final dot,
	// the most informative first.
	Names []string
	// Address is the address that the tool dials. Its zone doesn't matter, and an IPv4-mapped address counts as IPv4.
	Address netip.Addr
	// Port is the port that the tool dials; ICMP has none.
	Port uint16
	// Protocol is the transport protocol.
	Protocol Protocol
	// Host says that the destination is this machine under the name [HostName].
	Host bool
	// Local says that Address belongs to this machine.
	Local bool
	// Unresolved says that the first name was never looked up, because no rule allows it (see [Policy.Resolves]) or because
	// a test's mocks answer for it. Address is then only a stand-in for the name: Decide neither judges nor shows it. If the
	// policy allows looking the name up, the name could have an address in any range, so every range matches; otherwise no
	// range matches.
	Unresolved bool
}

// Decision is the verdict on one destination.
type Decision struct {
	Allowed bool `json:"allowed"`
	// Rule is the text of what decided: "host *.slack.com:443", "mode open", "built-in link-local".
	Rule string `json:"rule"`
	// Host is the name that a rule matched. Without a match it is the best name to show: a DNS name if one is known, and
	// otherwise the address.
	Host string `json:"host"`
	// Reason tells users why the destination is denied; it is empty if it is allowed.
	Reason string `json:"reason,omitempty"`
	// Suggest is a rule that would allow the destination if it were added to a policy of mode "list"; nil if no rule could.
	Suggest *Rule `json:"suggest,omitempty"`
}

// Validate returns an error that joins everything that is wrong with the policy, or nil.
func (p Policy) Validate() error {
	switch p.Mode {
	case ModeNone, ModePublic, ModeOpen:
		if len(p.Egress) > 0 {
			// Rules without effect would make a policy look stricter than it is.
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
