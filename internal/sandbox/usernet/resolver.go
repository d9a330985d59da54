package usernet

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// hostResolver uses the host's hosts file and name servers.
type hostResolver struct{}

// Addresses implements [Resolver].
func (hostResolver) Addresses(ctx context.Context, kind, name string) ([]netip.Addr, error) {
	if strings.Contains(name, ".") {
		name += "." // don't use the search list, which the tool's own resolver doesn't have
	}
	r := net.Resolver{PreferGo: true}
	return r.LookupNetIP(ctx, kind, name)
}

// upstreamTimeout is the time limit for one name server.
const upstreamTimeout = 3 * time.Second

// Records implements [Resolver] by asking the name servers of resolv.conf in turn.
func (hostResolver) Records(ctx context.Context, q dnsmessage.Question) ([]dnsmessage.Resource, dnsmessage.RCode, error) {
	servers, err := nameServers("/etc/resolv.conf")
	if err != nil {
		return nil, 0, err
	}
	var errs []error
	for _, server := range servers {
		m, err := exchange(ctx, server, q)
		if err == nil {
			return m.Answers, m.RCode, nil
		}
		errs = append(errs, err)
	}
	return nil, 0, errors.Join(errs...)
}

// nameServers returns the name servers in a resolv.conf(5); without any it
// returns the local one.
func nameServers(path string) ([]netip.AddrPort, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var servers []netip.AddrPort
	lines := bufio.NewScanner(io.LimitReader(f, 64<<10))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) >= 2 && fields[0] == "nameserver" {
			if addr, err := netip.ParseAddr(fields[1]); err == nil {
				servers = append(servers, netip.AddrPortFrom(addr, dnsPort))
			}
		}
	}
	if len(servers) == 0 {
		servers = append(servers, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), dnsPort))
	}
	return servers, lines.Err()
}

// exchange asks one server over UDP, and again over TCP if the answer was
// truncated.
func exchange(ctx context.Context, server netip.AddrPort, q dnsmessage.Question) (*dnsmessage.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, upstreamTimeout)
	defer cancel()
	m, err := exchangeOver(ctx, "udp", server, q)
	if err == nil && m.Truncated {
		return exchangeOver(ctx, "tcp", server, q)
	}
	return m, err
}

func exchangeOver(ctx context.Context, kind string, server netip.AddrPort, q dnsmessage.Question) (*dnsmessage.Message, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, kind, server.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	id := uint16(rand.Uint32())
	query := dnsmessage.Message{Header: dnsmessage.Header{ID: id, RecursionDesired: true}, Questions: []dnsmessage.Question{q}}
	packed, err := query.Pack()
	if err != nil {
		return nil, err
	}
	if kind == "tcp" {
		packed = append(binary.BigEndian.AppendUint16(nil, uint16(len(packed))), packed...)
	}
	if _, err := conn.Write(packed); err != nil {
		return nil, err
	}
	for {
		answer, err := readMessage(conn, kind)
		if err != nil {
			return nil, err
		}
		var m dnsmessage.Message
		if err := m.Unpack(answer); err != nil {
			return nil, fmt.Errorf("name server %s: %w", server, err)
		}
		// Any other message is an answer to another question, or forged.
		if m.ID == id && m.Response && len(m.Questions) == 1 && m.Questions[0] == q {
			return &m, nil
		}
	}
}

func readMessage(conn net.Conn, kind string) ([]byte, error) {
	if kind == "udp" {
		buf := make([]byte, maxDatagram)
		n, err := conn.Read(buf)
		return buf[:n], err
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, err
	}
	buf := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(conn, buf)
	return buf, err
}
