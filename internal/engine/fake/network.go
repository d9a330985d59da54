package fake

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
)

// Dial connects to a port of a host, if the policy of the spec allows it. If the spec has mocks they answer, except for
// destinations that they let through. Every name has the same public address, except [network.HostName], which is this
// machine's loopback.
func (p *Process) Dial(host string, port uint16) (net.Conn, error) {
	if host == "localhost" {
		return p.dialLoopback(port)
	}
	d := network.Destination{Protocol: network.TCP, Names: []string{host}, Port: port, Address: standIn, Unresolved: true}
	if host == network.HostName {
		d.Host, d.Unresolved, d.Address = true, false, netip.MustParseAddr("127.0.0.1")
	}
	verdict := p.Spec.Network.Decide(d)
	c := engine.Connection{Host: host, Port: port, Protocol: string(network.TCP), Allowed: verdict.Allowed, Rule: verdict.Rule, Reason: verdict.Reason}
	if verdict.Suggest != nil {
		c.Suggest = verdict.Suggest.String()
	}
	if !verdict.Allowed {
		p.Report(engine.Event{Connection: &c})
		return nil, fmt.Errorf("dial %s:%d: connection refused", host, port)
	}
	var conn net.Conn
	var err error
	switch {
	case p.Spec.Mocks != nil && !p.Spec.Mocks.Allow.Decide(d).Allowed:
		c.Mocked = true
		conn, err = p.dialMock(engine.MockedConnection{Names: []string{host}, Address: standIn.String(), Port: port})
	case host == network.HostName:
		conn, err = net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
	default:
		err = errors.New("the fake engine reaches no network; use " + network.HostName)
	}
	if err != nil {
		c.Reason = err.Error()
	}
	p.Report(engine.Event{Connection: &c})
	return conn, err
}

// standIn is the address of all names.
var standIn = netip.MustParseAddr("198.19.0.1")

func (p *Process) dialLoopback(port uint16) (net.Conn, error) {
	if m := p.Spec.Mocks; m == nil || !slices.ContainsFunc(m.Loopback, func(r network.PortRange) bool { return r.Contains(port) }) {
		return nil, fmt.Errorf("dial localhost:%d: connection refused", port)
	}
	conn, err := p.dialMock(engine.MockedConnection{Address: "127.0.0.1", Port: port, Loopback: true})
	p.Report(engine.Event{Connection: &engine.Connection{Host: "localhost", Address: "127.0.0.1", Port: port, Protocol: string(network.TCP), Allowed: err == nil, Mocked: true}})
	return conn, err
}

func (p *Process) dialMock(to engine.MockedConnection) (net.Conn, error) {
	conn, err := net.Dial("unix", p.Local.Connections)
	if err != nil {
		return nil, err
	}
	line, err := json.Marshal(to)
	if err == nil {
		_, err = conn.Write(append(line, '\n'))
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &mockConn{Conn: conn}, nil
}

// mockConn reads the frames of [engine.Mocks].
type mockConn struct {
	net.Conn
	left  uint32
	ended bool
}

func (c *mockConn) Read(b []byte) (int, error) {
	if c.ended {
		return 0, io.EOF
	}
	if c.left == 0 {
		var head [4]byte
		if _, err := io.ReadFull(c.Conn, head[:]); err != nil {
			return 0, errors.New("connection reset by peer")
		}
		switch c.left = binary.BigEndian.Uint32(head[:]); c.left {
		case 0:
			c.ended = true
			return 0, io.EOF
		case 0xffffffff:
			return 0, errors.New("connection reset by peer")
		}
	}
	n, err := c.Conn.Read(b[:min(len(b), int(c.left))])
	c.left -= uint32(n)
	return n, err
}

// CloseWrite ends the sending half of the connection.
func (c *mockConn) CloseWrite() error { return c.Conn.(*net.UnixConn).CloseWrite() }

// Receive reads a connection to its end, no faster than the bandwidth limit allows.
func (p *Process) Receive(c net.Conn) ([]byte, error) {
	data, err := io.ReadAll(c)
	if bits := p.Spec.Resources.Bandwidth; bits > 0 {
		select {
		case <-time.After(time.Duration(int64(len(data)) * 8 * int64(time.Second) / bits)):
		case <-p.Context.Done():
		}
	}
	return data, err
}

// Call calls a mocked command by the protocol of [engine.Mocks].
func (p *Process) Call(input string, args ...string) (stdout, stderr string, status int, err error) {
	if p.Spec.Mocks == nil || !slices.Contains(p.Spec.Mocks.Commands, args[0]) {
		return "", "", 127, nil
	}
	c, err := net.Dial("unix", p.Local.Commands)
	if err != nil {
		return "", "", 126, err
	}
	defer c.Close()
	var ask []byte
	for _, a := range args {
		ask = append(binary.BigEndian.AppendUint32(ask, uint32(len(a))), a...)
	}
	ask = binary.BigEndian.AppendUint32(ask, 0xffffffff)
	if input != "" {
		ask = append(binary.BigEndian.AppendUint32(ask, uint32(len(input))), input...)
	}
	if _, err := c.Write(binary.BigEndian.AppendUint32(ask, 0)); err != nil {
		return "", "", 126, err
	}
	for {
		var head [5]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return stdout, stderr, 126, err
		}
		data := make([]byte, binary.BigEndian.Uint32(head[1:]))
		if _, err := io.ReadFull(c, data); err != nil {
			return stdout, stderr, 126, err
		}
		switch head[0] {
		case 1:
			stdout += string(data)
		case 2:
			stderr += string(data)
		case 3:
			return stdout, stderr, int(data[0]), nil
		}
	}
}
