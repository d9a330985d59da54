package tool

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/network"
	"go.yaml.in/yaml/v3"
)

// This file holds the checks that look at several keys at once.

// checkTool finds contradictions between the keys of a tool.
func checkTool(d *decoder, n *yaml.Node, t *Tool) {
	if has(n, "command") && has(n, "script") {
		later := child(n, "script")
		if c := child(n, "command"); c.Line > later.Line {
			later = c
		}
		d.report(later, "a tool has both a command and a script", "keep one of them")
	}
	unique(d, n, "args", "argument name", t.Args, func(a Arg) string { return a.Name }, "name")
	unique(d, n, "args", "argument variable", t.Args, func(a Arg) string { return a.Env }, "env")
	unique(d, n, "volumes", "volume name", t.Volumes, func(v Volume) string { return v.Name }, "name")
	unique(d, n, "volumes", "mount path", t.Volumes, func(v Volume) string { return v.MountPath }, "mount_path")
	unique(d, n, "environment", "variable", t.Environment, func(e EnvVar) string { return e.Name }, "")
	unique(d, n, "outputs", "output", t.Outputs, func(s string) string { return s }, "")
	if security := resolve(child(n, "security")); has(n, "security") {
		unique(d, security, "capabilities", "capability", t.Security.Capabilities, func(s string) string { return s }, "")
	}
	// The variables that tell a tool where its output file is are not its own to set.
	for i, e := range t.Environment {
		reserved(d, e.Name, func() *yaml.Node { return item(n, "environment", i) })
	}
	for i, a := range t.Args {
		reserved(d, a.Env, func() *yaml.Node { return item(n, "args", i) })
	}
}

// reserved reports a variable that a run sets itself, so that a tool's own value would be lost.
func reserved(d *decoder, name string, at func() *yaml.Node) {
	if isReserved(name) {
		d.report(at(), fmt.Sprintf("variable %s is set by Mayfly", quote(name)), "choose another name")
	}
}

func isReserved(name string) bool { return name == "MAYFLY_OUTPUT" || name == "KUBIYA_OUTPUT" }

func checkVolume(d *decoder, n *yaml.Node, v *Volume) {
	var sources []string
	for _, key := range []string{"secret", "file", "size", "cache"} {
		if has(n, key) {
			sources = append(sources, key)
		}
	}
	label := "a volume"
	if v.Name != "" {
		label = "volume " + quote(v.Name)
	}
	switch {
	case len(sources) == 0:
		d.report(n, label+" has no source", "add one of secret, file, size or cache")
		return
	case len(sources) > 1:
		d.report(child(n, sources[1]), fmt.Sprintf("%s has %d sources: %s", label, len(sources), strings.Join(sources, " and ")), "keep one of them")
		return
	}
	if !has(n, "mount_path") {
		if sources[0] != "secret" {
			d.report(n, fmt.Sprintf("%s has no mount_path", label), "add the absolute path to mount at")
		} else if v.Name != "" {
			v.MountPath = secretsDir + "/" + v.Name
		}
	}
}

func checkRule(d *decoder, n *yaml.Node, r *network.Rule) {
	if !has(n, "host") && !has(n, "cidr") {
		dns := resolve(child(n, "dns"))
		if dns == n || dns.Kind == yaml.SequenceNode && len(dns.Content) == 0 {
			d.report(n, "a rule needs a host, a cidr or dns", "")
			return
		}
		for _, key := range []string{"ports", "protocol"} {
			if has(n, key) {
				d.report(child(n, key), "a rule with dns alone has no "+key, "add a host or a cidr, or leave "+key+" out")
			}
		}
		return
	}
	if r.Protocol == network.ICMP && has(n, "ports") {
		d.report(child(n, "ports"), "protocol icmp has no ports", "leave ports out")
		return
	}
	// A host and a cidr must both hold, which for an address outside the range nothing does.
	if a, err := netip.ParseAddr(r.Host); err == nil && r.CIDR.IsValid() && !r.CIDR.Contains(a.Unmap()) {
		d.report(child(n, "host"), fmt.Sprintf("address %s is outside the cidr of the same rule", r.Host), "write two rules to allow either")
	}
}

func checkRetry(d *decoder, n *yaml.Node, r *Retry) {
	if has(n, "backoff") && has(n, "max_backoff") && r.MaxBackoff < r.Backoff && r.Backoff != 0 {
		d.report(child(n, "max_backoff"), fmt.Sprintf("max_backoff %s is shorter than backoff %s", short(r.MaxBackoff), short(r.Backoff)), "")
	}
	for i, status := range r.OnExit {
		if status != 0 && slices.Contains(r.OnExit[:i], status) {
			d.report(item(n, "on_exit", i), fmt.Sprintf("exit status %d is given twice", status), "")
		}
	}
}
