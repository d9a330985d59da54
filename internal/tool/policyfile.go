package tool

import (
	"path"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/shape"
)

// PolicyFile is an operator's policy as it is written; policy.Policy is what it means. A list that isn't there is nil.
type PolicyFile struct {
	Defaults, Max PolicyLimits
	Networks      []string // modes
	// Egress are the rules, and EgressAt where each stands.
	Egress   []network.Rule
	EgressAt []shape.Position
	// Capabilities are those of capabilities(7), with or without CAP_, and root.
	Capabilities, Runtimes, Images []string
	ReadOnly                       bool
}

// PolicyLimits are values for what a tool can ask; zero means not said.
type PolicyLimits struct {
	Resources Resources
	Timeout   time.Duration
	Network   network.Mode
}

// ParsePolicy reads a policy. An empty file is an empty one. The error is an *[shape.Error].
func ParsePolicy(file string, data []byte) (*PolicyFile, error) {
	p, err := shape.Parse(shape.Format{Bounds: shape.LargeBounds(), MayBeEmpty: true}, file, data, policyShape(), "the policy")
	if err != nil {
		return nil, err
	}
	return &p, nil
}

func policyShape() shape.Shape[PolicyFile] {
	mode := shape.Choice("network mode", string(network.ModeNone), string(network.ModeList), string(network.ModePublic), string(network.ModeOpen))
	egress := egressShape()
	return shape.Object("the policy", []shape.Field[PolicyFile]{
		shape.Bind("defaults", "What a tool has that says nothing.", policyLimits(true), func(p *PolicyFile) *PolicyLimits { return &p.Defaults }),
		shape.Bind("max", "What a tool may ask for at most.", policyLimits(false), func(p *PolicyFile) *PolicyLimits { return &p.Max }),
		shape.Bind("networks", "The network modes that tools may use.", shape.List("a network", mode), func(p *PolicyFile) *[]string { return &p.Networks }),
		{Key: "egress", Doc: "The rules that each egress rule of a tool has to be inside.", Schema: egress.Schema, Read: func(d *shape.Decoder, n *yaml.Node, into *PolicyFile) {
			if rules, ok := egress.Read(d, n, "egress"); ok {
				into.Egress, into.EgressAt = rules.policy.Egress, rules.at
			}
		}},
		shape.Bind("capabilities", "The capabilities that a tool may ask for.", shape.List("a capability", shape.Text(nil, checkCapability)), func(p *PolicyFile) *[]string { return &p.Capabilities }),
		shape.Bind("runtimes", "The runtimes that tools may use.", shape.List("a runtime", shape.Choice("runtime", "default", "gvisor")), func(p *PolicyFile) *[]string { return &p.Runtimes }),
		shape.Bind("images", "Patterns of the images that tools may use.", shape.List("an image", shape.Text(nil, checkImagePattern)), func(p *PolicyFile) *[]string { return &p.Images }),
		shape.Bind("read_only", "Whether the image's file system has to stay read-only.", shape.Boolean(), func(p *PolicyFile) *bool { return &p.ReadOnly }),
	}, checkPolicy)
}

// policyLimits are the keys of a tool's resources and time-out, and its network mode among the defaults.
func policyLimits(defaults bool) shape.Shape[PolicyLimits] {
	var fields []shape.Field[PolicyLimits]
	for _, f := range resourcesFields() {
		fields = append(fields, shape.Field[PolicyLimits]{Key: f.Key, Doc: f.Doc, Schema: f.Schema, Read: func(d *shape.Decoder, n *yaml.Node, into *PolicyLimits) {
			f.Read(d, n, &into.Resources)
		}})
	}
	fields = append(fields, shape.Bind("timeout", "The time-out of an attempt.", TimeoutShape(), func(l *PolicyLimits) *time.Duration { return &l.Timeout }))
	what := "max"
	if defaults {
		what = "defaults"
		mode := shape.Convert(shape.Choice("network mode", string(network.ModeNone), string(network.ModePublic), string(network.ModeOpen)),
			func(s string) network.Mode { return network.Mode(s) })
		fields = append(fields, shape.Bind("network", "The network mode.", mode, func(l *PolicyLimits) *network.Mode { return &l.Network }))
	}
	return shape.Object(what, fields, nil)
}

func checkImagePattern(s string) (wrong, hint string) {
	if _, err := path.Match(s, ""); err != nil || strings.TrimSpace(s) == "" {
		return "is not a pattern of images", "write it as registry.example.com/tools/*, alpine:* or alpine@*"
	}
	return "", ""
}

// checkPolicy refuses what would have no tool run, or more reached than the egress rules.
func checkPolicy(d *shape.Decoder, n *yaml.Node, p *PolicyFile) {
	at := func(key string) *yaml.Node {
		if found := shape.KeyOf(n, key); found != nil {
			return found
		}
		return n
	}
	if p.Networks != nil && len(p.Networks) == 0 {
		d.Report(at("networks"), "networks is empty, so no tool could run", "list what is allowed, such as [none]")
	}
	if p.Egress == nil {
		return
	}
	for _, mode := range []network.Mode{network.ModePublic, network.ModeOpen} {
		if slices.Contains(p.Networks, string(mode)) {
			d.Report(at("networks"), "networks: "+string(mode)+" reaches more than any egress rules", "leave it out, or leave egress out")
		}
		if p.Defaults.Network == mode {
			d.Report(at("defaults"), "defaults: network "+string(mode)+" reaches more than any egress rules", "leave it out, and tools that say nothing have the egress")
		}
	}
}
