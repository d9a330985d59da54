package policy

import (
	"math"
	"slices"
	"time"

	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// With returns what both policies allow. What a tool doesn't set gets the stricter of their defaults. Either may be nil; a nil p still
// stands for a host without a policy.
func (p *Policy) With(other *Policy) *Policy {
	if other == nil {
		return p
	}
	return &Policy{parts: slices.Concat(p.all(), other.all())}
}

// all returns the policies that p consists of.
func (p *Policy) all() []*Policy {
	if p == nil || p.parts == nil {
		return []*Policy{p}
	}
	return p.parts
}

// least returns the smaller one of two limits, of which zero isn't set.
func least[N int64 | time.Duration](a, b N) N {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// narrow gives a tool what is stricter in another one. Both were filled from the same tool, so what that one sets is the same in both.
func narrow(t, by *tool.Tool) {
	for _, l := range tool.Limits() {
		own := l.Of(&t.Resources)
		*own = least(*own, *l.Of(&by.Resources))
		if l.Hard != nil {
			hard := l.Hard(&t.Resources)
			*hard = least(*hard, *l.Hard(&by.Resources))
		}
	}
	t.Timeout = least(t.Timeout, by.Timeout)
	if reach(by.Network) < reach(t.Network) {
		t.Network = by.Network
	}
}

// reach orders networks by how much they reach. One that isn't set is replaced by any.
func reach(n *network.Policy) int {
	if n == nil {
		return math.MaxInt
	}
	return slices.Index([]network.Mode{network.ModeNone, network.ModeList, network.ModePublic, network.ModeOpen}, n.Mode)
}

// clamp keeps the defaults of one of several policies within the maxima of the others.
func (p *Policy) clamp(filled, written *tool.Tool) {
	if len(p.all()) < 2 {
		return
	}
	for _, one := range p.all() {
		if one == nil {
			continue
		}
		for _, l := range tool.Limits() {
			if own := l.Of(&filled.Resources); *l.Of(&written.Resources) == 0 && *own != 0 {
				*own = least(*own, *l.Of(&one.max.resources))
			}
		}
		if written.Timeout == 0 && filled.Timeout != 0 {
			filled.Timeout = least(filled.Timeout, one.max.timeout)
		}
	}
}
