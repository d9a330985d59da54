package tool

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/shape"
	"go.yaml.in/yaml/v3"
)

// This file has the checks of several keys at once.

// checkTool reports contradictions between the keys of a tool.
func checkTool(d *shape.Decoder, n *yaml.Node, t *Tool) {
	if shape.Has(n, "command") && shape.Has(n, "script") {
		later := shape.Child(n, "script")
		if c := shape.Child(n, "command"); c.Line > later.Line {
			later = c
		}
		d.Report(later, "a tool has both a command and a script", "keep one of them")
	}
	shape.Unique(d, n, "args", "argument name", t.Args, func(a Arg) string { return a.Name }, "name")
	shape.Unique(d, n, "args", "argument variable", t.Args, func(a Arg) string { return a.Env }, "env")
	shape.Unique(d, n, "volumes", "volume name", t.Volumes, func(v Volume) string { return v.Name }, "name")
	shape.Unique(d, n, "volumes", "mount path", t.Volumes, func(v Volume) string { return v.MountPath }, "mount_path")
	shape.Unique(d, n, "environment", "variable", t.Environment, func(e EnvVar) string { return e.Name }, "")
	shape.Unique(d, n, "outputs", "output", t.Outputs, func(s string) string { return s }, "")
	if security := shape.Resolve(shape.Child(n, "security")); shape.Has(n, "security") {
		shape.Unique(d, security, "capabilities", "capability", t.Security.Capabilities, func(s string) string { return s }, "")
	}
	// Mayfly sets the variables with the path of the output file.
	for i, e := range t.Environment {
		CheckReserved(d, e.Name, func() *yaml.Node { return shape.Item(n, "environment", i) })
	}
	for i, a := range t.Args {
		CheckReserved(d, a.Env, func() *yaml.Node { return shape.Item(n, "args", i) })
	}
}

// CheckReserved reports a variable that Mayfly sets in each run, since a tool's own value would be lost.
func CheckReserved(d *shape.Decoder, name string, at func() *yaml.Node) {
	if isReserved(name) {
		d.Report(at(), fmt.Sprintf("variable %s is set by Mayfly", shape.Quote(name)), "choose another name")
	}
}

func isReserved(name string) bool { return name == "MAYFLY_OUTPUT" || name == "KUBIYA_OUTPUT" }

func checkVolume(d *shape.Decoder, n *yaml.Node, v *Volume) {
	var sources []string
	for _, key := range []string{"secret", "file", "size", "cache"} {
		if shape.Has(n, key) {
			sources = append(sources, key)
		}
	}
	label := "a volume"
	if v.Name != "" {
		label = "volume " + shape.Quote(v.Name)
	}
	switch {
	case len(sources) == 0:
		d.Report(n, label+" has no source", "add one of secret, file, size or cache")
		return
	case len(sources) > 1:
		d.Report(shape.Child(n, sources[1]), fmt.Sprintf("%s has %d sources: %s", label, len(sources), strings.Join(sources, " and ")), "keep one of them")
		return
	}
	if !shape.Has(n, "mount_path") {
		if sources[0] != "secret" {
			d.Report(n, fmt.Sprintf("%s has no mount_path", label), "add the absolute path to mount at")
		} else if v.Name != "" {
			v.MountPath = SecretsDir + "/" + v.Name
		}
	}
}

func checkRule(d *shape.Decoder, n *yaml.Node, r *network.Rule) {
	if !shape.Has(n, "host") && !shape.Has(n, "cidr") {
		dns := shape.Resolve(shape.Child(n, "dns"))
		if dns == n || dns.Kind == yaml.SequenceNode && len(dns.Content) == 0 {
			d.Report(n, "a rule needs a host, a cidr or dns", "")
			return
		}
		for _, key := range []string{"ports", "protocol"} {
			if shape.Has(n, key) {
				d.Report(shape.Child(n, key), "a rule with dns alone has no "+key, "add a host or a cidr, or leave "+key+" out")
			}
		}
		return
	}
	if r.Protocol == network.ICMP && shape.Has(n, "ports") {
		d.Report(shape.Child(n, "ports"), "protocol icmp has no ports", "leave ports out")
		return
	}
	// A host and a cidr of one rule must both match, and nothing matches if the address is outside the range.
	if a, err := netip.ParseAddr(r.Host); err == nil && r.CIDR.IsValid() && !r.CIDR.Contains(a.Unmap()) {
		d.Report(shape.Child(n, "host"), fmt.Sprintf("address %s is outside the cidr of the same rule", r.Host), "write two rules to allow either")
	}
}

func checkRetry(d *shape.Decoder, n *yaml.Node, r *Retry) {
	if shape.Has(n, "backoff") && shape.Has(n, "max_backoff") && r.MaxBackoff < r.Backoff && r.Backoff != 0 {
		d.Report(shape.Child(n, "max_backoff"), fmt.Sprintf("max_backoff %s is shorter than backoff %s", shape.FormatDuration(r.MaxBackoff), shape.FormatDuration(r.Backoff)), "")
	}
	for i, status := range r.OnExit {
		if status != 0 && slices.Contains(r.OnExit[:i], status) {
			d.Report(shape.Item(n, "on_exit", i), fmt.Sprintf("exit status %d is given twice", status), "")
		}
	}
}
