package tool

import (
	"math"
	"net/netip"
	"strings"

	"github.com/mayfly-run/mayfly/internal/network"
	"go.yaml.in/yaml/v3"
)

// placed is a network policy with where each of its rules stands.
type placed struct {
	policy *network.Policy
	at     []Position
}

func networkField(doc string) field[Tool] {
	s := networkShape()
	return field[Tool]{key: "network", doc: doc, schema: s.schema, read: func(d *decoder, n *yaml.Node, into *Tool) {
		if v, ok := s.read(d, n, "network"); ok {
			into.Network, into.EgressAt = v.policy, v.at
		}
	}}
}

func networkShape() shape[placed] {
	mode := convert(choice("network mode", string(network.ModeNone), string(network.ModePublic), string(network.ModeOpen)),
		func(s string) placed { return placed{policy: &network.Policy{Mode: network.Mode(s)}} })
	plain := egressShape()
	keyed := object("network", []field[placed]{
		needed(bind("egress", "The rules; what none of them names is out of reach.", egressShape(),
			func(p *placed) *placed { return p })),
	}, nil)
	return byKind("none, public, open or a list of rules", &mode, &plain, &keyed)
}

func egressShape() shape[placed] {
	type rule struct {
		network.Rule
		at Position
	}
	return convert(list("a rule", located(ruleShape(), func(r network.Rule, at Position) rule { return rule{r, at} })), func(rules []rule) placed {
		p := placed{policy: &network.Policy{Mode: network.ModeList, Egress: make([]network.Rule, len(rules))}}
		for i, r := range rules {
			p.policy.Egress[i] = r.Rule
			p.at = append(p.at, r.at)
		}
		return p
	})
}

func ruleShape() shape[network.Rule] {
	host := convert(text(schema{"minLength": 1}, func(s string) (string, string) {
		if err := (network.Rule{Host: s}).Validate(); err != nil || s == "" {
			return "is not a host", "write a name such as api.example.com, *.example.com, or an address"
		}
		return "", ""
	}), strings.ToLower)
	cidr := convert(text(schema{"minLength": 1}, func(s string) (string, string) {
		if _, err := network.ParseCIDR(s); err != nil {
			return "is not a range of addresses", "write it as 10.0.0.0/8, without bits after the prefix"
		}
		return "", ""
	}), func(s string) netip.Prefix {
		p, _ := network.ParseCIDR(s) // checked above; after a problem the zero prefix is never used
		return p
	})
	return object("a rule", []field[network.Rule]{
		bind("host", "A name, *.name for every name below it, or an address.", host,
			func(r *network.Rule) *string { return &r.Host }),
		bind("cidr", "A range of addresses, which may be private ones.", cidr,
			func(r *network.Rule) *netip.Prefix { return &r.CIDR }),
		bind("ports", "Ports (443) and ranges of them (8000-8100); all where there are none.", list("port", portShape()),
			func(r *network.Rule) *[]network.PortRange { return &r.Ports }),
		bind("protocol", "tcp, udp or icmp; all where none is given.",
			convert(choice("protocol", string(network.TCP), string(network.UDP), string(network.ICMP)),
				func(s string) network.Protocol { return network.Protocol(s) }),
			func(r *network.Rule) *network.Protocol { return &r.Protocol }),
		bind("dns", "Names that may be looked up, with those below them, for records of any type. A host's addresses are looked up without it; a cidr opens no names.", list("a name of dns", dnsShape()),
			func(r *network.Rule) *[]string { return &r.DNS }),
	}, checkRule)
}

func dnsShape() shape[string] {
	return convert(text(schema{"minLength": 1}, func(s string) (string, string) {
		if err := (network.Rule{DNS: []string{s}}).Validate(); err != nil {
			return "is not a suffix of names", "write a name such as corp.example.com, without a wildcard"
		}
		return "", ""
	}), strings.ToLower)
}

func portShape() shape[network.PortRange] {
	s := convert(unambiguous(loose(func(s string) (string, string) {
		if _, err := network.ParsePorts(s); err != nil {
			return "is out of range", "write a number from 1 to 65535 or a range such as 8000-8100"
		}
		return "", ""
	})), func(s string) network.PortRange {
		p, _ := network.ParsePorts(s) // checked above; after a problem the zero range is never used
		return p
	})
	s.schema = schema{"anyOf": []schema{
		{"type": "integer", "minimum": 1, "maximum": math.MaxUint16},
		{"type": "string", "pattern": `^\s*[0-9]{1,5}\s*(-\s*[0-9]{1,5}\s*)?$`},
	}}
	return s
}
