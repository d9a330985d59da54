package usernet

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/time/rate"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
)

// serve answers each connection with f, on an address of the host, and returns the address with its port.
func serve(t testing.TB, address string, f func(*net.TCPConn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				f(c.(*net.TCPConn))
			}()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func echoTCP(c *net.TCPConn) { _, _ = io.Copy(c, c) }

var publicAddresses = []string{"203.0.113.10", "2001:db8::10"}

func TestTCP(t *testing.T) {
	for _, address := range publicAddresses {
		t.Run(address, func(t *testing.T) {
			to := serve(t, address, echoTCP)
			w := newNetwork(t, Config{Policy: policy(network.ModePublic)})
			conn := w.mustDial("tcp", to.String())
			message := strings.Repeat("x", 100_000)
			go func() {
				_, _ = io.WriteString(conn, message)
				_ = conn.(*net.TCPConn).CloseWrite()
			}()
			// The echo ends only if the tool's end was passed on, and so were
			// the answers after it.
			got, err := io.ReadAll(conn)
			if err != nil || string(got) != message {
				t.Fatalf("got %d bytes back, %v, want %d", len(got), err, len(message))
			}
			conn.Close()
			c := w.report("tcp", address, int(to.Port()))
			if !c.Allowed || c.Rule != "mode public" || c.Reason != "" || c.RxBytes != 100_000 || c.TxBytes != 100_000 {
				t.Errorf("report %+v", c)
			}
			if rx, tx := w.n.Bytes(); rx < 100_000 || tx < 100_000 || rx > 200_000 || tx > 200_000 {
				t.Errorf("counted %d and %d bytes, want 100,000 to 200,000 each", rx, tx)
			}
		})
	}
}

// TestHalfCloseByServer: a server that has ended its sending half still receives.
func TestHalfCloseByServer(t *testing.T) {
	heard := make(chan string, 1)
	to := serve(t, "203.0.113.10", func(c *net.TCPConn) {
		_, _ = io.WriteString(c, "hello")
		_ = c.CloseWrite()
		all, _ := io.ReadAll(c)
		heard <- string(all)
	})
	w := newNetwork(t, Config{Policy: policy(network.ModePublic)})
	conn := w.mustDial("tcp", to.String())
	if got, err := io.ReadAll(conn); err != nil || string(got) != "hello" {
		t.Fatalf("got %q, %v, want hello", got, err)
	}
	if _, err := io.WriteString(conn, "late"); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if got := <-heard; got != "late" {
		t.Errorf("the server received %q, want late", got)
	}
}

func TestTCPDenied(t *testing.T) {
	for _, address := range publicAddresses {
		t.Run(address, func(t *testing.T) {
			to := serve(t, address, func(*net.TCPConn) { t.Error("the server was reached") })
			w := newNetwork(t, Config{Policy: policy(network.ModeList, "{host: other.example}")})
			if _, err := w.dial("tcp", to.String()); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Fatal(err)
			}
			c := w.report("tcp", address, int(to.Port()))
			if c.Allowed || c.Rule != "mode list" || !strings.Contains(c.Suggest, address) || !strings.Contains(c.Suggest, strconv.Itoa(int(to.Port()))) {
				t.Errorf("report %+v", c)
			}
		})
	}
}

func TestHostRefusalPassesThrough(t *testing.T) {
	l, err := net.Listen("tcp", "203.0.113.10:0")
	if err != nil {
		t.Fatal(err)
	}
	to := l.Addr().(*net.TCPAddr).AddrPort()
	l.Close()
	w := newNetwork(t, Config{Policy: policy(network.ModePublic)})
	if _, err := w.dial("tcp", to.String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatal(err)
	}
	if c := w.report("tcp", "203.0.113.10", int(to.Port())); !c.Allowed || c.Reason != "connection refused" {
		t.Errorf("report %+v", c)
	}
}

// TestResetPassesThrough: both sides see a reset as a reset. Half an answer, or
// half an upload, must not look complete.
func TestResetPassesThrough(t *testing.T) {
	t.Run("by the server", func(t *testing.T) {
		heard := make(chan struct{})
		to := serve(t, "203.0.113.10", func(c *net.TCPConn) {
			_, _ = io.WriteString(c, "half")
			<-heard // a reset may overtake data that was sent before it
			_ = c.SetLinger(0)
		})
		w := newNetwork(t, Config{Policy: policy(network.ModePublic)})
		conn := w.mustDial("tcp", to.String())
		_, err := io.ReadFull(conn, make([]byte, 4))
		close(heard)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(conn); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("got %q, %v, want a reset", got, err)
		}
		if c := w.report("tcp", "203.0.113.10", int(to.Port())); c.Reason != "connection reset by peer" || c.RxBytes != 4 {
			t.Errorf("report %+v", c)
		}
	})
	t.Run("by the tool", func(t *testing.T) {
		heard := make(chan error, 1)
		to := serve(t, "203.0.113.10", func(c *net.TCPConn) {
			_, err := io.ReadAll(c)
			heard <- err
		})
		w := newNetwork(t, Config{Policy: policy(network.ModePublic)})
		conn := w.mustDial("tcp", to.String()).(*net.TCPConn)
		_, _ = io.WriteString(conn, "half")
		_ = conn.SetLinger(0)
		conn.Close()
		if err := <-heard; !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
	})
}

func TestLargeTransfer(t *testing.T) {
	data := make([]byte, 100<<20)
	chacha := rand.NewChaCha8([32]byte{})
	_, _ = chacha.Read(data)
	want := sha256.Sum256(data)
	up := make(chan [32]byte, 1)
	to := serve(t, "203.0.113.10", func(c *net.TCPConn) {
		go func() { _, _ = c.Write(data); _ = c.CloseWrite() }()
		h := sha256.New()
		_, _ = io.Copy(h, c)
		up <- [32]byte(h.Sum(nil))
	})
	w := newNetwork(t, Config{Policy: policy(network.ModePublic)})
	conn := w.mustDial("tcp", to.String())
	if err := conn.SetDeadline(time.Now().Add(5 * patience)); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = conn.Write(data); _ = conn.(*net.TCPConn).CloseWrite() }()
	h := sha256.New()
	if _, err := io.Copy(h, conn); err != nil {
		t.Fatal(err)
	}
	if [32]byte(h.Sum(nil)) != want || <-up != want {
		t.Error("the digest is wrong")
	}
	if c := w.report("tcp", "203.0.113.10", int(to.Port())); c.RxBytes != 100<<20 || c.TxBytes != 100<<20 {
		t.Errorf("report %+v", c)
	}
}

func TestBandwidth(t *testing.T) {
	const bits, size = 80_000_000, 10_000_000 // a second
	to := serve(t, "203.0.113.10", func(c *net.TCPConn) {
		go func() { _, _ = io.Copy(io.Discard, c) }()
		_, _ = c.Write(make([]byte, size))
	})
	w := newNetwork(t, Config{Policy: policy(network.ModePublic), Bandwidth: bits})
	start := time.Now()
	n, err := io.Copy(io.Discard, w.mustDial("tcp", to.String()))
	if took := time.Since(start); err != nil || n != size || took < 900*time.Millisecond { // a busy machine takes longer
		t.Errorf("got %d bytes in %s, %v, want %d in at least 1s, less the burst", n, took, err, size)
	}
}

// TestLimiter checks without a clock, which would depend on the machine, that a
// limit isn't too strict: each byte is charged once.
func TestLimiter(t *testing.T) {
	for bits, want := range map[int64]struct {
		limit rate.Limit
		burst int
	}{80_000_000: {10_000_000, 500_000}, 8_000: {1000, 16 << 10}, 1: {1, 16 << 10}} {
		if l := newLimiter(bits); l.Limit() != want.limit || l.Burst() != want.burst {
			t.Errorf("%d bits per second: got %v and %d bytes, want %+v", bits, l.Limit(), l.Burst(), want)
		}
	}
	const size = 10_000_000
	limit := rate.NewLimiter(1e-9, 2*size)
	n, err := copyLimited(t.Context(), io.Discard, bytes.NewReader(make([]byte, size)), limit, false)
	if left := limit.Tokens(); err != nil || n != size || math.Round(left) != size {
		t.Errorf("copied %d of %d bytes, %v; %v of %d tokens are left, want %d", n, size, err, left, 2*size, size)
	}
}

// TestCloseReportsLiveConnections closes the network with two open connections,
// one of them without data.
func TestCloseReportsLiveConnections(t *testing.T) {
	heard := make(chan error, 2)
	to := serve(t, "203.0.113.10", func(c *net.TCPConn) {
		_, err := io.Copy(c, c)
		heard <- err
	})
	w := newNetwork(t, Config{Policy: policy(network.ModePublic)})
	w.mustDial("tcp", to.String())
	conn := w.mustDial("tcp", to.String())
	if _, err := io.WriteString(conn, "hello"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	w.close()
	if took := time.Since(start); took > patience {
		t.Errorf("closing took %s, which is too long", took)
	}
	var rx, tx int64
	for _, c := range w.connections() {
		rx, tx = rx+c.RxBytes, tx+c.TxBytes
		if c.Reason != errCut.Error() {
			t.Errorf("report %+v", c)
		}
	}
	if len(w.connections()) != 2 || rx != 5 || tx != 5 {
		t.Errorf("reports %+v", w.connections())
	}
	for range 2 {
		if err := <-heard; !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the server's read: got %v, want a reset", err)
		}
	}
}

// TestCloseBeforeHandshake lets a dial end while the network closes: the
// handshake begins after the network has ended all connections.
func TestCloseBeforeHandshake(t *testing.T) {
	to := serve(t, "203.0.113.10", echoTCP)
	dialling := make(chan struct{})
	w := newNetwork(t, Config{Policy: policy(network.ModePublic), dial: func(ctx context.Context, kind, address string) (net.Conn, error) {
		close(dialling)
		<-ctx.Done()
		time.Sleep(50 * time.Millisecond)
		return net.Dial(kind, address)
	}})
	w.sendRaw(synPacket(tool4, to.Addr(), 40000, to.Port()))
	<-dialling
	closesSoon(t, w)
}

func closesSoon(t *testing.T, w *testNetwork) {
	t.Helper()
	done := make(chan struct{})
	go func() { w.n.Close(); close(done) }()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("Close waits for a handshake that doesn't end")
	}
}

// TestLastWords: data that a tool sends just before it ends is delivered, and the
// end of the sandbox doesn't wait longer than needed for it.
func TestLastWords(t *testing.T) {
	heard := make(chan []byte, 1)
	to := serve(t, "203.0.113.10", func(c *net.TCPConn) {
		all, _ := io.ReadAll(c)
		heard <- all
	})
	packets, err := net.ListenPacket("udp", "203.0.113.10:0")
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	data := bytes.Repeat([]byte("0123456789"), 100_000)
	w := newNetwork(t, Config{Policy: policy(network.ModePublic), flush: 10 * patience})
	conn := w.mustDial("tcp", to.String())
	if _, err := conn.Write(data); err != nil {
		t.Fatal(err)
	}
	datagram := w.mustDial("udp", packets.LocalAddr().String())
	if _, err := io.WriteString(datagram, "metric:1|c"); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	datagram.Close()
	start := time.Now()
	w.close()
	if took := time.Since(start); took > 5*patience {
		t.Errorf("closing took %s, which is too long", took)
	}
	if got := <-heard; !bytes.Equal(got, data) {
		t.Errorf("got %d bytes, want the %d that were sent", len(got), len(data))
	}
	_ = packets.SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, 100)
	if n, _, err := packets.ReadFrom(buf); err != nil || string(buf[:n]) != "metric:1|c" {
		t.Errorf("got %q, %v, want the datagram", buf[:n], err)
	}
}

// TestCloseDuringHandshake closes the network during a handshake that never ends.
func TestCloseDuringHandshake(t *testing.T) {
	to := serve(t, "203.0.113.10", echoTCP)
	w := newNetwork(t, Config{Policy: policy(network.ModePublic)})
	// Without its address, the tool's kernel doesn't answer.
	var err error
	w.inside(func() {
		var link netlink.Link
		if link, err = netlink.LinkByName("eth0"); err == nil {
			err = netlink.AddrDel(link, &netlink.Addr{IPNet: &net.IPNet{IP: tool4.AsSlice(), Mask: net.CIDRMask(30, 32)}})
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	w.sendRaw(synPacket(tool4, to.Addr(), 40000, to.Port()))
	eventually(t, "the connection attempt is seen", func() bool { return w.n.sending.Load() > 0 })
	closesSoon(t, w)
}

// TestSlowReports: if the receiver of reports stops, only the reported connection
// waits for it.
func TestSlowReports(t *testing.T) {
	to := serve(t, "203.0.113.10", echoTCP)
	release := make(chan struct{})
	w := newNetwork(t, Config{Policy: policy(network.ModeList, "{host: 203.0.113.10}"), Report: func(engine.Connection) { <-release }})
	defer close(release)
	for port := range 50 {
		for _, kind := range []string{"tcp", "udp"} {
			conn, err := w.dial(kind, net.JoinHostPort("203.0.113.20", strconv.Itoa(port+1)))
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("a refusal waits for the report of another connection")
			}
			if kind == "udp" && err == nil {
				_, _ = conn.Write([]byte("x"))
				conn.Close()
			}
		}
	}
	conn := w.mustDial("tcp", to.String())
	if _, err := io.WriteString(conn, "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}
