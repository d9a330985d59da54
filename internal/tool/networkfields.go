package tool

import (
	"math"
	"net/netip"
	"strings"

	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/shape"
	"go.yaml.in/yaml/v3"
)

// PlacedPolicy is a network policy with the position of each of its rules.
type PlacedPolicy struct {
	Policy *network.Policy
	At     []shape.Position
}

func networkField(doc string) shape.Field[Tool] {
	s := networkShape()
	return shape.Field[Tool]{Key: "network", Doc: doc, Schema: s.Schema, Read: func(d *shape.Decoder, n *yaml.Node, into *Tool) {
		if v, ok := s.Read(d, n, "network"); ok {
			into.Network, into.EgressAt = v.Policy, v.At
		}
	}}
}

func networkShape() shape.Shape[PlacedPolicy] {
	mode := shape.Convert(shape.Choice("network mode", string(network.ModeNone), string(network.ModePublic), string(network.ModeOpen)),
		func(s string) PlacedPolicy { return PlacedPolicy{Policy: &network.Policy{Mode: network.Mode(s)}} })
	plain := EgressShape()
	keyed := shape.Object("network", []shape.Field[PlacedPolicy]{
		shape.Required(shape.Bind("egress", "The rules; the tool can reach only what they name.", EgressShape(),
			func(p *PlacedPolicy) *PlacedPolicy { return p })),
	}, nil)
	return shape.ByKind("none, public, open or a list of rules", &mode, &plain, &keyed)
}

// EgressShape returns the shape of a list of egress rules.
func EgressShape() shape.Shape[PlacedPolicy] {
	type rule struct {
		network.Rule
		at shape.Position
	}
	return shape.Convert(shape.List("a rule", shape.Located(RuleShape(), func(r network.Rule, at shape.Position) rule { return rule{r, at} })), func(rules []rule) PlacedPolicy {
		p := PlacedPolicy{Policy: &network.Policy{Mode: network.ModeList, Egress: make([]network.Rule, len(rules))}}
		for i, r := range rules {
			p.Policy.Egress[i] = r.Rule
			p.At = append(p.At, r.at)
		}
		return p
	})
}

// RuleShape returns the shape of an egress rule.
func RuleShape() shape.Shape[network.Rule] {
	host := shape.Convert(shape.Text(shape.Schema{"minLength": 1}, func(s string) (string, string) {
		if err := (network.Rule{Host: s}).Validate(); err != nil || s == "" {
			return "is not a host", "write a name such as api.example.com, *.example.com, or an address"
		}
		return "", ""
	}), strings.ToLower)
	cidr := shape.Convert(shape.Text(shape.Schema{"minLength": 1}, func(s string) (string, string) {
		if _, err := network.ParseCIDR(s); err != nil {
			return "is not a range of addresses", "write it as 10.0.0.0/8, without bits after the prefix"
		}
		return "", ""
	}), func(s string) netip.Prefix {
		p, _ := network.ParseCIDR(s) // checked above; the zero prefix of a problem is never used
		return p
	})
	return shape.Object("a rule", []shape.Field[network.Rule]{
		shape.Bind("host", "A name, *.name for every name below it, or an address.", host,
			func(r *network.Rule) *string { return &r.Host }),
		shape.Bind("cidr", "A range of addresses, which may be private ones.", cidr,
			func(r *network.Rule) *netip.Prefix { return &r.CIDR }),
		shape.Bind("ports", "Ports (443) and ranges of ports (8000-8100); all by default.", shape.List("port", portShape()),
			func(r *network.Rule) *[]network.PortRange { return &r.Ports }),
		shape.Bind("protocol", "tcp, udp or icmp; all by default.",
			shape.Convert(shape.Choice("protocol", string(network.TCP), string(network.UDP), string(network.ICMP)),
				func(s string) network.Protocol { return network.Protocol(s) }),
			func(r *network.Rule) *network.Protocol { return &r.Protocol }),
		shape.Bind("dns", "Names that the tool may look up, with the names below them, for records of any type. Addresses of a host need no dns; a cidr opens no names.", shape.List("a name of dns", dnsShape()),
			func(r *network.Rule) *[]string { return &r.DNS }),
	}, checkRule)
}

func dnsShape() shape.Shape[string] {
	return shape.Convert(shape.Text(shape.Schema{"minLength": 1}, func(s string) (string, string) {
		if err := (network.Rule{DNS: []string{s}}).Validate(); err != nil {
			return "is not a domain name", "write a name such as corp.example.com, without a wildcard"
		}
		return "", ""
	}), strings.ToLower)
}

func portShape() shape.Shape[network.PortRange] {
	s := shape.Convert(shape.Unambiguous(shape.Loose(func(s string) (string, string) {
		if _, err := network.ParsePorts(s); err != nil {
			return "is out of range", "write a number from 1 to 65535 or a range such as 8000-8100"
		}
		return "", ""
	})), func(s string) network.PortRange {
		p, _ := network.ParsePorts(s) // checked above; the zero range of a problem is never used
		return p
	})
	s.Schema = shape.Schema{"anyOf": []shape.Schema{
		{"type": "integer", "minimum": 1, "maximum": math.MaxUint16},
		{"type": "string", "pattern": `^\s*[0-9]{1,5}\s*(-\s*[0-9]{1,5}\s*)?$`},
	}}
	return s
}
