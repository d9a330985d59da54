package usernet

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// localAddresses remembers the host's own addresses for a moment.
type localAddresses struct {
	read func() ([]netip.Addr, error)

	mu    sync.Mutex
	at    time.Time
	addrs map[netip.Addr]bool
	err   error
}

const localAddressesAge = time.Second

// has says whether an address is the host's own. When the kernel can't be
// asked, every address counts as one: refusing is the safe side.
func (l *localAddresses) has(addr netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.at) > localAddressesAge {
		var list []netip.Addr
		list, l.err = l.read()
		l.addrs = make(map[netip.Addr]bool, len(list))
		for _, a := range list {
			l.addrs[a.Unmap().WithZone("")] = true
		}
		l.at = time.Now()
	}
	return l.err != nil || l.addrs[addr.Unmap().WithZone("")]
}

func interfaceAddresses() ([]netip.Addr, error) {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			addrs = append(addrs, p.Addr())
		}
	}
	return addrs, nil
}
