package tool

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/mayfly-run/mayfly/internal/network"
)

// Defaults returns a copy of the tool with a default for everything that the definition leaves out, except the image and what
// to run. t is unchanged.
//
// Bandwidth, user and working directory have no default here: without them there is no limit, the engine picks the user, and
// the image's directory is used.
func (t *Tool) Defaults() *Tool {
	out := t.Clone()
	out.Resources.CPU = cmp.Or(out.Resources.CPU, 1000)
	out.Resources.Memory = cmp.Or(out.Resources.Memory, 512<<20)
	out.Resources.Disk = cmp.Or(out.Resources.Disk, 1<<30)
	out.Resources.PIDs = cmp.Or(out.Resources.PIDs, 512)
	out.Timeout = cmp.Or(out.Timeout, 10*time.Minute)
	if out.Security.ReadOnly == nil {
		readOnly := true
		out.Security.ReadOnly = &readOnly
	}
	out.Security.Runtime = cmp.Or(out.Security.Runtime, "default")
	if out.Network == nil {
		out.Network = &network.Policy{Mode: network.ModeOpen}
	}
	if r := out.Retry; r != nil {
		r.Backoff = cmp.Or(r.Backoff, time.Second)
		r.MaxBackoff = cmp.Or(r.MaxBackoff, max(time.Minute, r.Backoff))
	}
	return out
}

// Clone returns a deep copy of the tool, so that neither copy sees changes of the other.
func (t *Tool) Clone() *Tool {
	out := *t
	if t.Command != nil {
		c := *t.Command
		c.Argv = slices.Clone(c.Argv)
		out.Command = &c
	}
	if t.Script != nil {
		s := *t.Script
		out.Script = &s
	}
	out.Args = slices.Clone(t.Args)
	for i, a := range out.Args {
		out.Args[i].Options = slices.Clone(a.Options)
		if a.Default != nil {
			v := *a.Default
			out.Args[i].Default = &v
		}
	}
	out.Environment = slices.Clone(t.Environment)
	out.Volumes = slices.Clone(t.Volumes)
	out.Security.Capabilities = slices.Clone(t.Security.Capabilities)
	if t.Security.ReadOnly != nil {
		b := *t.Security.ReadOnly
		out.Security.ReadOnly = &b
	}
	if t.Network != nil {
		p := network.Policy{Mode: t.Network.Mode, Egress: slices.Clone(t.Network.Egress)}
		for i, r := range p.Egress {
			p.Egress[i].Ports, p.Egress[i].DNS = slices.Clone(r.Ports), slices.Clone(r.DNS)
		}
		out.Network, out.EgressAt = &p, slices.Clone(t.EgressAt)
	}
	if t.Retry != nil {
		r := *t.Retry
		r.OnExit = slices.Clone(r.OnExit)
		out.Retry = &r
	}
	out.Outputs = slices.Clone(t.Outputs)
	out.Labels = maps.Clone(t.Labels)
	return &out
}
