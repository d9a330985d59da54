//go:build linux

package network

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"
)

// ipPacket returns an IPv4 packet (RFC 791).
func ipPacket(src, dst string, protocol byte, payload []byte) []byte {
	p := make([]byte, 20, 20+len(payload))
	p[0], p[8], p[9] = 0x45, 64, protocol
	binary.BigEndian.PutUint16(p[2:], uint16(20+len(payload)))
	from, to := netip.MustParseAddr(src).As4(), netip.MustParseAddr(dst).As4()
	copy(p[12:], from[:])
	copy(p[16:], to[:])
	binary.BigEndian.PutUint16(p[10:], checksum(p))
	return append(p, payload...)
}

// udpPacket returns a UDP datagram in an IPv4 packet. It has no checksum, which IPv4 allows (RFC 768).
func udpPacket(src, dst string, port uint16, text string) []byte {
	u := make([]byte, 8)
	binary.BigEndian.PutUint16(u, 40000)
	binary.BigEndian.PutUint16(u[2:], port)
	binary.BigEndian.PutUint16(u[4:], uint16(8+len(text)))
	return ipPacket(src, dst, 17, append(u, text...))
}

// checksum returns the internet checksum of b (RFC 1071).
func checksum(b []byte) uint16 {
	sum := uint32(0)
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// receiveAll returns the datagrams that have arrived.
func receiveAll(t *testing.T, conn net.PacketConn) (out []string) {
	t.Helper()
	buf := make([]byte, 65536)
	for {
		if err := conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		n, _, err := conn.ReadFrom(buf)
		if err != nil {
			return out
		}
		out = append(out, string(buf[:n]))
	}
}
