package usernet

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/mayfly-run/mayfly/internal/network"
)

// rawPeer is the tool's end of a connection, packet by packet.
type rawPeer struct {
	w        *testNetwork
	fd       int
	to       netip.AddrPort
	seq, ack uint32 // the next byte of each side
}

// newRawPeer connects. The tool's kernel loses its address, so that it doesn't reset a connection that it doesn't know.
func newRawPeer(t *testing.T, w *testNetwork, to netip.AddrPort) *rawPeer {
	p := &rawPeer{w: w, fd: -1, to: to, seq: 1}
	var err error
	w.inside(func() {
		var link netlink.Link
		if link, err = netlink.LinkByName("eth0"); err != nil {
			return
		}
		var addr *netlink.Addr
		if addr, err = netlink.ParseAddr(tool4.String() + "/30"); err != nil {
			return
		}
		if err = netlink.AddrDel(link, addr); err != nil {
			return
		}
		if p.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.ETH_P_IP<<8&0xff00|unix.ETH_P_IP>>8); err != nil {
			return
		}
		err = unix.SetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(p.fd) })
	p.send(header.TCPFlagSyn, 65535, []byte{header.TCPOptionMSS, 4, 0xff, 0xc8}) // 65480
	answer := p.receive(t)
	if answer.Flags() != header.TCPFlagSyn|header.TCPFlagAck {
		t.Fatalf("flags %v", answer.Flags())
	}
	p.seq, p.ack = 2, answer.SequenceNumber()+1
	p.send(header.TCPFlagAck, 65535, nil)
	return p
}

func (p *rawPeer) send(flags header.TCPFlags, window uint16, options []byte) {
	h := header.TCP(make([]byte, header.TCPMinimumSize+len(options)))
	h.Encode(&header.TCPFields{
		SrcPort: 40000, DstPort: p.to.Port(), SeqNum: p.seq, AckNum: p.ack, DataOffset: uint8(len(h)), Flags: flags, WindowSize: window,
	})
	copy(h[header.TCPMinimumSize:], options)
	from, to := tcpip.AddrFromSlice(tool4.AsSlice()), tcpip.AddrFromSlice(p.to.Addr().AsSlice())
	sum := header.PseudoHeaderChecksum(header.TCPProtocolNumber, from, to, uint16(len(h)))
	h.SetChecksum(^checksum.Checksum(h, sum))
	p.w.sendRaw(ipPacket(tool4, p.to.Addr(), header.TCPProtocolNumber, h))
}

// receive returns the next packet for the tool, without its IP header.
func (p *rawPeer) receive(t *testing.T) header.TCP {
	t.Helper()
	b := make([]byte, 1<<17)
	for end := time.Now().Add(patience); time.Now().Before(end); {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}, int(time.Until(end).Milliseconds()))
		if n == 0 || errors.Is(err, unix.EINTR) {
			continue
		}
		if n, _, err = unix.Recvfrom(p.fd, b, 0); err != nil {
			t.Fatal(err)
		}
		if ip := header.IPv4(b[:n]); ip.IsValid(n) && ip.DestinationAddress() == tcpip.AddrFromSlice(tool4.AsSlice()) {
			return header.TCP(bytes.Clone(ip.Payload()))
		}
	}
	t.Fatalf("no packet within %s", patience)
	return nil
}

// TestShrunkWindow checks that a connection goes on if the tool's kernel drops a segment for lack of memory, and then has a
// window into which that segment doesn't fit.
func TestShrunkWindow(t *testing.T) {
	const size, window = 1 << 20, 30_000
	to := serve(t, publicAddresses[0], func(c *net.TCPConn) { _, _ = c.Write(make([]byte, size)) })
	p := newRawPeer(t, newNetwork(t, Config{Policy: policy(network.ModePublic)}), to)
	first := p.ack
	for {
		h := p.receive(t)
		if len(h.Payload()) > window {
			break // dropped
		}
		p.ack += uint32(len(h.Payload()))
		p.send(header.TCPFlagAck, 65535, nil)
	}
	p.send(header.TCPFlagAck, 0, nil)
	for probes := 0; probes == 0; { // the sender has lost hope, and probes the window
		if h := p.receive(t); h.SequenceNumber() == p.ack-1 {
			probes++
		}
	}
	p.send(header.TCPFlagAck, window, nil)
	for p.ack-first < size {
		h := p.receive(t)
		if h.SequenceNumber() == p.ack && len(h.Payload()) <= window {
			p.ack += uint32(len(h.Payload()))
		}
		p.send(header.TCPFlagAck, window, nil)
	}
}
