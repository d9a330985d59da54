package usernet

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/mayfly-run/mayfly/internal/network"
)

// Buffers of a TCP connection. The first connections get room for speed; with
// many open, new ones get little on both sides, so that all of them full are
// still tens of megabytes: of this process on the tool's side, and of the
// kernel on the host's, which would let each grow to megabytes.
const (
	fastConnections = 32
	fastBuffer      = 1 << 20
	firstWindow     = 128 << 10 // before the kernel has acknowledged anything
	thriftyBuffer   = 16 << 10
)

// handleTCP has a connection attempt of the tool, in a goroutine of its own.
func (n *Network) handleTCP(r *tcp.ForwarderRequest) {
	if !n.enter() {
		r.Complete(false)
		return
	}
	defer n.work.Done()
	id := r.ID()
	addr, port := toAddr(id.LocalAddress), id.LocalPort
	if n.isDNS(addr, port) {
		n.serveTCPDNS(r)
		return
	}
	t := n.decide(addr, port, network.TCP)
	if !t.verdict.Allowed {
		n.deny(t)        // first: a tool that ends at the answer doesn't outrun its report
		r.Complete(true) // a reset: the tool's connect fails at once
		return
	}
	if !n.slots.tcp.take() {
		n.overflow(t)
		r.Complete(true)
		return
	}
	defer n.slots.tcp.release()
	if t.mocked {
		n.serveMock(r, t)
		return
	}
	// The host is dialled first, so that the tool sees its refusal as one.
	conn, err := n.dialTCP(&t)
	if err != nil {
		r.Complete(true)
		n.fail(t, err)
		return
	}
	host := hostConn{conn.(*net.TCPConn)}
	if n.slots.tcp.used.Load() > fastConnections {
		err := errors.Join(host.SetReadBuffer(thriftyBuffer), host.SetWriteBuffer(thriftyBuffer))
		if err != nil {
			r.Complete(true)
			host.abort()
			n.fail(t, err)
			return
		}
	}
	n.sending.Add(1)
	tool, err := n.accept(r)
	if err != nil {
		n.sending.Add(-1)
		host.abort()
		n.fail(t, err)
		return
	}
	c := n.connection(&t)
	c.TxBytes, c.RxBytes, err = join(n.ctx, tool, host, pipe{up: n.up, down: n.down, thrifty: tool.thrifty, said: func() { n.sending.Add(-1) }})
	if err != nil {
		c.Reason = cause(err)
	}
	n.cfg.Report(c)
}

// dialTCP connects to a target. This machine is one place to the tool: where nothing listens on its loopback of one family
// of addresses, the other's is tried.
func (n *Network) dialTCP(t *target) (net.Conn, error) {
	conn, err := n.cfg.dial(n.ctx, "tcp", t.dial.String())
	if err == nil || !t.Host || !nobodyListens(err) {
		return conn, err
	}
	other := netip.IPv6Loopback()
	if t.dial.Addr().Is6() {
		other = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	if conn, otherErr := n.cfg.dial(n.ctx, "tcp", netip.AddrPortFrom(other, t.dial.Port()).String()); otherErr == nil {
		return conn, nil
	}
	return nil, err
}

// nobodyListens reports whether nothing listens there, or the host lacks that family.
func nobodyListens(err error) bool {
	return slices.ContainsFunc([]error{unix.ECONNREFUSED, unix.EADDRNOTAVAIL, unix.ENETUNREACH, unix.EAFNOSUPPORT}, func(e error) bool { return errors.Is(err, e) })
}

// errCut is why a connection ended that the end of the sandbox cut.
var errCut = errors.New("cut off by the end of the sandbox")

// side is one end of a connection: its sending half can end by itself, and
// all of it can end without pretending that all has been said.
type side interface {
	net.Conn
	CloseWrite() error
	abort()
}

// hostConn is the connection to the real destination.
type hostConn struct{ *net.TCPConn }

// abort sends a reset (RFC 9293, 3.10.5).
func (c hostConn) abort() {
	_ = c.SetLinger(0)
	_ = c.Close()
}

// toolConn is the connection that the tool has with this side.
type toolConn struct {
	*gonet.TCPConn
	ep tcpip.Endpoint
	// thrifty connections are copied through small buffers.
	thrifty bool
}

func (c toolConn) abort() { c.ep.Abort() }

// accept completes the tool's handshake.
func (n *Network) accept(r *tcp.ForwarderRequest) (toolConn, error) {
	var wq waiter.Queue
	ep, err := r.CreateEndpoint(&wq)
	if err != nil {
		r.Complete(true)
		return toolConn{}, errors.New(err.String())
	}
	r.Complete(false)
	c := toolConn{TCPConn: gonet.NewTCPConn(&wq, ep), ep: ep}
	if n.slots.tcp.used.Load() > fastConnections {
		c.thrifty = true
		ep.SocketOptions().SetReceiveBufferSize(thriftyBuffer, true) // ends its growing, too
		ep.SocketOptions().SetSendBufferSize(thriftyBuffer, true)
	}
	return c, nil
}

// pipe is how the bytes of a connection are copied.
type pipe struct {
	up, down *limiter // nil limits nothing
	thrifty  bool
	said     func() // called once the tool's side is passed on
}

// join copies both ways until both sides have ended, or ctx does. The error is
// why it ended before that.
func join(ctx context.Context, tool, host side, p pipe) (up, down int64, err error) {
	var said atomic.Bool // the tool has ended its sending
	stop := context.AfterFunc(ctx, func() {
		tool.abort()
		if said.Load() {
			_ = host.Close()
			return
		}
		host.abort() // what the server got must not look whole
	})
	defer stop()
	var both sync.WaitGroup
	var upErr, downErr error
	both.Go(func() {
		defer p.said()
		up, upErr = pump(ctx, host, tool, p.up, p.thrifty)
		said.Store(upErr == nil)
	})
	both.Go(func() { down, downErr = pump(ctx, tool, host, p.down, p.thrifty) })
	both.Wait()
	_ = tool.Close()
	_ = host.Close()
	switch {
	case ctx.Err() != nil && (upErr != nil || downErr != nil):
		return up, down, errCut
	case errors.Is(downErr, net.ErrClosed): // a consequence of the other
		return up, down, upErr
	case downErr != nil:
		return up, down, downErr
	}
	return up, down, upErr
}

// pump copies one way. The end of the source is passed on as an end, and an
// error as a reset of both sides: half an answer must not look like a whole one.
func pump(ctx context.Context, dst, src side, limit *limiter, thrifty bool) (int64, error) {
	n, err := copyLimited(ctx, dst, src, limit, thrifty)
	if err == nil {
		// An error says that the other way has ended the connection already.
		_ = dst.CloseWrite()
		return n, nil
	}
	dst.abort()
	src.abort()
	return n, err
}
