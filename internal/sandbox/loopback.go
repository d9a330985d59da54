package sandbox

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/oci/wire"
	"github.com/mayfly-run/mayfly/internal/sandbox/usernet"
)

// startLoopback passes connections to the loopback of the network namespace at netNS to the spec's mocks, for ports on
// which nothing in the sandbox listens. It returns nil if the spec has no such mocks.
//
// The kernel does it (TPROXY): a connection's first packet goes to a listener of this process, unless it finds a socket of
// the sandbox. So the tool may listen and connect in any order, and connections to a port without mocks are still refused.
func startLoopback(start *wire.Start, netNS string, report func(engine.Connection)) (*usernet.Loopback, error) {
	mocks := start.Spec.Mocks
	if mocks == nil || len(mocks.Loopback) == 0 {
		return nil, nil
	}
	debug.SetMemoryLimit(networkMemory) // see startNetwork
	listeners, err := inNamespace(netNS, func() ([]*net.TCPListener, error) { return takeLoopback(mocks.Loopback) })
	if err != nil {
		return nil, &engine.Unsupported{
			Feature: "mocks of the sandbox's localhost", Why: "the kernel can't hand connections over: " + err.Error(),
			Remedy: "load its modules (modprobe -a nf_tables nft_tproxy nft_socket), or don't mock localhost",
		}
	}
	return usernet.ServeLoopback(usernet.LoopbackConfig{Listeners: listeners, Connections: start.Local.Connections, Report: report}), nil
}

// takeLoopback listens for the mocked connections, and sets the kernel's rules, in the calling thread's network namespace.
func takeLoopback(ports []network.PortRange) (_ []*net.TCPListener, err error) {
	var listeners []*net.TCPListener
	defer func() {
		if err != nil {
			for _, l := range listeners {
				_ = l.Close()
			}
		}
	}()
	rules := loopbackRules{ports: ports}
	// The gateway's addresses don't belong to the namespace, so only the rules lead to these listeners: the tool can't
	// connect to them directly.
	for _, addr := range []netip.Addr{gatewayAddress4, gatewayAddress6} {
		l, err := listenTransparent(addr)
		if addr.Is6() && noIPv6(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("listen for them: %w", err)
		}
		listeners = append(listeners, l)
		rules.to = append(rules.to, l.Addr().(*net.TCPAddr).AddrPort())
	}
	return listeners, rules.set()
}

// listenTransparent listens at an address that needn't belong to the namespace, for connections to any address (IP_TRANSPARENT,
// ip(7)).
func listenTransparent(addr netip.Addr) (*net.TCPListener, error) {
	kind, level, option := "tcp4", unix.SOL_IP, unix.IP_TRANSPARENT
	if addr.Is6() {
		kind, level, option = "tcp6", unix.SOL_IPV6, unix.IPV6_TRANSPARENT
	}
	c := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		return errors.Join(raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, option, 1) }), err)
	}}
	c.SetMultipathTCP(false) // the kernel's lookup for TPROXY finds only TCP sockets
	l, err := c.Listen(context.Background(), kind, netip.AddrPortFrom(addr, 0).String())
	if err != nil {
		return nil, err
	}
	return l.(*net.TCPListener), nil
}

// loopbackRules are these rules, in the language of nft(8):
//
//	table inet mayfly {
//	  chain loopback {
//	    type filter hook prerouting priority mangle; policy accept
//	    iifname lo tcp flags & (fin|syn|rst|ack) == syn socket transparent 0 accept
//	    iifname lo tcp flags & (fin|syn|rst|ack) == syn ip daddr 127.0.0.0/8 tcp dport … tproxy ip to …
//	    iifname lo tcp flags & (fin|syn|rst|ack) == syn ip6 daddr ::1 tcp dport … tproxy ip6 to …
//	  }
//	}
//
// A socket that isn't transparent belongs to the sandbox. It listens, or its connection ended recently and the kernel must
// see the packet (TIME_WAIT).
type loopbackRules struct {
	ports []network.PortRange
	to    []netip.AddrPort
}

func (r loopbackRules) set() error {
	rules := [][]byte{bytes.Join([][]byte{firstPacket(), loadTransparent(), equal(0), accept()}, nil)}
	for _, to := range r.to {
		port := binary.BigEndian.AppendUint16(nil, to.Port())
		for _, ports := range r.ports {
			first, last := binary.BigEndian.AppendUint16(nil, ports.First), binary.BigEndian.AppendUint16(nil, ports.Last)
			rules = append(rules, bytes.Join([][]byte{
				firstPacket(), toLoopback(to.Addr().Is6()),
				loadPayload(unix.NFT_PAYLOAD_TRANSPORT_HEADER, tcpDestination, 2), between(first, last),
				set(unix.NFT_REG_1, to.Addr().AsSlice()), set(unix.NFT_REG_2, port), transparentProxy(family(to.Addr().Is6())),
			}, nil))
		}
	}
	return applyRules("mayfly", "loopback", rules)
}

// Offsets and flags of headers: RFC 9293, 3.1; RFC 791, 3.1; RFC 8200, 3.
const (
	tcpDestination, tcpFlags = 2, 13
	fin, syn, rst, ack       = 1, 2, 4, 16
	ipv4To, ipv6To           = 16, 24
)

// firstPacket matches the first packet of a TCP connection over the loopback device.
func firstPacket() []byte {
	device := make([]byte, unix.IFNAMSIZ)
	copy(device, "lo")
	return bytes.Join([][]byte{
		loadMeta(unix.NFT_META_IIFNAME), equal(device...),
		loadMeta(unix.NFT_META_L4PROTO), equal(unix.IPPROTO_TCP),
		loadPayload(unix.NFT_PAYLOAD_TRANSPORT_HEADER, tcpFlags, 1), mask(fin | syn | rst | ack), equal(syn),
	}, nil)
}

// toLoopback matches packets to 127.0.0.0/8 or ::1. Packets to the sandbox's other addresses pass the same device, and mocks
// don't answer them.
func toLoopback(v6 bool) []byte {
	to := [][]byte{loadPayload(unix.NFT_PAYLOAD_NETWORK_HEADER, ipv4To, 1), equal(127)}
	if v6 {
		to = [][]byte{loadPayload(unix.NFT_PAYLOAD_NETWORK_HEADER, ipv6To, 16), equal(net.IPv6loopback...)}
	}
	return bytes.Join(append([][]byte{loadMeta(unix.NFT_META_NFPROTO), equal(family(v6))}, to...), nil)
}

func family(v6 bool) byte {
	if v6 {
		return unix.NFPROTO_IPV6
	}
	return unix.NFPROTO_IPV4
}
