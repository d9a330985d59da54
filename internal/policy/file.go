package policy

import (
	"path"
	"slices"
	"strings"
	"time"

	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/tool"
	"go.yaml.in/yaml/v3"
)

// Parse is Load for a policy that isn't this host's: of says whose it is, such as "the project a", and name stands for its file in places.
func Parse(of, name string, data []byte) (*Policy, error) {
	p, err := parse(name, data)
	if err != nil {
		return nil, err
	}
	p.of = of
	return p, nil
}

// parse parses a policy. An empty file is an empty policy. The error is a *[shape.Error].
func parse(path string, data []byte) (*Policy, error) {
	format := shape.Format{Bounds: shape.LargeBounds(), MayBeEmpty: true}
	p, err := shape.Parse(format, path, data, policyShape(), "the policy")
	if err != nil {
		return nil, err
	}
	p.path = path
	return &p, nil
}

func policyShape() shape.Shape[Policy] {
	mode := shape.Choice("network mode", string(network.ModeNone), string(network.ModeList), string(network.ModePublic), string(network.ModeOpen))
	egress := shape.Convert(tool.EgressShape(), func(rules tool.PlacedPolicy) *bound { return &bound{rules.Policy.Egress, rules.At} })
	return shape.Object("the policy", []shape.Field[Policy]{
		shape.Bind("defaults", "The values of tools that don't set their own.", limitsShape(true), func(p *Policy) *limits { return &p.defaults }),
		shape.Bind("max", "The most that a tool may ask for.", limitsShape(false), func(p *Policy) *limits { return &p.max }),
		shape.Bind("networks", "The network modes that tools may use.", shape.List("a network", mode), func(p *Policy) *[]string { return &p.modes }),
		shape.Bind("egress", "Each egress rule of a tool must be inside one of these rules.", egress, func(p *Policy) **bound { return &p.egress }),
		shape.Bind("capabilities", "The capabilities that a tool may ask for.", shape.List("a capability", shape.Text(nil, tool.CheckCapability)), func(p *Policy) *[]string { return &p.capabilities }),
		shape.Bind("runtimes", "The runtimes that tools may use.", shape.List("a runtime", shape.Choice("runtime", "default", "gvisor")), func(p *Policy) *[]string { return &p.runtimes }),
		shape.Bind("images", "Patterns of the images that tools may use.", shape.List("an image", shape.Text(nil, checkImagePattern)), func(p *Policy) *[]string { return &p.images }),
		shape.Bind("secrets", "Which tools may use which secrets: patterns of secrets by patterns of tools.", secretsShape(), func(p *Policy) *map[string][]string { return &p.secrets }),
		shape.Bind("concurrency", "How many runs a server has run at once.", atOnceShape(), func(p *Policy) *atOnce { return &p.atOnce }),
		shape.Bind("read_only", "Whether the image's file system must stay read-only.", shape.Boolean(), func(p *Policy) *bool { return &p.readOnly }),
	}, checkPolicy)
}

// limitsShape returns the shape of max or defaults: the keys of a tool's resources and timeout, and for defaults also its network mode.
func limitsShape(defaults bool) shape.Shape[limits] {
	var fields []shape.Field[limits]
	for _, f := range tool.ResourcesFields() {
		fields = append(fields, shape.Field[limits]{Key: f.Key, Doc: f.Doc, Schema: f.Schema, Read: func(d *shape.Decoder, n *yaml.Node, into *limits) {
			f.Read(d, n, &into.resources)
		}})
	}
	fields = append(fields, shape.Bind("timeout", "The time-out of an attempt.", tool.TimeoutShape(), func(l *limits) *time.Duration { return &l.timeout }))
	what := "max"
	if defaults {
		what = "defaults"
		mode := shape.Convert(shape.Choice("network mode", string(network.ModeNone), string(network.ModePublic), string(network.ModeOpen)),
			func(s string) network.Mode { return network.Mode(s) })
		fields = append(fields, shape.Bind("network", "The network mode.", mode, func(l *limits) *network.Mode { return &l.network }))
	}
	return shape.Object(what, fields, nil)
}

// mark keeps where the keys of a mapping are.
func mark(d *shape.Decoder, n *yaml.Node, prefix string, at map[string]shape.Position) {
	if n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		at[prefix+shape.Resolve(n.Content[i]).Value] = d.Position(n.Content[i])
	}
}

// place is where a key is in the policy, or the policy's file.
func (p *Policy) place(key string) string {
	if at, ok := p.at[key]; ok {
		return at.String()
	}
	return p.path
}

func checkImagePattern(s string) (wrong, hint string) {
	if _, err := path.Match(s, ""); err != nil || strings.TrimSpace(s) == "" {
		return "is not a pattern of images", "write it as registry.example.com/tools/*, alpine:* or alpine@*"
	}
	return "", ""
}

// checkPolicy reports networks that would let no tool run, and networks and defaults that reach more than the egress rules.
func checkPolicy(d *shape.Decoder, n *yaml.Node, p *Policy) {
	p.at = map[string]shape.Position{}
	mark(d, n, "", p.at)
	if most := shape.Child(n, "max"); most != n {
		mark(d, shape.Resolve(most), "max.", p.at)
	}
	at := func(key string) *yaml.Node {
		if found := shape.KeyOf(n, key); found != nil {
			return found
		}
		return n
	}
	if p.modes != nil && len(p.modes) == 0 {
		d.Report(at("networks"), "networks is empty, so no tool can run", "list what is allowed, such as [none]")
	}
	if p.egress == nil {
		return
	}
	for _, mode := range []network.Mode{network.ModePublic, network.ModeOpen} {
		if slices.Contains(p.modes, string(mode)) {
			d.Report(at("networks"), "networks: "+string(mode)+" reaches more than any egress rules", "leave it out, or leave egress out")
		}
		if p.defaults.network == mode {
			d.Report(at("defaults"), "defaults: network "+string(mode)+" reaches more than any egress rules", "leave it out; then tools without a network get the egress rules")
		}
	}
}
