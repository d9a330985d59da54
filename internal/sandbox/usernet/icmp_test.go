package usernet

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/icmp"
	netipv4 "golang.org/x/net/ipv4"
	netipv6 "golang.org/x/net/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/mayfly-run/mayfly/internal/network"
)

// ping sends an echo request from the tool and returns the answer's payload.
func (w *testNetwork) ping(address string, payload []byte) (answer []byte, err error) {
	w.t.Helper()
	return w.pingFor(patience, address, payload)
}

// unanswered sends an echo request, and fails the test if it is answered.
func (w *testNetwork) unanswered(address string) {
	w.t.Helper()
	if _, err := w.pingFor(time.Second, address, []byte("hello")); err == nil {
		w.t.Errorf("a ping to %s is answered", address)
	}
}

func (w *testNetwork) pingFor(wait time.Duration, address string, payload []byte) (answer []byte, err error) {
	w.t.Helper()
	dst := netip.MustParseAddr(address)
	kind, listen, protocol := "udp4", tool4.String(), 1
	var request icmp.Type = netipv4.ICMPTypeEcho
	if dst.Is6() {
		kind, listen, protocol = "udp6", tool6.String(), 58
		request = netipv6.ICMPTypeEchoRequest
	}
	var conn *icmp.PacketConn
	w.inside(func() { conn, err = icmp.ListenPacket(kind, listen) })
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	m, err := (&icmp.Message{Type: request, Body: &icmp.Echo{ID: 1, Seq: 7, Data: payload}}).Marshal(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := conn.WriteTo(m, &net.UDPAddr{IP: dst.AsSlice()}); err != nil {
		return nil, err
	}
	_ = conn.SetReadDeadline(time.Now().Add(wait))
	buf := make([]byte, 65536)
	n, _, err := conn.ReadFrom(buf)
	if err != nil {
		return nil, err
	}
	got, err := icmp.ParseMessage(protocol, buf[:n])
	if err != nil {
		return nil, err
	}
	echo, ok := got.Body.(*icmp.Echo)
	if !ok || echo.Seq != 7 {
		return nil, errors.New("the packet is not the answer")
	}
	return echo.Data, nil
}

func TestPing(t *testing.T) {
	for _, address := range publicAddresses {
		t.Run(address, func(t *testing.T) {
			w := newNetwork(t, Config{Policy: policy(network.ModePublic)})
			payload := strings.Repeat("abc", 5000)
			got, err := w.ping(address, []byte(payload))
			if err != nil || string(got) != payload {
				t.Fatalf("got %d bytes, %v, want %d", len(got), err, len(payload))
			}
			if c := w.report("icmp", address, 0); !c.Allowed || c.RxBytes != 15000 || c.Reason != "" {
				t.Errorf("report %+v", c)
			}
		})
	}
}

// TestN05_AnswersToPingsAreBounded: answers that a tool doesn't read wait in its
// ping sockets, which no cgroup counts.
func TestN05_AnswersToPingsAreBounded(t *testing.T) {
	for _, tt := range []struct{ size, pings int }{{60000, 40}, {0, 500}} {
		t.Run(strconv.Itoa(tt.size), func(t *testing.T) {
			w := newNetwork(t, Config{Policy: policy(network.ModePublic)})
			request, err := (&icmp.Message{Type: netipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: 1, Seq: 1, Data: make([]byte, tt.size)}}).Marshal(nil)
			if err != nil {
				t.Fatal(err)
			}
			packet := ipPacket(tool4, netip.MustParseAddr(publicAddresses[0]), header.ICMPv4ProtocolNumber, request)
			began := time.Now()
			for range tt.pings { // one after the other: each ping socket receives the answers to all open pings
				w.flood(1, func(int) []byte { return packet })
				eventually(t, "the ping ends", func() bool { return w.n.slots.ping.used.Load() == 0 })
			}
			most := 2*echoBytes + int(time.Since(began).Seconds()*echoBytes)
			got, _ := w.n.Bytes()
			answered := int(got) / len(packet)
			if answered == 0 || answered*(len(packet)+answerOverhead) > most {
				t.Errorf("%d of %d pings of %d bytes were answered, want some, of at most %d bytes together", answered, tt.pings, tt.size, most)
			}
		})
	}
}

func TestPingDenied(t *testing.T) {
	for _, address := range publicAddresses {
		t.Run(address, func(t *testing.T) {
			w := newNetwork(t, Config{Policy: policy(network.ModeList, "{host: other.example}")})
			w.unanswered(address)
			c := w.report("icmp", address, 0)
			if c.Allowed || !strings.Contains(c.Suggest, "icmp") {
				t.Errorf("report %+v", c)
			}
		})
	}
}

// TestPingProhibited: the tool's kernel understands the refusal. A socket of
// net.ipv4.ping_group_range receives it only if it is connected.
func TestPingProhibited(t *testing.T) {
	w := newNetwork(t, Config{Policy: policy(network.ModeList)})
	var fd int
	var err error
	w.inside(func() {
		fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, syscall.IPPROTO_ICMP)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.Connect(fd, &syscall.SockaddrInet4{Addr: [4]byte{203, 0, 113, 10}}); err != nil {
		t.Fatal(err)
	}
	_ = syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &syscall.Timeval{Sec: int64(patience / time.Second)})
	_ = syscall.SetsockoptInt(fd, syscall.SOL_IP, syscall.IP_RECVERR, 1)
	if _, err := syscall.Write(fd, []byte{8, 0, 0, 0, 0, 0, 0, 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := syscall.Read(fd, make([]byte, 100)); !errors.Is(err, syscall.EHOSTUNREACH) {
		t.Errorf("got %v, want %v", err, syscall.EHOSTUNREACH)
	}
}

// TestOddPackets sends packets that no tool needs. The stack, which accepts every
// address, must not answer any of them by itself.
func TestOddPackets(t *testing.T) {
	echo4, _ := (&icmp.Message{Type: netipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: 5, Seq: 5, Data: []byte("0123456789abcdef")}}).Marshal(nil)
	dst4, dst6 := netip.MustParseAddr("203.0.113.10"), netip.MustParseAddr("2001:db8::10")
	echo6, _ := (&icmp.Message{Type: netipv6.ICMPTypeEchoRequest, Body: &icmp.Echo{ID: 5, Seq: 5, Data: []byte("0123456789abcdef")}}).
		Marshal(icmp.IPv6PseudoHeader(tool6.AsSlice(), dst6.AsSlice()))
	fragment := func(offset uint16, more bool, payload []byte) []byte {
		p := header.IPv4(ipPacket(tool4, dst4, header.ICMPv4ProtocolNumber, payload))
		flags := uint8(0)
		if more {
			flags = header.IPv4FlagMoreFragments
		}
		p.SetFlagsFragmentOffset(flags, offset)
		p.SetChecksum(0)
		p.SetChecksum(^p.CalculateChecksum())
		return p
	}
	message := func(kind byte) []byte { return append([]byte{kind, 0, 0, 0}, make([]byte, 16)...) }
	long4, long6 := ipPacket(tool4, dst4, header.ICMPv4ProtocolNumber, echo4), ipPacket(tool6, dst6, header.ICMPv6ProtocolNumber, echo6)
	header.IPv4(long4).SetTotalLength(60_000)
	header.IPv6(long6).SetPayloadLength(60_000)
	for name, packets := range map[string][][]byte{
		"timestamp request":             {ipPacket(tool4, dst4, header.ICMPv4ProtocolNumber, message(13))},
		"redirect":                      {ipPacket(tool4, dst4, header.ICMPv4ProtocolNumber, message(5))},
		"router solicitation":           {ipPacket(tool6, dst6, header.ICMPv6ProtocolNumber, message(133))},
		"ping of a wrong length":        {long4},
		"ping of a wrong length, v6":    {long6},
		"fragments of a ping":           {fragment(0, true, echo4[:16]), fragment(16, false, echo4[16:])},
		"ping behind an options header": {ipPacket(tool6, dst6, 60, append([]byte{58, 0, 1, 4, 0, 0, 0, 0}, echo6...))},
		"ping in an atomic fragment":    {ipPacket(tool6, dst6, 44, append([]byte{58, 0, 0, 0, 0, 0, 0, 1}, echo6...))},
		"SCTP":                          {ipPacket(tool4, dst4, 132, make([]byte, 20))},
		"GRE":                           {ipPacket(tool4, dst4, 47, make([]byte, 20))},
		"spoofed ping":                  {ipPacket(netip.MustParseAddr("203.0.113.99"), dst4, 1, echo4)},
		"spoofed SYN":                   {synPacket(netip.MustParseAddr("203.0.113.99"), dst4, 40000, 80)},
		"spoofed SYN by the gateway":    {synPacket(gateway4, dst4, 40000, 80)},
		"spoofed SYN, v6":               {synPacket(netip.MustParseAddr("2001:db8::99"), dst6, 40000, 80)},
		"spoofed datagram":              {udpPacket(netip.MustParseAddr("198.18.0.3"), dst4, 40000, 53, []byte("x"))},
		"spoofed datagram, v6":          {udpPacket(netip.MustParseAddr("fd6d:6179:666c:7900::3"), dst6, 40000, 53, []byte("x"))},
		"mapped source":                 {synPacket(netip.AddrFrom16(tool4.As16()), dst6, 40000, 80)},
	} {
		t.Run(name, func(t *testing.T) {
			w := newNetwork(t, Config{Policy: policy(network.ModeOpen)})
			_, before := w.n.Bytes()
			for _, p := range packets {
				w.sendRaw(p)
			}
			eventually(t, "the packet arrives at the device", func() bool {
				_, after := w.n.Bytes()
				return after > before
			})
			time.Sleep(20 * time.Millisecond)
			if rx, _ := w.n.Bytes(); rx != 0 {
				t.Errorf("got an answer of %d bytes, want none", rx)
			}
			if reports := w.connections(); len(reports) != 0 {
				t.Errorf("the packet was passed on: %+v", reports)
			}
		})
	}
}

// TestPingAsOrdinaryUser pings without a raw socket, which an ordinary user can't open.
func TestPingAsOrdinaryUser(t *testing.T) {
	if err := os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte("0 2147483647"), 0); err != nil {
		t.Fatal(err)
	}
	for _, address := range publicAddresses {
		conn, err := listenPing(netip.MustParseAddr(address).Is6(), false)
		if err != nil {
			t.Fatal(err)
		}
		n := &Network{ctx: t.Context()}
		err = n.exchangePing(conn, false, netip.MustParseAddr(address), echo{payload: []byte("hello")})
		conn.Close()
		if err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}
