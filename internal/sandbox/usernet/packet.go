package usernet

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// reply turns the request into its answer, in place, and sends it to the tool.
func (n *Network) reply(e echo) {
	if e.v6 {
		h := header.IPv6(e.packet)
		src, dst := h.SourceAddress(), h.DestinationAddress()
		h.SetSourceAddress(dst)
		h.SetDestinationAddress(src)
		m := header.ICMPv6(e.packet[e.offset:])
		m.SetType(header.ICMPv6EchoReply)
		m.SetChecksum(0)
		m.SetChecksum(header.ICMPv6Checksum(header.ICMPv6ChecksumParams{
			Header: m[:header.ICMPv6EchoMinimumSize], Src: dst, Dst: src,
			PayloadCsum: checksum.Checksum(e.payload, 0), PayloadLen: len(e.payload),
		}))
	} else {
		h := header.IPv4(e.packet)
		src, dst := h.SourceAddress(), h.DestinationAddress()
		h.SetSourceAddress(dst)
		h.SetDestinationAddress(src)
		h.SetChecksum(0)
		h.SetChecksum(^h.CalculateChecksum())
		m := header.ICMPv4(e.packet[e.offset:])
		m.SetType(header.ICMPv4EchoReply)
		m.SetChecksum(0)
		m.SetChecksum(^checksum.Checksum(m, 0))
	}
	n.toTool(e.packet)
}

// prohibited answers a denied request with "administratively prohibited"
// (RFC 1812 code 13, RFC 4443 code 1).
func (n *Network) prohibited(e echo) {
	n.unreachable(e.packet[:min(len(e.packet), e.offset+8)], header.ICMPv4AdminProhibited, header.ICMPv6Prohibited)
}

// refuse tells the tool that the destination refused its datagram, as a network
// does. The tool's kernel finds the socket by the addresses and ports.
func (f *flow) refuse() {
	src, dst := f.source, netip.AddrPortFrom(f.target.Address, f.target.Port)
	var quoted []byte
	if src.Addr().Is6() {
		quoted = make([]byte, header.IPv6MinimumSize+header.UDPMinimumSize)
		header.IPv6(quoted).Encode(&header.IPv6Fields{
			PayloadLength: header.UDPMinimumSize, TransportProtocol: header.UDPProtocolNumber, HopLimit: 64,
			SrcAddr: tcpip.AddrFrom16(src.Addr().As16()), DstAddr: tcpip.AddrFrom16(dst.Addr().As16()),
		})
	} else {
		quoted = make([]byte, header.IPv4MinimumSize+header.UDPMinimumSize)
		h := header.IPv4(quoted)
		h.Encode(&header.IPv4Fields{
			TotalLength: uint16(len(quoted)), TTL: 64, Protocol: uint8(header.UDPProtocolNumber),
			SrcAddr: tcpip.AddrFrom4(src.Addr().As4()), DstAddr: tcpip.AddrFrom4(dst.Addr().As4()),
		})
		h.SetChecksum(^h.CalculateChecksum())
	}
	ports := quoted[len(quoted)-header.UDPMinimumSize:]
	binary.BigEndian.PutUint16(ports, src.Port())
	binary.BigEndian.PutUint16(ports[2:], dst.Port())
	binary.BigEndian.PutUint16(ports[4:], header.UDPMinimumSize)
	f.n.unreachable(quoted, header.ICMPv4PortUnreachable, header.ICMPv6PortUnreachable)
}

// unreachable answers a packet of the tool with "destination unreachable". quoted
// is the beginning of that packet.
func (n *Network) unreachable(quoted []byte, code4 header.ICMPv4Code, code6 header.ICMPv6Code) {
	if header.IPVersion(quoted) == header.IPv6Version {
		src, dst := header.IPv6(quoted).DestinationAddress(), header.IPv6(quoted).SourceAddress()
		packet := make([]byte, header.IPv6MinimumSize+header.ICMPv6DstUnreachableMinimumSize+len(quoted))
		header.IPv6(packet).Encode(&header.IPv6Fields{
			PayloadLength: uint16(len(packet) - header.IPv6MinimumSize), TransportProtocol: header.ICMPv6ProtocolNumber, HopLimit: 64, SrcAddr: src, DstAddr: dst,
		})
		m := header.ICMPv6(packet[header.IPv6MinimumSize:])
		m.SetType(header.ICMPv6DstUnreachable)
		m.SetCode(code6)
		copy(m[header.ICMPv6DstUnreachableMinimumSize:], quoted)
		m.SetChecksum(header.ICMPv6Checksum(header.ICMPv6ChecksumParams{Header: m, Src: src, Dst: dst}))
		n.toTool(packet)
		return
	}
	src, dst := header.IPv4(quoted).DestinationAddress(), header.IPv4(quoted).SourceAddress()
	packet := make([]byte, header.IPv4MinimumSize+header.ICMPv4MinimumSize+len(quoted))
	h := header.IPv4(packet)
	h.Encode(&header.IPv4Fields{TotalLength: uint16(len(packet)), TTL: 64, Protocol: uint8(header.ICMPv4ProtocolNumber), SrcAddr: src, DstAddr: dst})
	h.SetChecksum(^h.CalculateChecksum())
	m := header.ICMPv4(packet[header.IPv4MinimumSize:])
	m.SetType(header.ICMPv4DstUnreachable)
	m.SetCode(code4)
	copy(m[header.ICMPv4MinimumSize:], quoted)
	m.SetChecksum(^checksum.Checksum(m, 0))
	n.toTool(packet)
}

// toTool writes a whole packet to the device, without the stack.
func (n *Network) toTool(packet []byte) {
	n.link.rx.Add(int64(len(packet)))
	_, _ = unix.Write(n.fd, packet) // the network may lose packets
}
