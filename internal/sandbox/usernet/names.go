package usernet

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// names remembers which names led to which addresses, so that a rule for a host
// applies to the address that the tool dials. The tool can't add to it.
type names struct {
	mu       sync.Mutex
	byAddr   map[netip.Addr][]nameEntry
	standIns map[string]netip.Addr
	stands   map[netip.Addr]string // standIns in the other direction
}

type nameEntry struct {
	name    string
	expires time.Time
}

const (
	maxNamedAddresses = 8192
	maxNamesOfAddress = 16
	maxStandIns       = 4096
	// nameGrace is how long an answer counts after its time to live, because
	// programs keep addresses for a while.
	nameGrace = 10 * time.Minute
)

func newNames() *names {
	return &names{byAddr: map[netip.Addr][]nameEntry{}, standIns: map[string]netip.Addr{}, stands: map[netip.Addr]string{}}
}

// learn records an answer. If there are too many, it forgets old ones;
// connections to their addresses are then decided only by address.
func (n *names) learn(name string, addr netip.Addr, ttl time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	addr = addr.Unmap()
	if _, known := n.byAddr[addr]; !known && len(n.byAddr) >= maxNamedAddresses {
		n.evict()
	}
	list := slices.DeleteFunc(n.byAddr[addr], func(e nameEntry) bool { return e.name == name })
	list = append([]nameEntry{{name, time.Now().Add(ttl + nameGrace)}}, list...)
	n.byAddr[addr] = list[:min(len(list), maxNamesOfAddress)]
}

// evict forgets expired addresses, or any one address if none has expired.
func (n *names) evict() {
	now := time.Now()
	before := len(n.byAddr)
	for addr, list := range n.byAddr {
		if now.After(list[0].expires) {
			delete(n.byAddr, addr)
		}
	}
	if len(n.byAddr) == before {
		for addr := range n.byAddr {
			delete(n.byAddr, addr)
			return
		}
	}
}

// of returns the names that led to an address, latest first.
func (n *names) of(addr netip.Addr) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if name, ok := n.stands[addr]; ok {
		return []string{name}
	}
	now := time.Now()
	var out []string
	for _, e := range n.byAddr[addr.Unmap()] {
		if now.Before(e.expires) {
			out = append(out, e.name)
		}
	}
	return out
}

// standInRange has the stand-in addresses: of names that the policy doesn't allow
// to be looked up. A connection to a stand-in is refused and reported with the
// name and the port, and the name doesn't leave the machine. The range is the
// other half of 198.18.0.0/15 (RFC 2544), which networks don't use.
var standInRange = netip.MustParsePrefix("198.19.0.0/16")

func isStandIn(addr netip.Addr) bool { return standInRange.Contains(addr) }

// standIn returns the stand-in address of a name, or the zero Addr if there are
// too many.
func (n *names) standIn(name string) netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	if addr, ok := n.standIns[name]; ok {
		return addr
	}
	if len(n.standIns) >= maxStandIns {
		return netip.Addr{}
	}
	base := standInRange.Addr().As4()
	binary.BigEndian.PutUint32(base[:], binary.BigEndian.Uint32(base[:])+uint32(len(n.standIns))+1)
	addr := netip.AddrFrom4(base)
	n.standIns[name] = addr
	n.stands[addr] = name
	return addr
}
