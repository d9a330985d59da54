package usernet

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
)

// Mocks answer the connections of a test's tool; see [engine.Mocks].
type Mocks struct {
	// Connections is the path of the unix socket that connections are passed to.
	Connections string
	// Allow is what may leave the machine anyway.
	Allow network.Policy
}

// mock passes a destination that the policy allows to the mocks, unless the test lets it leave the machine. It refuses
// protocols that mocks can't answer.
func (n *Network) mock(t *target) {
	if !t.verdict.Allowed || !t.Unresolved && n.cfg.Mocks.Allow.Decide(t.Destination).Allowed {
		return
	}
	if t.Protocol == network.TCP {
		t.mocked = true
		return
	}
	t.verdict = network.Decision{
		Rule: "mocks", Host: t.verdict.Host,
		Reason: fmt.Sprintf("mocks answer tcp only, and this test lets no %s to %s leave the machine", t.Protocol, network.HostText(t.verdict.Host)),
	}
}

// looksUp reports whether a question that the policy allows is really asked: mocks may keep it on this machine.
func (n *Network) looksUp(name string, question network.Question) bool {
	return n.cfg.Mocks == nil || n.cfg.Mocks.Allow.Resolves(name, question)
}

// serveMock connects the tool with a test's mocks. It completes the tool's handshake first, so that the mocks can see the
// tool's request before they answer or refuse it.
func (n *Network) serveMock(r *tcp.ForwarderRequest, t target) {
	n.sending.Add(1)
	tool, err := n.accept(r)
	if err != nil {
		n.sending.Add(-1)
		n.fail(t, err)
		return
	}
	mock, err := dialMock(n.ctx, n.cfg.Mocks.Connections, engine.MockedConnection{Names: t.Names, Address: t.Address.String(), Port: t.Port})
	if err != nil {
		n.sending.Add(-1)
		tool.abort()
		n.fail(t, err)
		return
	}
	c := n.connection(&t)
	c.TxBytes, c.RxBytes, err = join(n.ctx, tool, mock, pipe{up: n.up, down: n.down, thrifty: tool.thrifty, uploaded: func() { n.sending.Add(-1) }})
	if err != nil {
		c.Reason = cause(err)
	}
	n.cfg.Report(c)
}

// mockConn is a connection to a test's mocks, as [engine.Mocks] describes it.
type mockConn struct {
	*net.UnixConn
	frames *bufio.Reader
	left   uint32 // bytes left of the present frame
	ended  bool   // there was a frame of length 0
}

// The reasons why a connection ended without a frame of length 0.
var (
	errMockReset = errors.New("the mocks reset the connection")
	errMockGone  = errors.New("the mocks closed their socket without ending the connection")
)

// mockReset is the length of a frame that resets the connection.
const mockReset = 0xffffffff

// mockBuffer is the size of the buffer for lengths and small frames. Large frames are read without it.
const mockBuffer = 4 << 10

// dialMock connects to the mocks' socket and sends them the destination.
func dialMock(ctx context.Context, socket string, to engine.MockedConnection) (*mockConn, error) {
	line, err := json.Marshal(to) // always one line: line breaks in names are escaped
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := dialUnix(ctx, socket)
	if err != nil {
		return nil, errors.New("the mocks can't be reached: " + cause(err))
	}
	c := &mockConn{UnixConn: conn, frames: bufio.NewReaderSize(conn, mockBuffer)}
	stop := context.AfterFunc(ctx, c.abort) // in case the mocks don't read
	_, err = conn.Write(append(line, '\n'))
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		c.abort()
		return nil, errors.New("the mocks can't be told of a connection: " + cause(err))
	}
	return c, nil
}

// dialUnix connects, and tries again while the queue of the mocks' socket is full (EAGAIN, connect(2)).
func dialUnix(ctx context.Context, socket string) (*net.UnixConn, error) {
	var d net.Dialer
	for {
		conn, err := d.DialContext(ctx, "unix", socket)
		if err == nil {
			return conn.(*net.UnixConn), nil
		}
		if !errors.Is(err, unix.EAGAIN) {
			return nil, err
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// Read reads the mocks' bytes for the tool. It returns the bytes of a frame as they arrive, so that the length of a frame takes
// no memory.
func (c *mockConn) Read(p []byte) (int, error) {
	if c.ended {
		return 0, io.EOF
	}
	if c.left == 0 {
		var length [4]byte
		if _, err := io.ReadFull(c.frames, length[:]); err != nil {
			return 0, gone(err)
		}
		c.left = binary.BigEndian.Uint32(length[:])
		switch c.left {
		case 0:
			c.ended = true
			return 0, io.EOF
		case mockReset:
			return 0, errMockReset
		}
	}
	n, err := c.frames.Read(p[:min(int64(len(p)), int64(c.left))])
	c.left -= uint32(n)
	return n, gone(err)
}

// gone returns the error of a read: errMockGone if the socket ended without a frame of length 0.
func gone(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, unix.ECONNRESET) {
		return errMockGone
	}
	return err
}

// abort closes the connection both ways, which means that the tool reset it.
func (c *mockConn) abort() { _ = c.Close() }
