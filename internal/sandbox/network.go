package sandbox

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/oci/wire"
	"github.com/mayfly-run/mayfly/internal/sandbox/usernet"
)

// The addresses of every sandbox's private link. Those of IPv4 are in
// 198.18.0.0/15, which is reserved for benchmarks (RFC 2544) and not used by
// real networks. Those of IPv6 have a unique local prefix (RFC 4193).
var (
	toolAddress4    = netip.MustParsePrefix("198.18.0.2/30")
	gatewayAddress4 = netip.MustParseAddr("198.18.0.1")
	toolAddress6    = netip.MustParsePrefix("fd6d:6179:666c:7900::2/64")
	gatewayAddress6 = netip.MustParseAddr("fd6d:6179:666c:7900::1")
)

// linkMTU is the largest MTU of a TUN device, in bytes. A network stack in Go is
// faster with fewer, larger packets.
const linkMTU = 65520

// networkMemory is the amount of memory, in bytes, from which on the garbage
// collector runs even if it is turned off.
const networkMemory = 96 << 20

// startNetwork connects the network namespace at netNS as the spec says. It
// returns nil if the sandbox has only its own loopback.
func startNetwork(start *wire.Start, netNS string, report func(engine.Connection)) (*usernet.Network, error) {
	spec := start.Spec
	if spec.Network.Mode == network.ModeNone {
		_, err := inNamespace(netNS, func() (struct{}, error) { return struct{}{}, errors.Join(boundSockets(), loopbackUp()) })
		if err != nil {
			return nil, fmt.Errorf("bring up the sandbox's loopback: %w", err)
		}
		return nil, nil
	}
	// The garbage collector may still be off, for a fast start. The tool's
	// packets must not make this process grow without it.
	debug.SetMemoryLimit(networkMemory)
	tun, err := inNamespace(netNS, openTUN)
	if err != nil {
		return nil, fmt.Errorf("make the sandbox's network: %w", err)
	}
	return usernet.Start(usernet.Config{
		TUN: tun, MTU: linkMTU,
		Tool4: toolAddress4.Addr(), Tool6: toolAddress6.Addr(), Gateway4: gatewayAddress4, Gateway6: gatewayAddress6,
		Policy: spec.Network, Mocks: mocksOf(start), Bandwidth: spec.Resources.Bandwidth, Report: report,
	})
}

// inNamespace calls f on a new thread that enters the network namespace at path.
// The thread is never unlocked, so it ends with its goroutine, and no other
// goroutine ever runs in the sandbox's namespace.
func inNamespace[T any](path string, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread()
		var r result
		ns, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Setns(ns, unix.CLONE_NEWNET)
			_ = unix.Close(ns)
		}
		if err != nil {
			r.err = fmt.Errorf("enter the network namespace: %w", err)
		} else {
			r.value, r.err = f()
		}
		done <- r
	}()
	r := <-done
	return r.value, r.err
}

// openTUN makes the sandbox's network device in the calling thread's network
// namespace. The device is persistent, so that closing its descriptor doesn't
// wait for the kernel; it ends with the namespace.
func openTUN() (_ *os.File, err error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, &engine.Unsupported{
			Feature: "network", Why: "/dev/net/tun can't be opened: " + err.Error(),
			Remedy: "load the tun module (modprobe tun) and let this user open /dev/net/tun, or use network: none",
		}
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	req, err := unix.NewIfreq("eth0")
	if err != nil {
		return nil, err
	}
	req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		return nil, fmt.Errorf("make the TUN device: %w", err)
	}
	if err := unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1); err != nil {
		return nil, fmt.Errorf("make the TUN device persistent: %w", err)
	}
	if err := errors.Join(boundSockets(), configureLink("eth0")); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "/dev/net/tun"), nil
}

func loopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

func configureLink(name string) error {
	if err := loopbackUp(); err != nil {
		return err
	}
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetMTU(link, linkMTU); err != nil {
		return err
	}
	gateways := []netip.Addr{gatewayAddress4}
	if err := addAddress(link, toolAddress4); err != nil {
		return err
	}
	switch err := addAddress(link, toolAddress6); {
	case err == nil:
		gateways = append(gateways, gatewayAddress6)
	case !noIPv6(err):
		return err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	for _, gateway := range gateways {
		route := &netlink.Route{LinkIndex: link.Attrs().Index, Gw: gateway.AsSlice()}
		if err := netlink.RouteAdd(route); err != nil {
			return fmt.Errorf("set the default route to %s: %w", gateway, err)
		}
	}
	if len(gateways) > 1 {
		return waitForAddress(toolAddress6.Addr())
	}
	return nil
}

// waitForAddress waits until the kernel accepts packets for an IPv6 address. The
// kernel makes an address's local route in a work queue, some time after it has
// set the address. Until then answers to the tool would be lost, and each would
// cost the tool a second.
func waitForAddress(addr netip.Addr) error {
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(50 * time.Microsecond) {
		if local, err := isLocal(addr); local || err != nil {
			return err
		}
	}
	return fmt.Errorf("the kernel doesn't take packets for %s", addr)
}

func isLocal(addr netip.Addr) (bool, error) {
	routes, err := netlink.RouteGet(addr.AsSlice())
	if err != nil {
		return false, fmt.Errorf("look for the route to %s: %w", addr, err)
	}
	return len(routes) > 0 && routes[0].Type == unix.RTN_LOCAL, nil
}

func addAddress(link netlink.Link, p netip.Prefix) error {
	addr, err := netlink.ParseAddr(p.String())
	if err != nil {
		return err
	}
	if p.Addr().Is6() {
		addr.Flags = unix.IFA_F_NODAD // nobody else is on the link
	}
	if err := netlink.AddrAdd(link, addr); err != nil {
		return fmt.Errorf("set address %s: %w", p, err)
	}
	return nil
}

// noIPv6 reports whether an address could not be set because the kernel was
// booted with ipv6.disable=1, was built without IPv6, or has
// net.ipv6.conf.default.disable_ipv6 set.
func noIPv6(err error) bool {
	return errors.Is(err, unix.EACCES) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT)
}

// resolvConf returns the sandbox's /etc/resolv.conf: the shim is its only DNS server.
func resolvConf(policy network.Policy) string {
	if policy.Mode == network.ModeNone {
		return "# this sandbox has no network\n"
	}
	return fmt.Sprintf("nameserver %s\nnameserver %s\noptions timeout:10 attempts:1\n", gatewayAddress4, gatewayAddress6)
}
