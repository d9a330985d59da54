package usernet

import (
	"cmp"
	"slices"
	"sync"

	"github.com/mayfly-run/mayfly/internal/network"
)

// grant is the narrowest rule that allows an allowed target.
//
// Where several names gave its address, nobody knows by which the tool meant
// it. A list has to hold all of them, since a name without a rule isn't looked
// up; so each grant takes the name that was granted least, the latest first.
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

// grants counts which names have been granted, in all and for a service.
type grants struct {
	mu    sync.Mutex
	count map[grantKey]int
}

type grantKey struct {
	name     string
	port     uint16 // with protocol, the service; both zero for the name itself
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
