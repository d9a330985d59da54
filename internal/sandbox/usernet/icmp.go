package usernet

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/icmp"
	netipv4 "golang.org/x/net/ipv4"
	netipv6 "golang.org/x/net/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/mayfly-run/mayfly/internal/network"
)

const pingTimeout = 10 * time.Second

// echoBytes is the limit of the answers to pings, in bytes per second. Answers
// that the tool doesn't read wait in ping sockets, which no cgroup counts.
const echoBytes = 64 << 10

// answerOverhead is the memory in bytes that the kernel takes for each packet in a queue, in addition to the packet.
const answerOverhead = 1 << 10

// echo is an ICMP echo request of the tool, with its whole IP packet.
type echo struct {
	packet  []byte
	offset  int // of the ICMP message
	dst     netip.Addr
	v6      bool
	payload []byte
}

// handleEcho4 handles an ICMPv4 packet of the tool. It drops everything except
// complete echo requests: the tool is not a router, and needs no fragments
// because the link takes packets of 64 KiB.
func (n *Network) handleEcho4(pkt *stack.PacketBuffer) {
	view := pkt.ToView()
	packet := append([]byte(nil), view.AsSlice()...)
	view.Release()
	h := header.IPv4(packet)
	if !h.IsValid(len(packet)) {
		return
	}
	if h.More() || h.FragmentOffset() != 0 {
		return
	}
	packet = packet[:h.TotalLength()]
	offset := int(h.HeaderLength())
	if len(packet) < offset+header.ICMPv4MinimumSize || header.ICMPv4(packet[offset:]).Type() != header.ICMPv4Echo {
		return
	}
	n.startEcho(echo{packet: packet, offset: offset, dst: toAddr(h.DestinationAddress()), payload: packet[offset+header.ICMPv4MinimumSize:]})
}

// handleEcho6 does the same for ICMPv6.
func (n *Network) handleEcho6(pkt *stack.PacketBuffer) {
	view := pkt.ToView()
	packet := append([]byte(nil), view.AsSlice()...)
	view.Release()
	h := header.IPv6(packet)
	if !h.IsValid(len(packet)) {
		return
	}
	offset := header.IPv6MinimumSize
	packet = packet[:offset+int(h.PayloadLength())]
	if len(packet) < offset+header.ICMPv6EchoMinimumSize || header.ICMPv6(packet[offset:]).Type() != header.ICMPv6EchoRequest {
		return
	}
	n.startEcho(echo{packet: packet, offset: offset, dst: toAddr(h.DestinationAddress()), v6: true, payload: packet[offset+header.ICMPv6EchoMinimumSize:]})
}

// startEcho applies the policy to a request. If it is allowed, startEcho sends the same request from the host.
func (n *Network) startEcho(e echo) {
	t := n.decide(e.dst, 0, network.ICMP)
	if !t.verdict.Allowed {
		n.deny(t)
		n.prohibited(e)
		return
	}
	if limit := n.up; limit != nil && !limit.AllowN(time.Now(), min(len(e.payload), limit.Burst())) {
		return
	}
	if !n.slots.ping.take() {
		return // drop it, as a busy network does
	}
	if !n.spawn(func() { n.runEcho(t, e) }) {
		n.slots.ping.release()
	}
}

func (n *Network) runEcho(t target, e echo) {
	defer n.slots.ping.release()
	c := n.connection(&t)
	if err := n.ping(t.dial.Addr(), e); err != nil {
		c.Reason = cause(err)
		n.cfg.Report(c)
		return
	}
	c.TxBytes = int64(len(e.payload))
	if n.echoes.AllowN(time.Now(), len(e.packet)+answerOverhead) {
		n.reply(e)
		c.RxBytes = c.TxBytes
	} else {
		c.Reason = "its answer is lost: a run gets at most 64 KiB of answers to pings per second"
	}
	n.cfg.Report(c)
}

// ping sends an echo request from the host and waits for its answer. Root uses a
// raw socket; other users need the kind that net.ipv4.ping_group_range allows.
func (n *Network) ping(dst netip.Addr, e echo) error {
	raw := true
	conn, err := listenPing(dst.Is6(), raw)
	if errors.Is(err, os.ErrPermission) {
		raw = false
		conn, err = listenPing(dst.Is6(), raw)
	}
	if err != nil {
		return err
	}
	defer conn.Close()
	return n.exchangePing(conn, raw, dst, e)
}

func listenPing(v6, raw bool) (*icmp.PacketConn, error) {
	switch {
	case v6 && raw:
		return icmp.ListenPacket("ip6:ipv6-icmp", "::")
	case v6:
		return icmp.ListenPacket("udp6", "::")
	case raw:
		return icmp.ListenPacket("ip4:icmp", "0.0.0.0")
	}
	return icmp.ListenPacket("udp4", "0.0.0.0")
}

func (n *Network) exchangePing(conn *icmp.PacketConn, raw bool, dst netip.Addr, e echo) error {
	protocol := 1
	var request, answer icmp.Type = netipv4.ICMPTypeEcho, netipv4.ICMPTypeEchoReply
	if dst.Is6() {
		protocol = 58
		request, answer = netipv6.ICMPTypeEchoRequest, netipv6.ICMPTypeEchoReply
	}
	id, seq := int(rand.Uint32()&0xffff), int(rand.Uint32()&0xffff)
	message, err := (&icmp.Message{Type: request, Body: &icmp.Echo{ID: id, Seq: seq, Data: e.payload}}).Marshal(nil)
	if err != nil {
		return err
	}
	var to net.Addr = &net.IPAddr{IP: dst.AsSlice()}
	if !raw {
		to = &net.UDPAddr{IP: dst.AsSlice()}
	}
	if err := conn.SetReadDeadline(time.Now().Add(pingTimeout)); err != nil {
		return err
	}
	stop := context.AfterFunc(n.ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := conn.WriteTo(message, to); err != nil {
		return err
	}
	buf := datagrams.Get().(*[]byte)
	defer datagrams.Put(buf)
	for {
		size, from, err := conn.ReadFrom(*buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return errors.New("no answer")
		}
		if err != nil {
			return err
		}
		got, err := icmp.ParseMessage(protocol, (*buf)[:size])
		if err != nil || got.Type != answer || !sameHost(from, dst) {
			continue
		}
		// The kernel chooses the id of a socket that isn't raw, and delivers by it.
		if body, ok := got.Body.(*icmp.Echo); ok && body.Seq == seq && (!raw || body.ID == id) {
			return nil
		}
	}
}

func sameHost(from net.Addr, want netip.Addr) bool {
	var ip net.IP
	switch a := from.(type) {
	case *net.IPAddr:
		ip = a.IP
	case *net.UDPAddr:
		ip = a.IP
	}
	addr, ok := netip.AddrFromSlice(ip)
	return ok && addr.Unmap() == want
}
