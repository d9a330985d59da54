package usernet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// localAddresses knows which addresses lead to this machine: those of its
// devices, which are cached for localAddressesAge, and those that the kernel
// routes to this machine.
type localAddresses struct {
	read  func() ([]netip.Addr, error)
	route func(netip.Addr) (here bool, err error) // nil means that routes don't count

	mu    sync.Mutex
	at    time.Time
	addrs map[netip.Addr]bool
	err   error
}

const localAddressesAge = time.Second

// has reports whether an address leads to the host itself. If the kernel can't be
// asked, has returns true for every address, so that connections are refused.
func (l *localAddresses) has(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	if l.hasDevice(addr) {
		return true
	}
	if l.route == nil {
		return false
	}
	here, err := l.route(addr)
	return err != nil || here
}

func (l *localAddresses) hasDevice(addr netip.Addr) bool {
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
	return l.err != nil || l.addrs[addr]
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

// routedHere asks the kernel for the route to an address (rtnetlink(7),
// RTM_GETROUTE). Some addresses lead to this machine although no device has
// them: broadcast addresses of its networks, a range that is routed to it as a
// whole (AnyIP), and a router's anycast addresses. The types of their routes say
// so.
func routedHere(addr netip.Addr) (bool, error) {
	routes, err := netlink.RouteGet(addr.AsSlice())
	switch {
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.EACCES), errors.Is(err, unix.EINVAL),
		errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.EOPNOTSUPP):
		return false, nil // there is no route, so dialling the address fails
	case err != nil:
		return false, fmt.Errorf("look for the route to %s: %w", addr, err)
	}
	for _, r := range routes {
		switch r.Type {
		case unix.RTN_LOCAL, unix.RTN_BROADCAST, unix.RTN_ANYCAST, unix.RTN_MULTICAST:
			return true, nil
		}
	}
	return false, nil
}
