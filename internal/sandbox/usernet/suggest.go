package usernet

import (
	"cmp"
	"slices"
	"sync"

	"github.com/mayfly-run/mayfly/internal/network"
)

// grant returns the narrowest rule that allows an allowed target, or "".
//
// If several names led to its address, the name that the tool used is unknown. A
// list of rules must contain all of them, because a name without a rule isn't
// looked up. So each grant is for the name that was granted least often, and
// among these for the latest.
func (n *Network) grant(t *target) string {
	d := t.Destination
	if !d.Host {
		n.granted.mu.Lock()
		defer n.granted.mu.Unlock()
		d.Names = n.granted.order(t)
	}
	rule := network.Policy{Mode: network.ModeList}.Decide(d).Suggest
	if rule == nil {
		return ""
	}
	if rule.Host != "" {
		n.granted.add(rule.Host, t)
	}
	return rule.String()
}

// grants counts how often names were granted, in total and for each service.
type grants struct {
	mu    sync.Mutex
	count map[grantKey]int
}

type grantKey struct {
	name     string
	port     uint16 // port and protocol are the service; both are zero for the total
	protocol network.Protocol
}

const maxGrants = 4 * maxNamedAddresses

// order sorts the names of a target by how often they were granted.
func (g *grants) order(t *target) []string {
	names := slices.Clone(t.Names)
	slices.SortStableFunc(names, func(a, b string) int {
		return cmp.Or(
			min(g.count[grantKey{name: a}], 1)-min(g.count[grantKey{name: b}], 1),
			g.count[grantKey{a, t.Port, t.Protocol}]-g.count[grantKey{b, t.Port, t.Protocol}],
		)
	})
	return names
}

func (g *grants) add(name string, t *target) {
	if g.count == nil || len(g.count) > maxGrants {
		g.count = map[grantKey]int{}
	}
	g.count[grantKey{name: name}]++
	g.count[grantKey{name, t.Port, t.Protocol}]++
}
