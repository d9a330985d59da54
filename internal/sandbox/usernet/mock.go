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

// Mocks answer for what a test's tool tries to reach; see [engine.Mocks].
type Mocks struct {
	// Connections is the socket that connections go to.
	Connections string
	// Allow is what leaves the machine all the same.
	Allow network.Policy
}

// mock hands a destination that the policy allows to the mocks, unless the test lets it leave the machine. It refuses
// what they can't answer.
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

// looksUp says whether a question that the policy lets be asked really is.
func (n *Network) looksUp(name string, question network.Question) bool {
	return n.cfg.Mocks == nil || n.cfg.Mocks.Allow.Resolves(name, question)
}

// serveMock connects the tool with a test's mocks. Its handshake comes first: the mocks see its request before they
// say what becomes of it.
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
	c.TxBytes, c.RxBytes, err = join(n.ctx, tool, mock, pipe{up: n.up, down: n.down, thrifty: tool.thrifty, said: func() { n.sending.Add(-1) }})
	if err != nil {
		c.Reason = cause(err)
	}
	n.cfg.Report(c)
}

// mockConn is a connection to a test's mocks, as [engine.Mocks] describes it.
type mockConn struct {
	*net.UnixConn
	frames *bufio.Reader
	left   uint32 // of the frame that is being read
	ended  bool   // by a frame of length 0
}

// Why a connection ended that the mocks didn't end as they should.
var (
	errMockReset = errors.New("the mocks reset the connection")
	errMockGone  = errors.New("the mocks closed their socket without ending the connection")
)

// mockReset is the length of a frame that resets the connection.
const mockReset = 0xffffffff

// mockBuffer is for what comes with a frame's length; the rest of a large frame is read past it.
const mockBuffer = 4 << 10

// dialMock connects to the mocks' socket and tells them what the tool tries to reach.
func dialMock(ctx context.Context, socket string, to engine.MockedConnection) (*mockConn, error) {
	line, err := json.Marshal(to) // one line, whatever is in a name
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
	stop := context.AfterFunc(ctx, c.abort) // mocks that read nothing
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

// dialUnix waits while more connect at once than the mocks' socket queues (EAGAIN, connect(2)).
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

// Read reads what the mocks say to the tool. However long a frame says it is, it is passed on as it comes.
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

// gone is a read's error: an end that no frame announced is none.
func gone(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, unix.ECONNRESET) {
		return errMockGone
	}
	return err
}

// abort closes the connection both ways, which says that the tool reset it.
func (c *mockConn) abort() { _ = c.Close() }
