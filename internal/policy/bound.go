package policy

import (
	"fmt"
	"slices"

	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// bound has the policy's egress rules. Each rule of a tool must be inside one of them.
type bound struct {
	rules []network.Rule
	at    []shape.Position
}

// checkEgress refuses a tool whose network reaches more than the policy's egress rules. If the policy has no egress rules but doesn't
// allow mode open, it refuses lists with private addresses or this machine, which would be the same as that mode.
func (p *Policy) checkEgress(t, written *tool.Tool) error {
	switch {
	case p.egress == nil && (p.modes == nil || slices.Contains(p.modes, string(network.ModeOpen))):
		return nil
	case t.Network.Mode == network.ModeList:
	case p.egress != nil && t.Network.Mode != network.ModeNone:
		return &DeniedError{What: "network " + string(t.Network.Mode), Allows: "it has egress rules, so a tool may have network none or a list inside them", Policy: p.place("egress")}
	default:
		return nil
	}
	for i, r := range t.Network.Egress {
		allows, where := "", p.place("networks")
		if p.egress != nil {
			if allows, where = p.egress.outside(r); where == "" {
				where = p.place("egress")
			}
		} else if r.GrantsPrivate() {
			allows = "its networks don't include open, so an egress list may not contain private addresses or " + network.HostName + "; set egress in the policy, which replaces open and public, to allow them"
		}
		if allows != "" {
			e := &DeniedError{What: "the egress rule " + place(r, t.EgressAt, i), Allows: allows, Policy: where}
			if written.Network == nil {
				e.Missing, e.At = "network", written.Source.Position
			}
			return e
		}
	}
	return nil
}

// A wide rule of the policy allows only public addresses.
const privateNotNamed = "it opens private addresses, and the policy's rule %s allows only public ones; allow private ones with a separate rule, such as {cidr: \"10.0.0.0/8\"}"

// outside says why a rule is outside the bound. allows explains the difference to the nearest rule of the bound, and where is the place
// of that rule in the policy. allows is "" if the rule is inside.
func (b *bound) outside(r network.Rule) (allows, where string) {
	// A rule with the right host and the wrong port is nearer than one with another host.
	order := []network.Part{network.PartHost, network.PartCIDR, network.PartProtocol, network.PartPorts, network.PartDNS}
	nearest, by := -1, network.Part("")
	private, wide := r.GrantsPrivate(), -1
	for i, most := range b.rules {
		part := r.Outside(most)
		switch {
		case part == "" && private && !most.NamesPrivate():
			wide = i
			continue
		case part == "":
			return "", ""
		}
		if slices.Index(order, part) > slices.Index(order, by) {
			nearest, by = i, part
		}
	}
	switch {
	case wide >= 0:
		return fmt.Sprintf(privateNotNamed, b.rules[wide]), b.at[wide].String()
	case by == "":
		return "its egress is empty", ""
	}
	near, where := b.rules[nearest].String(), b.at[nearest].String()
	switch by {
	case network.PartHost, network.PartCIDR:
		return "none of its egress rules covers it; it allows only " + b.text(5), b.at[0].String()
	case network.PartDNS:
		return fmt.Sprintf("it opens DNS names that %s doesn't", near), where
	case network.PartProtocol:
		return "its protocol goes beyond " + near, where
	}
	return "its ports go beyond " + near, where
}

// text lists the first rules, at most most.
func (b *bound) text(most int) string {
	var list []string
	for _, r := range b.rules[:min(len(b.rules), most)] {
		list = append(list, r.String())
	}
	if more := len(b.rules) - most; more > 0 {
		list = append(list, fmt.Sprintf("and %d more", more))
	}
	return listOr(list)
}

// place returns the text of a rule with its place in the file.
func place(r network.Rule, at []shape.Position, i int) string {
	if i < len(at) {
		return fmt.Sprintf("%s (%s)", r, at[i])
	}
	return r.String()
}
