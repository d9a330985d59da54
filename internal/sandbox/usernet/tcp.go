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

// The buffers of TCP connections, in bytes. The first fastConnections get large
// buffers, for speed. If more are open, new ones get small buffers on both sides,
// so that all full buffers together take tens of megabytes: in this process on
// the tool's side, and in the kernel on the host's side, where each could
// otherwise grow to megabytes.
const (
	fastConnections = 32
	fastBuffer      = 1 << 20
	firstWindow     = 128 << 10 // before the kernel has acknowledged anything
	thriftyBuffer   = 16 << 10
)

// handleTCP handles a connection attempt of the tool, in its own goroutine.
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
		n.deny(t)        // before the answer, so that the report precedes a tool that ends at the answer
		r.Complete(true) // a reset: the tool's connect fails immediately
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
	// Dial the host before the tool's handshake, so that the tool sees a refusal as a refusal.
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
	c.TxBytes, c.RxBytes, err = join(n.ctx, tool, host, pipe{up: n.up, down: n.down, thrifty: tool.thrifty, uploaded: func() { n.sending.Add(-1) }})
	if err != nil {
		c.Reason = cause(err)
	}
	n.cfg.Report(c)
}

// dialTCP connects to a target. For the tool this machine is one host: if nothing listens on the loopback of one address family,
// dialTCP tries that of the other.
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

// nobodyListens reports whether an error says that nothing listens at the address, or that the host lacks its family.
func nobodyListens(err error) bool {
	return slices.ContainsFunc([]error{unix.ECONNREFUSED, unix.EADDRNOTAVAIL, unix.ENETUNREACH, unix.EAFNOSUPPORT}, func(e error) bool { return errors.Is(err, e) })
}

// errCut is the reason of a connection that was open at the end of the sandbox.
var errCut = errors.New("cut off by the end of the sandbox")

// side is one end of a connection. CloseWrite ends only its sending half. abort
// ends it with a reset, so that the other end doesn't mistake the data for
// complete.
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

// toolConn is the tool's connection to this process.
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
		ep.SocketOptions().SetReceiveBufferSize(thriftyBuffer, true) // which also stops it from growing
		ep.SocketOptions().SetSendBufferSize(thriftyBuffer, true)
	}
	n.revive(ep)
	return c, nil
}

// pipe has the options of a copy in both directions.
type pipe struct {
	up, down *limiter // nil means no limit
	thrifty  bool
	uploaded func() // called once everything that the tool sent is passed on
}

// join copies both ways until both sides have ended, or until ctx ends, and
// returns the numbers of bytes. The error is the reason of an earlier end.
func join(ctx context.Context, tool, host side, p pipe) (up, down int64, err error) {
	var uploaded atomic.Bool // the tool has ended its sending half
	stop := context.AfterFunc(ctx, func() {
		tool.abort()
		if uploaded.Load() {
			_ = host.Close()
			return
		}
		host.abort() // the server must not mistake what it received for complete
	})
	defer stop()
	var both sync.WaitGroup
	var upErr, downErr error
	both.Go(func() {
		defer p.uploaded()
		up, upErr = pump(ctx, host, tool, p.up, p.thrifty)
		uploaded.Store(upErr == nil)
	})
	both.Go(func() { down, downErr = pump(ctx, tool, host, p.down, p.thrifty) })
	both.Wait()
	_ = tool.Close()
	_ = host.Close()
	switch {
	case ctx.Err() != nil && (upErr != nil || downErr != nil):
		return up, down, errCut
	case errors.Is(downErr, net.ErrClosed): // a consequence of upErr
		return up, down, upErr
	case downErr != nil:
		return up, down, downErr
	}
	return up, down, upErr
}

// pump copies one way. It passes the end of the source on as an end, and an error
// as a reset of both sides: half an answer must not look complete.
func pump(ctx context.Context, dst, src side, limit *limiter, thrifty bool) (int64, error) {
	n, err := copyLimited(ctx, dst, src, limit, thrifty)
	if err == nil {
		// An error means that the other direction has already ended the connection.
		_ = dst.CloseWrite()
		return n, nil
	}
	dst.abort()
	src.abort()
	return n, err
}
