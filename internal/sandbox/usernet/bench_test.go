package usernet

import (
	"io"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
)

// source starts a server that sends each connection as much as it reads.
func source(b *testing.B) netip.AddrPort {
	return serve(b, "203.0.113.10", func(c *net.TCPConn) {
		chunk := make([]byte, 1<<20)
		for {
			if _, err := c.Write(chunk); err != nil {
				return
			}
		}
	})
}

func read(b *testing.B, conn net.Conn) {
	b.Helper()
	defer conn.Close()
	buf := make([]byte, 1<<20)
	b.SetBytes(1 << 20)
	for b.Loop() {
		if _, err := io.ReadFull(conn, buf); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDownload is compared with BenchmarkLoopbackDownload of the same run:
// the budget is 15 percent of its throughput.
func BenchmarkDownload(b *testing.B) {
	to := source(b)
	w := newNetwork(b, Config{Policy: policy(network.ModePublic), Report: func(engine.Connection) {}})
	conn, err := w.dial("tcp", to.String())
	if err != nil {
		b.Fatal(err)
	}
	read(b, conn)
}

func BenchmarkLoopbackDownload(b *testing.B) {
	conn, err := net.Dial("tcp", source(b).String())
	if err != nil {
		b.Fatal(err)
	}
	read(b, conn)
}

func BenchmarkUpload(b *testing.B) {
	to := serve(b, "203.0.113.10", func(c *net.TCPConn) { _, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, c, make([]byte, 1<<20)) })
	w := newNetwork(b, Config{Policy: policy(network.ModePublic), Report: func(engine.Connection) {}})
	conn, err := w.dial("tcp", to.String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	buf := make([]byte, 1<<20)
	b.SetBytes(1 << 20)
	for b.Loop() {
		if _, err := conn.Write(buf); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkConnect connects and receives one byte.
func BenchmarkConnect(b *testing.B) {
	to := serve(b, "203.0.113.10", func(c *net.TCPConn) { _, _ = c.Write([]byte{1}) })
	w := newNetwork(b, Config{Policy: policy(network.ModePublic), Report: func(engine.Connection) {}})
	w.inside(func() {
		for b.Loop() {
			receiveOne(b, to)
		}
	})
}

func BenchmarkLoopbackConnect(b *testing.B) {
	to := serve(b, "203.0.113.10", func(c *net.TCPConn) { _, _ = c.Write([]byte{1}) })
	for b.Loop() {
		receiveOne(b, to)
	}
}

func receiveOne(b *testing.B, to netip.AddrPort) {
	conn, err := net.Dial("tcp", to.String())
	if err != nil {
		b.Error(err)
		return
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		b.Error(err)
	}
	conn.Close()
}

// BenchmarkRefuse measures a connection that the policy denies.
func BenchmarkRefuse(b *testing.B) {
	w := newNetwork(b, Config{Policy: policy(network.ModeList), Report: func(engine.Connection) {}})
	w.inside(func() {
		for b.Loop() {
			if conn, err := net.Dial("tcp", "203.0.113.10:80"); err == nil {
				conn.Close()
				b.Error("not refused")
			}
		}
	})
}

// BenchmarkStartAndClose measures what a network adds to a run that doesn't use
// it, except for the namespace and its device.
func BenchmarkStartAndClose(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		w := newNetwork(b, Config{Policy: policy(network.ModePublic)})
		w.close()
		tun, err := w.newNamespace()
		if err != nil {
			b.Fatal(err)
		}
		cfg := w.n.cfg
		cfg.TUN = tun
		b.StartTimer()
		n, err := Start(cfg)
		if err != nil {
			b.Fatal(err)
		}
		n.Close()
		b.StopTimer()
		unix.Close(w.ns)
		w.ns = -1
		b.StartTimer()
	}
}
