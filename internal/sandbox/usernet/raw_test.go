package usernet

import (
	"net/netip"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// sendRaw puts packets on the tool's device unchanged, without the checks of the
// tool's kernel, as the sandbox's root with CAP_NET_RAW can do.
func (w *testNetwork) sendRaw(packets ...[]byte) {
	w.t.Helper()
	var err error
	w.inside(func() {
		var fd int
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return
		}
		defer unix.Close(fd)
		for _, packet := range packets {
			protocol := uint16(unix.ETH_P_IP)
			if packet[0]>>4 == 6 {
				protocol = unix.ETH_P_IPV6
			}
			if err = unix.Sendto(fd, packet, 0, &unix.SockaddrLinklayer{Protocol: protocol<<8 | protocol>>8, Ifindex: 2}); err != nil {
				return
			}
		}
	})
	if err != nil {
		w.t.Fatal("send a raw packet: ", err)
	}
}

// ipPacket returns an IP packet with a correct header.
func ipPacket(src, dst netip.Addr, protocol tcpip.TransportProtocolNumber, payload []byte) []byte {
	from, to := tcpip.AddrFromSlice(src.AsSlice()), tcpip.AddrFromSlice(dst.AsSlice())
	if src.Is4() {
		h := header.IPv4(make([]byte, header.IPv4MinimumSize))
		h.Encode(&header.IPv4Fields{TotalLength: uint16(len(h) + len(payload)), TTL: 64, Protocol: uint8(protocol), SrcAddr: from, DstAddr: to})
		h.SetChecksum(^h.CalculateChecksum())
		return append(h, payload...)
	}
	h := header.IPv6(make([]byte, header.IPv6MinimumSize))
	h.Encode(&header.IPv6Fields{PayloadLength: uint16(len(payload)), TransportProtocol: protocol, HopLimit: 64, SrcAddr: from, DstAddr: to})
	return append(h, payload...)
}

// synPacket returns the first packet of a connection.
func synPacket(src, dst netip.Addr, from, to uint16) []byte {
	h := header.TCP(make([]byte, header.TCPMinimumSize))
	h.Encode(&header.TCPFields{SrcPort: from, DstPort: to, SeqNum: 1, DataOffset: header.TCPMinimumSize, Flags: header.TCPFlagSyn, WindowSize: 65535})
	sum := header.PseudoHeaderChecksum(header.TCPProtocolNumber, tcpip.AddrFromSlice(src.AsSlice()), tcpip.AddrFromSlice(dst.AsSlice()), uint16(len(h)))
	h.SetChecksum(^h.CalculateChecksum(sum))
	return ipPacket(src, dst, header.TCPProtocolNumber, h)
}

// udpPacket returns a packet with a datagram.
func udpPacket(src, dst netip.Addr, from, to uint16, payload []byte) []byte {
	h := header.UDP(make([]byte, header.UDPMinimumSize, header.UDPMinimumSize+len(payload)))
	h.Encode(&header.UDPFields{SrcPort: from, DstPort: to, Length: uint16(len(h) + len(payload))})
	sum := header.PseudoHeaderChecksum(header.UDPProtocolNumber, tcpip.AddrFromSlice(src.AsSlice()), tcpip.AddrFromSlice(dst.AsSlice()), uint16(len(h)+len(payload)))
	h.SetChecksum(^h.CalculateChecksum(checksum.Checksum(payload, sum)))
	return ipPacket(src, dst, header.UDPProtocolNumber, append(h, payload...))
}
