package usernet

import (
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/nested"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// link stands between the device and the stack. It drops what doesn't come
// from the tool's own addresses (a stack that answers as anybody must not be
// made to answer to anybody), and every protocol that nobody here judges; it
// counts bytes, and takes out ICMP, whose echo requests the stack would answer
// itself, as fragments and behind extension headers too.
type link struct {
	nested.Endpoint
	n      *Network
	rx, tx atomic.Int64 // from the tool's point of view
	// delivering is 1 while a packet of the tool is being handled.
	delivering atomic.Int32
}

func newLink(n *Network, device stack.LinkEndpoint) *link {
	l := &link{n: n}
	l.Init(device, l)
	return l
}

// DeliverNetworkPacket has a packet from the tool.
func (l *link) DeliverNetworkPacket(protocol tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	l.delivering.Store(1)
	defer l.delivering.Store(0)
	l.tx.Add(int64(pkt.Size()))
	switch protocol {
	case header.IPv4ProtocolNumber:
		b, ok := pkt.Data().PullUp(header.IPv4MinimumSize)
		if !ok || toAddr(header.IPv4(b).SourceAddress()) != l.n.cfg.Tool4 {
			return
		}
		switch header.IPv4(b).Protocol() {
		case uint8(header.TCPProtocolNumber), uint8(header.UDPProtocolNumber):
		case uint8(header.ICMPv4ProtocolNumber):
			l.n.handleEcho4(pkt)
			return
		default:
			return
		}
	case header.IPv6ProtocolNumber:
		b, ok := pkt.Data().PullUp(header.IPv6MinimumSize)
		if !ok || toAddr(header.IPv6(b).SourceAddress()) != l.n.cfg.Tool6 {
			return // the kernel's own link-local chatter among them
		}
		switch header.IPv6(b).NextHeader() {
		case uint8(header.TCPProtocolNumber), uint8(header.UDPProtocolNumber):
		case uint8(header.ICMPv6ProtocolNumber):
			l.n.handleEcho6(pkt)
			return
		case uint8(header.IPv6FragmentHeader):
			// The largest datagrams need it; nothing else passes that way.
			b, ok := pkt.Data().PullUp(header.IPv6MinimumSize + header.IPv6FragmentHeaderSize)
			if !ok || b[header.IPv6MinimumSize] != uint8(header.UDPProtocolNumber) {
				return
			}
		default:
			return
		}
	default:
		return
	}
	l.Endpoint.DeliverNetworkPacket(protocol, pkt)
}

// WritePackets has packets for the tool.
func (l *link) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	for _, pkt := range pkts.AsSlice() {
		l.rx.Add(int64(pkt.Size()))
	}
	return l.Endpoint.WritePackets(pkts)
}
