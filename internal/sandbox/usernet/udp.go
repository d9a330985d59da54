package usernet

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/mayfly-run/mayfly/internal/network"
)

// handleUDP handles the first datagram of a flow, on the goroutine that reads the
// device. If it returns false the stack answers "port unreachable" (RFC 792,
// RFC 4443), and the tool's next call on the socket fails with ECONNREFUSED.
func (n *Network) handleUDP(r *udp.ForwarderRequest) bool {
	id := r.ID()
	t := n.decide(toAddr(id.LocalAddress), id.LocalPort, network.UDP)
	if !t.verdict.Allowed {
		n.deny(t)
		return false
	}
	if !n.slots.udp.take() {
		n.overflow(t)
		return false
	}
	f := &flow{n: n, target: t, source: netip.AddrPortFrom(toAddr(id.RemoteAddress), id.RemotePort)}
	ep, err := r.CreateEndpoint(&f.wq)
	if err != nil {
		n.slots.udp.release()
		return false
	}
	f.ep = ep
	n.sending.Add(1) // until its first datagram has gone out
	if !n.spawn(f.run) {
		n.sending.Add(-1)
		n.slots.udp.release()
		ep.Close()
		return false
	}
	return true
}

// If more than fastFlows are open, the receive buffer of a new flow on the host
// has thriftyDatagrams bytes: room for one large datagram.
const (
	fastFlows        = 32
	thriftyDatagrams = 64 << 10
)

// flow is the datagrams between one socket of the tool and one destination.
type flow struct {
	n      *Network
	target target
	source netip.AddrPort // the tool's socket
	wq     waiter.Queue
	ep     tcpip.Endpoint
	last   atomic.Int64 // the time of the last datagram in either direction, in Unix nanoseconds
}

// run passes datagrams both ways until there was none for udpIdle.
func (f *flow) run() {
	defer f.n.slots.udp.release()
	conn, err := f.n.cfg.dial(f.n.ctx, "udp", f.target.dial.String())
	if err != nil {
		f.n.sending.Add(-1)
		f.ep.Close()
		f.n.fail(f.target, err)
		return
	}
	host := conn.(*net.UDPConn)
	if f.n.slots.udp.used.Load() > fastFlows {
		_ = host.SetReadBuffer(thriftyDatagrams) // if it fails, the cgroup still limits the buffer
	}
	ctx, end := context.WithCancel(f.n.ctx)
	stop := context.AfterFunc(ctx, func() { _ = host.SetReadDeadline(time.Unix(1, 0)) })
	f.last.Store(time.Now().UnixNano())
	c := f.n.connection(&f.target)
	var down sync.WaitGroup
	var upErr, downErr error
	down.Go(func() {
		defer end()
		c.RxBytes, downErr = f.down(ctx, host)
	})
	c.TxBytes, upErr = f.up(ctx, host)
	end()
	down.Wait()
	stop()
	_ = host.Close()
	f.ep.Close()
	for _, err := range []error{upErr, downErr} {
		if err != nil && !errors.Is(err, errEnded) {
			c.Reason = cause(err)
		}
		if errors.Is(err, unix.ECONNREFUSED) {
			f.refuse() // pass the destination's refusal on
		}
	}
	f.n.cfg.Report(c)
}

// errEnded is the ordinary end of a flow.
var errEnded = errors.New("the flow has ended")

// idle returns how much longer the flow may be without datagrams.
func (f *flow) idle() time.Duration { return udpIdle - time.Since(time.Unix(0, f.last.Load())) }

// maxDatagram is a size that every datagram fits in, in bytes.
const maxDatagram = 65535

// datagrams is a pool of buffers for one datagram each. A flow has a buffer only
// while it handles a datagram, so thousands of idle flows have none.
var datagrams = sync.Pool{New: func() any { b := make([]byte, maxDatagram); return &b }}

// up passes the tool's datagrams on. It counts as sending except while it waits.
// It drops a datagram that exceeds the bandwidth, as a router does.
func (f *flow) up(ctx context.Context, host *net.UDPConn) (total int64, err error) {
	entry, ready := waiter.NewChannelEntry(waiter.ReadableEvents | waiter.EventErr | waiter.EventHUp)
	f.wq.EventRegister(&entry)
	defer f.wq.EventUnregister(&entry)
	timer := time.NewTimer(f.idle())
	defer timer.Stop()
	for {
		n, none, err := f.pass(host)
		total += n
		if err != nil {
			f.n.sending.Add(-1)
			return total, err
		}
		if !none {
			continue
		}
		f.n.sending.Add(-1)
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return total, nil
			case <-ready:
				waiting = false
			case <-timer.C:
				if f.idle() <= 0 {
					return total, nil
				}
				timer.Reset(f.idle())
			}
		}
		f.n.sending.Add(1)
	}
}

// pass passes one datagram of the tool on; none is true if there was none.
func (f *flow) pass(host *net.UDPConn) (sent int64, none bool, err error) {
	buf := datagrams.Get().(*[]byte)
	defer datagrams.Put(buf)
	w := tcpip.SliceWriter(*buf)
	res, readErr := f.ep.Read(&w, tcpip.ReadOptions{})
	switch readErr.(type) {
	case nil:
	case *tcpip.ErrWouldBlock:
		return 0, true, nil
	default:
		return 0, false, errEnded // the tool has closed its socket
	}
	f.last.Store(time.Now().UnixNano())
	if limit := f.n.up; limit != nil && !limit.AllowN(time.Now(), min(res.Count, limit.Burst())) {
		return 0, false, nil
	}
	written, err := host.Write((*buf)[:res.Count])
	if err != nil && !errors.Is(err, unix.ECONNREFUSED) && !errors.Is(err, net.ErrClosed) {
		err = nil // the datagram is too large for the route, or no buffer is free: it is lost
	}
	return int64(written), false, err
}

// down passes the destination's datagrams to the tool.
func (f *flow) down(ctx context.Context, host *net.UDPConn) (total int64, err error) {
	raw, err := host.SyscallConn()
	if err != nil {
		return 0, err
	}
	for {
		err := host.SetReadDeadline(time.Now().Add(f.idle()))
		if ctx.Err() != nil { // check after setting the deadline, because the end of ctx sets it too
			return total, errEnded
		}
		if err != nil {
			return total, err
		}
		buf, n, err := readDatagram(raw)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if f.idle() <= 0 {
				return total, errEnded
			}
			continue // there were datagrams in the other direction
		}
		if err != nil {
			return total, err
		}
		f.last.Store(time.Now().UnixNano())
		if limit := f.n.down; limit == nil || limit.AllowN(time.Now(), min(n, limit.Burst())) {
			if written, err := f.ep.Write(bytes.NewReader((*buf)[:n]), tcpip.WriteOptions{}); err == nil {
				total += written
			}
		}
		datagrams.Put(buf)
	}
}

// readDatagram waits for a datagram, and takes a buffer from the pool only then.
func readDatagram(conn syscall.RawConn) (buf *[]byte, n int, err error) {
	waitErr := conn.Read(func(fd uintptr) bool {
		buf = datagrams.Get().(*[]byte)
		for {
			n, err = unix.Read(int(fd), *buf)
			if !errors.Is(err, unix.EINTR) {
				break
			}
		}
		if err != nil {
			datagrams.Put(buf)
			buf = nil
		}
		return !errors.Is(err, unix.EAGAIN)
	})
	if waitErr != nil {
		return nil, 0, waitErr
	}
	return buf, n, err
}
