package policy

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// Allowance describes what a policy allows under one of its keys.
type Allowance struct {
	Key  string // a key of the policy
	Text string // for users
}

// Allows returns what the policy allows, with the defaults last. It returns nil for a nil Policy.
func (p *Policy) Allows() []Allowance {
	if p == nil {
		return nil
	}
	egress := "anything that the tool's network reaches"
	if p.egress != nil {
		egress = p.egress.text(len(p.egress.rules))
	}
	capabilities := builtinCapabilities
	if p.capabilities != nil {
		capabilities = p.capabilities
	}
	readOnly := "tools may set read_only: false"
	if p.readOnly {
		readOnly = "the image's file system must stay read-only"
	}
	silent := p.Filled(&tool.Tool{})
	return []Allowance{
		{"networks", p.networks()},
		{"egress", egress},
		{"images", anyOr(p.images)},
		{"max", cmp.Or(p.max.String(), "no limit")},
		{"capabilities", listOr(capabilities)},
		{"runtimes", anyOr(p.runtimes)},
		{"read_only", readOnly},
		{"secrets", p.secretsText()},
		{"concurrency", p.atOnce.String()},
		{"defaults", limitsOf(silent).String() + ", network " + string(silent.Network.Mode)},
	}
}

func (p *Policy) networks() string {
	list := p.modes
	switch {
	case list == nil && p.egress != nil:
		return listOr([]string{string(network.ModeNone), string(network.ModeList)})
	case list == nil:
		return anyOr(nil)
	case p.egress == nil && slices.Contains(list, string(network.ModeList)) && !slices.Contains(list, string(network.ModeOpen)):
		return listOr(list) + "; a list may not contain private addresses"
	}
	return listOr(list)
}

// RefusedDefault returns why the policy refuses a tool that sets nothing, or nil if such a tool may run.
func (p *Policy) RefusedDefault() *DeniedError {
	_, err := p.Apply(&tool.Tool{})
	var denied *DeniedError
	errors.As(err, &denied) // without an image there is no other error
	return denied
}

// DeadImages returns the patterns that can't match an image: those without a wildcard that aren't a valid name, and those with an
// empty part. Other patterns may match no image either. all says that no other pattern is left, so the policy refuses every image.
func (p *Policy) DeadImages() (dead []string, all bool) {
	if p == nil || p.images == nil {
		return nil, false
	}
	for _, pattern := range p.images {
		_, err := image.Canonical(pattern)
		if strings.Contains(pattern, "//") || err != nil && !strings.ContainsAny(pattern, `*?[\`) {
			dead = append(dead, pattern)
		}
	}
	return dead, len(dead) == len(p.images)
}

// number is one of the limits. A value of zero means that it isn't set.
type number struct {
	key   string // the key in a tool
	value int64
	text  string // the value with its unit, for users
}

// name returns the key in a policy.
func (n number) name() string { return n.key[strings.LastIndexByte(n.key, '.')+1:] }

func (l limits) numbers() []number {
	var list []number
	for _, limit := range tool.Limits() {
		value := *limit.Of(&l.resources)
		list = append(list, number{"resources." + limit.Name, value, limit.Text(value)})
	}
	return append(list, number{"timeout", int64(l.timeout), l.timeout.String()})
}

// String lists the limits that are set.
func (l limits) String() string {
	var list []string
	for _, n := range l.numbers() {
		if n.value != 0 {
			list = append(list, n.name()+" "+n.text)
		}
	}
	return strings.Join(list, ", ")
}

// limitsOf returns the limits that a tool asks for. Each volume with a size has its own file system, whose size is added to the
// disk.
func limitsOf(t *tool.Tool) limits {
	l := limits{resources: t.Resources, timeout: t.Timeout}
	for _, v := range t.Volumes {
		l.resources.Disk += v.Size
	}
	return l
}

func anyOr(items []string) string {
	if items == nil {
		return "any"
	}
	return listOr(items)
}

func listOr(items []string) string {
	if len(items) == 0 {
		return "none"
	}
	return strings.Join(items, ", ")
}

// allowsOnly says which items the policy allows, for a [DeniedError].
func allowsOnly(items []string) string {
	if len(items) == 0 {
		return "it allows none"
	}
	return "it allows only " + listOr(items)
}
