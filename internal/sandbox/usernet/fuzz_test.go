package usernet

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"os"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
)

// FuzzAnswer sends any bytes to the DNS server, which answers with the id of the query or not at all.
func FuzzAnswer(f *testing.F) {
	for _, q := range []dnsmessage.Question{
		{Name: dnsmessage.MustNewName("api.example."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET},
		{Name: dnsmessage.MustNewName("other.example."), Type: dnsmessage.TypeTXT, Class: dnsmessage.ClassINET},
		{Name: dnsmessage.MustNewName("host.mayfly.internal."), Type: dnsmessage.TypeAAAA, Class: dnsmessage.ClassINET},
	} {
		m := dnsmessage.Message{Header: dnsmessage.Header{ID: 1}, Questions: []dnsmessage.Question{q}, Additionals: []dnsmessage.Resource{optRecord()}}
		raw, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw, true)
		f.Add(raw, false)
	}
	f.Add([]byte{}, true)
	n := &Network{cfg: Config{
		Policy: policy(network.ModeList, "{host: api.example}"), Gateway4: gateway4, Gateway6: gateway6,
		Resolver: &fakeResolver{hosts: map[string][]string{"api.example": {"203.0.113.10"}}},
	}, names: newNames(), ctx: context.Background()}
	f.Fuzz(func(t *testing.T, query []byte, datagram bool) {
		raw := n.answer(query, datagram)
		if raw == nil {
			return
		}
		var m dnsmessage.Message
		if err := m.Unpack(raw); err != nil {
			t.Fatalf("the answer can't be parsed: %v", err)
		}
		if !m.Response || m.ID != uint16(query[0])<<8|uint16(query[1]) {
			t.Errorf("got %+v, which is not an answer to %x", m, query)
		}
		if datagram && len(raw) > 512 && len(m.Additionals) == 0 {
			t.Errorf("got %d bytes over UDP, want at most 512 without EDNS", len(raw))
		}
	})
}

// FuzzPackets sends any packets to the network, through the same reader as a
// device's. The network must survive them, and answer only to the tool.
func FuzzPackets(f *testing.F) {
	for _, p := range [][]byte{
		synPacket(tool4, netip.MustParseAddr("203.0.113.10"), 1, 80),
		synPacket(tool6, netip.MustParseAddr("2001:db8::10"), 1, 80),
		udpPacket(tool4, gateway4, 1, 53, []byte("question")),
		udpPacket(tool6, netip.MustParseAddr("2001:db8::10"), 1, 53, []byte("question")),
		ipPacket(tool4, gateway4, header.ICMPv4ProtocolNumber, []byte{8, 0, 0, 0, 0, 1, 0, 1, 'x'}),
		ipPacket(tool6, gateway6, header.ICMPv6ProtocolNumber, []byte{128, 0, 0, 0, 0, 1, 0, 1, 'x'}),
		ipPacket(tool6, gateway6, 44, append([]byte{17, 0, 0, 1, 0, 0, 0, 1}, make([]byte, 16)...)),
		{0x40},
		{0x60},
		{0x45, 0},
		{0x4f},
		make([]byte, 24),
		{},
	} {
		f.Add(p)
	}
	// A socket pair of this type keeps the bounds of packets, as a device does.
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		f.Fatal(err)
	}
	n, err := Start(Config{
		TUN: os.NewFile(uintptr(fds[0]), "device"), MTU: testMTU,
		Tool4: tool4, Tool6: tool6, Gateway4: gateway4, Gateway6: gateway6,
		Policy: policy(network.ModeList, "{host: api.example}"), Report: func(c engine.Connection) {
			if c.Allowed {
				panic("a packet was allowed to leave")
			}
		},
		Resolver:       &fakeResolver{},
		LocalAddresses: func() ([]netip.Addr, error) { return nil, nil },
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { n.Close(); unix.Close(fds[1]) })
	_ = unix.SetsockoptTimeval(fds[1], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5})
	// The answer to this ping, which is refused immediately, marks the end of the answers.
	mark := ipPacket(tool4, gateway4, header.ICMPv4ProtocolNumber, []byte("\x08\x00\x00\x00mark"))
	buf := make([]byte, 65536)
	f.Fuzz(func(t *testing.T, packet []byte) {
		if len(packet) == 0 || len(packet) > 60000 {
			return // an empty packet would be a socket's end of file, which a device doesn't have
		}
		if len(packet) >= 20 && packet[0]>>4 == 4 {
			copy(packet[12:16], tool4.AsSlice()) // otherwise the packet is dropped immediately
		} else if len(packet) >= 40 && packet[0]>>4 == 6 {
			copy(packet[8:24], tool6.AsSlice())
		}
		for _, p := range [][]byte{packet, mark} {
			if _, err := unix.Write(fds[1], p); err != nil {
				t.Fatalf("the network has stopped: %v", err)
			}
		}
		for {
			size, err := unix.Read(fds[1], buf)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil || size == 0 {
				t.Fatalf("the network has stopped: %v", err)
			}
			checkAnswer(t, buf[:size])
			if bytes.HasSuffix(buf[:size], []byte("mark")) {
				return
			}
		}
	})
}

func checkAnswer(t *testing.T, packet []byte) {
	t.Helper()
	switch packet[0] >> 4 {
	case 4:
		if h := header.IPv4(packet); !h.IsValid(len(packet)) || toAddr(h.DestinationAddress()) != tool4 {
			t.Errorf("answer %x", packet)
		}
	case 6:
		if h := header.IPv6(packet); !h.IsValid(len(packet)) || toAddr(h.DestinationAddress()) != tool6 && !toAddr(h.DestinationAddress()).IsMulticast() {
			t.Errorf("answer %x", packet)
		}
	default:
		t.Errorf("answer %x", packet)
	}
}

// TestNetworkSurvives: packets that could stop the reader of the device don't.
func TestNetworkSurvives(t *testing.T) {
	to := serve(t, "203.0.113.10", echoTCP)
	w := newNetwork(t, Config{Policy: policy(network.ModePublic)})
	for _, p := range [][]byte{{0x45}, {0x40, 0, 0, 4}, {0x4f, 0, 0, 60}, make([]byte, 40), append([]byte{0x60}, make([]byte, 60)...), {0x60}} {
		w.sendRaw(p)
	}
	if _, err := w.dial("tcp", to.String()); err != nil {
		t.Error(err)
	}
}
