package usernet

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"github.com/mayfly-run/mayfly/internal/network"
)

const (
	dnsPort    = 53
	dnsTimeout = 10 * time.Second
	// answerTTL is the time to live of answers. It is short, because the host's
	// resolver doesn't say how long its own answers are valid.
	answerTTL  = 30 * time.Second
	maxAnswers = 32
	maxQuery   = 4096
	// maxQuestions is the number of a sandbox's concurrent lookups over UDP.
	maxQuestions = 128
	dnsIdle      = 20 * time.Second
)

// Resolver asks the host's DNS. It is called from several goroutines.
type Resolver interface {
	// Addresses looks a name up; kind is "ip4" or "ip6". For a name without such
	// an address the error is a *net.DNSError with IsNotFound.
	Addresses(ctx context.Context, kind, name string) ([]netip.Addr, error)
	// Records answers any other question, in wire format.
	Records(ctx context.Context, question dnsmessage.Question) ([]dnsmessage.Resource, dnsmessage.RCode, error)
}

// isDNS reports whether a destination is the sandbox's DNS server.
func (n *Network) isDNS(addr netip.Addr, port uint16) bool {
	return port == dnsPort && (addr == n.cfg.Gateway4 || addr == n.cfg.Gateway6)
}

// listenDNS opens the DNS server's sockets in the stack. Each has all questions,
// instead of one socket for each of the tool's ports, so that thousands of
// lookups in a row leave nothing behind.
func (n *Network) listenDNS() error {
	questions := make(chan struct{}, maxQuestions)
	for _, server := range []struct {
		addr  netip.Addr
		proto tcpip.NetworkProtocolNumber
	}{{n.cfg.Gateway4, ipv4.ProtocolNumber}, {n.cfg.Gateway6, ipv6.ProtocolNumber}} {
		conn, err := gonet.DialUDP(n.stack, &tcpip.FullAddress{NIC: nic, Addr: tcpip.AddrFromSlice(server.addr.AsSlice()), Port: dnsPort}, nil, server.proto)
		if err != nil {
			return fmt.Errorf("open the DNS server's socket: %w", err)
		}
		n.spawn(func() { n.serveUDPDNS(conn, questions) })
	}
	return nil
}

// serveUDPDNS answers questions concurrently: programs ask for A and AAAA at the
// same time, and a slow name must not delay the others. Questions over the limit
// wait in the socket, which drops those that don't fit.
func (n *Network) serveUDPDNS(conn *gonet.UDPConn, questions chan struct{}) {
	defer conn.Close()
	stop := context.AfterFunc(n.ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for {
		buf := make([]byte, maxQuery)
		size, from, err := conn.ReadFrom(buf)
		if n.ctx.Err() != nil {
			return
		}
		if err != nil {
			continue // the tool closed the socket that an answer was sent to
		}
		select {
		case questions <- struct{}{}:
		case <-n.ctx.Done():
			return
		}
		n.spawn(func() {
			defer func() { <-questions }()
			if answer := n.answer(buf[:size], true); answer != nil {
				_, _ = conn.WriteTo(answer, from) // the tool may have closed its socket
			}
		})
	}
}

// serveTCPDNS answers questions over TCP, where the length precedes each message
// (RFC 1035, 4.2.2).
func (n *Network) serveTCPDNS(r *tcp.ForwarderRequest) {
	if !n.slots.tcp.take() {
		r.Complete(true)
		return
	}
	defer n.slots.tcp.release()
	tool, err := n.accept(r)
	if err != nil {
		return
	}
	defer tool.Close()
	stop := context.AfterFunc(n.ctx, func() { _ = tool.Close() })
	defer stop()
	for {
		if tool.SetDeadline(time.Now().Add(dnsIdle)) != nil {
			return
		}
		var length [2]byte
		if _, err := io.ReadFull(tool, length[:]); err != nil {
			return
		}
		if binary.BigEndian.Uint16(length[:]) > maxQuery {
			return // no question is that long
		}
		query := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(tool, query); err != nil {
			return
		}
		answer := n.answer(query, false)
		if answer == nil {
			return
		}
		if _, err := tool.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
	}
}

// answer returns the answer to a query, or nil if the query can't be parsed.
func (n *Network) answer(query []byte, datagram bool) []byte {
	var p dnsmessage.Parser
	h, err := p.Start(query)
	if err != nil || h.Response {
		return nil
	}
	questions, err := p.AllQuestions()
	reply := dnsmessage.Message{Header: dnsmessage.Header{ID: h.ID, Response: true, OpCode: h.OpCode, RecursionDesired: h.RecursionDesired, RecursionAvailable: true}}
	switch {
	case err != nil || len(questions) != 1:
		reply.RCode = dnsmessage.RCodeFormatError
	case h.OpCode != 0 || questions[0].Class != dnsmessage.ClassINET:
		reply.RCode = dnsmessage.RCodeNotImplemented
	default:
		reply.Questions = questions
		ctx, cancel := context.WithTimeout(n.ctx, dnsTimeout)
		reply.Answers, reply.RCode = n.resolve(ctx, questions[0])
		cancel()
	}
	room, extended := edns(&p)
	if extended {
		reply.Additionals = []dnsmessage.Resource{optRecord()}
	}
	if !datagram {
		room = math.MaxUint16
	}
	packed, err := reply.Pack()
	if err == nil && len(packed) > room {
		reply.Truncated, reply.Answers = true, nil // ask again over TCP
		packed, err = reply.Pack()
	}
	if err != nil {
		return nil
	}
	return packed
}

// edns returns the size in bytes that the query announces for an answer over UDP,
// and whether it announces one (RFC 6891; then the answer must do so too).
func edns(p *dnsmessage.Parser) (room int, extended bool) {
	const least = 512 // RFC 1035, 4.2.1
	if p.SkipAllAnswers() != nil || p.SkipAllAuthorities() != nil {
		return least, false
	}
	for {
		h, err := p.AdditionalHeader()
		if err != nil {
			return least, false
		}
		if h.Type == dnsmessage.TypeOPT {
			return max(least, int(h.Class)), true
		}
		if p.SkipAdditional() != nil {
			return least, false
		}
	}
}

func optRecord() dnsmessage.Resource {
	return dnsmessage.Resource{
		Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName("."), Type: dnsmessage.TypeOPT, Class: maxQuery},
		Body:   &dnsmessage.OPTResource{},
	}
}

// resolve answers a question if the policy allows it.
func (n *Network) resolve(ctx context.Context, q dnsmessage.Question) ([]dnsmessage.Resource, dnsmessage.RCode) {
	name := strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))
	kind := network.Records
	if q.Type == dnsmessage.TypeA || q.Type == dnsmessage.TypeAAAA {
		kind = network.Addresses
	}
	switch {
	case name == network.HostName:
		return n.gateway(q), dnsmessage.RCodeSuccess
	case !n.cfg.Policy.Resolves(name, kind) || !n.looksUp(name, kind):
		return n.refuse(q, name)
	case q.Type == dnsmessage.TypeA || q.Type == dnsmessage.TypeAAAA:
		return n.addresses(ctx, q, name)
	case q.Type == typeHTTPS || q.Type == typeSVCB:
		// Their hints are addresses, which names wouldn't learn.
		return nil, dnsmessage.RCodeSuccess
	}
	n.reportQuestion(q, name)
	records, code, err := n.cfg.Resolver.Records(ctx, q)
	if err != nil {
		return nil, dnsmessage.RCodeServerFailure
	}
	return records, code
}

const (
	typeSVCB  dnsmessage.Type = 64 // RFC 9460
	typeHTTPS dnsmessage.Type = 65
)

// gateway answers for this machine's name, only with its IPv4 address: resolvers prefer IPv6 (RFC 6724 section 2.1), and some
// programs try only the first address. A connection to it reaches servers on either loopback (dialTCP).
func (n *Network) gateway(q dnsmessage.Question) []dnsmessage.Resource {
	if q.Type == dnsmessage.TypeA {
		return []dnsmessage.Resource{addressRecord(q.Name, n.cfg.Gateway4)}
	}
	return nil
}

// refuse answers a question that isn't asked upstream. The answer to a question
// for addresses is a stand-in address, so that the connection that follows is
// refused and reported with its port. Any other question has an empty answer
// instead of an error, so that programs for which it is optional continue.
func (n *Network) refuse(q dnsmessage.Question, name string) ([]dnsmessage.Resource, dnsmessage.RCode) {
	switch q.Type {
	case dnsmessage.TypeA:
		if addr := n.names.standIn(name); addr.IsValid() {
			return []dnsmessage.Resource{addressRecord(q.Name, addr)}, dnsmessage.RCodeSuccess
		}
		return nil, dnsmessage.RCodeRefused
	case dnsmessage.TypeAAAA, typeHTTPS, typeSVCB:
	default:
		n.reportQuestion(q, name)
	}
	return nil, dnsmessage.RCodeSuccess
}

func (n *Network) addresses(ctx context.Context, q dnsmessage.Question, name string) ([]dnsmessage.Resource, dnsmessage.RCode) {
	kind := "ip4"
	if q.Type == dnsmessage.TypeAAAA {
		kind = "ip6"
	}
	found, err := n.cfg.Resolver.Addresses(ctx, kind, name)
	var dnsErr *net.DNSError
	switch {
	case errors.As(err, &dnsErr) && dnsErr.IsNotFound:
		// The host's resolver doesn't say whether the name has other records,
		// so an empty answer would be correct. But if the name has no addresses
		// at all, "no such name" helps the tool more.
		other := map[string]string{"ip4": "ip6", "ip6": "ip4"}[kind]
		if more, err := n.cfg.Resolver.Addresses(ctx, other, name); err == nil && len(more) > 0 {
			return nil, dnsmessage.RCodeSuccess
		}
		return nil, dnsmessage.RCodeNameError
	case err != nil:
		return nil, dnsmessage.RCodeServerFailure
	}
	var answers []dnsmessage.Resource
	for _, addr := range found[:min(len(found), maxAnswers)] {
		addr = addr.Unmap().WithZone("")
		if isStandIn(addr) || addr == n.cfg.Gateway4 || addr == n.cfg.Gateway6 {
			continue // no other name server may give a name to addresses of this package
		}
		n.names.learn(name, addr, answerTTL)
		answers = append(answers, addressRecord(q.Name, addr))
	}
	return answers, dnsmessage.RCodeSuccess
}

func addressRecord(name dnsmessage.Name, addr netip.Addr) dnsmessage.Resource {
	h := dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET, TTL: uint32(answerTTL / time.Second)}
	if addr.Is4() {
		h.Type = dnsmessage.TypeA
		return dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: addr.As4()}}
	}
	h.Type = dnsmessage.TypeAAAA
	return dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}}
}
