package usernet

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
)

// Loopback passes connections to a sandbox's own loopback to a test's mocks. Unlike those of a [Network] they are connections
// of the kernel: in the sandbox's network namespace at one end, and on the host at the other.
type Loopback struct {
	cfg       LoopbackConfig
	ctx       context.Context
	cancel    context.CancelFunc
	work      sync.WaitGroup
	slots     slots
	overflows once[targetKey]
	sending   atomic.Int64 // connections whose tool hasn't ended its side yet
}

// LoopbackConfig is the configuration of a sandbox's mocked loopback.
type LoopbackConfig struct {
	// Listeners accept the connections; the local address of a connection is the one that the tool dialled. The loopback owns
	// the listeners.
	Listeners []*net.TCPListener
	// Connections is the mocks' socket.
	Connections string
	// Report is called with each ended connection, from several goroutines.
	Report func(engine.Connection)
}

// maxLoopback is the limit of the connections of a sandbox's mocked loopback. Further connections are reset and reported.
const maxLoopback = 1024

// ServeLoopback starts serving, until Close.
func ServeLoopback(cfg LoopbackConfig) *Loopback {
	l := &Loopback{cfg: cfg}
	l.slots.max = maxLoopback
	l.ctx, l.cancel = context.WithCancel(context.Background())
	for _, listener := range cfg.Listeners {
		l.work.Go(func() { l.accept(listener) })
	}
	return l
}

// Close ends every connection, reports them, and waits for all goroutines. The tool must have ended; its last bytes are still
// passed on.
func (l *Loopback) Close() {
	l.flush()
	l.cancel()
	for _, listener := range l.cfg.Listeners {
		_ = listener.Close()
	}
	l.work.Wait()
}

// flush waits until the mocks have everything that the tool sent before it ended. It checks twice, because a connection is
// counted only after it was accepted.
func (l *Loopback) flush() {
	quiet := 0
	for end := time.Now().Add(flushTime); quiet < 2 && time.Now().Before(end); time.Sleep(time.Millisecond) {
		if l.waiting() || l.sending.Load() > 0 {
			quiet = 0
		} else {
			quiet++
		}
	}
}

// waiting reports whether a connection waits to be accepted.
func (l *Loopback) waiting() bool {
	waiting := false
	for _, listener := range l.cfg.Listeners {
		raw, err := listener.SyscallConn()
		if err != nil {
			continue
		}
		_ = raw.Control(func(fd uintptr) {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
			waiting = waiting || err == nil && n > 0
		})
	}
	return waiting
}

func (l *Loopback) accept(listener *net.TCPListener) {
	for {
		conn, err := listener.AcceptTCP()
		if l.ctx.Err() != nil {
			if err == nil {
				hostConn{conn}.abort()
			}
			return
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond) // for example, no descriptor is free
			continue
		}
		l.sending.Add(1)
		l.work.Go(func() { l.serve(hostConn{conn}) })
	}
}

// serve connects the tool with the mocks.
func (l *Loopback) serve(tool hostConn) {
	uploaded := func() { l.sending.Add(-1) }
	t := loopbackTarget(tool.LocalAddr())
	c := engine.Connection{Address: t.Address.String(), Port: t.Port, Protocol: string(network.TCP), Allowed: true, Rule: "mocks", Mocked: true}
	if !l.slots.take() {
		uploaded()
		tool.abort()
		if l.overflows.first(t.key()) {
			c.Reason = errTooMany.Error()
			l.cfg.Report(c)
		}
		return
	}
	defer l.slots.release()
	thrifty := l.slots.used.Load() > fastConnections
	if thrifty {
		_ = tool.SetReadBuffer(thriftyBuffer)
		_ = tool.SetWriteBuffer(thriftyBuffer)
	}
	mock, err := dialMock(l.ctx, l.cfg.Connections, engine.MockedConnection{Address: c.Address, Port: c.Port, Loopback: true})
	if err != nil {
		uploaded()
		tool.abort()
		c.Reason = cause(err)
		l.cfg.Report(c)
		return
	}
	c.TxBytes, c.RxBytes, err = join(l.ctx, tool, mock, pipe{thrifty: thrifty, uploaded: uploaded})
	if err != nil {
		c.Reason = cause(err)
	}
	l.cfg.Report(c)
}

func loopbackTarget(dialled net.Addr) target {
	at := dialled.(*net.TCPAddr).AddrPort()
	return target{Destination: network.Destination{Address: at.Addr().Unmap(), Port: at.Port(), Protocol: network.TCP}}
}
