package usernet

import (
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/nested"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// link is between the device and the stack. It counts bytes, and it drops
//   - packets that don't come from the tool's own addresses: the stack answers
//     for every address, so it must answer only to the tool;
//   - protocols to which the policy isn't applied;
//   - ICMP, except for echo requests, which it handles itself. The stack would
//     answer them, even in fragments and behind extension headers.
type link struct {
	nested.Endpoint
	n      *Network
	rx, tx atomic.Int64 // bytes that the tool received and sent
	// delivering is 1 while a packet of the tool is being handled.
	delivering atomic.Int32
}

func newLink(n *Network, device stack.LinkEndpoint) *link {
	l := &link{n: n}
	l.Init(device, l)
	return l
}

// DeliverNetworkPacket handles a packet from the tool.
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
			return // such as the link-local packets of the tool's kernel
		}
		switch header.IPv6(b).NextHeader() {
		case uint8(header.TCPProtocolNumber), uint8(header.UDPProtocolNumber):
		case uint8(header.ICMPv6ProtocolNumber):
			l.n.handleEcho6(pkt)
			return
		case uint8(header.IPv6FragmentHeader):
			// The largest datagrams are fragmented; no other protocol may be.
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

// WritePackets sends packets to the tool.
func (l *link) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	for _, pkt := range pkts.AsSlice() {
		l.rx.Add(int64(pkt.Size()))
	}
	return l.Endpoint.WritePackets(pkts)
}
