package usernet

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/icmp"
	netipv4 "golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/mayfly-run/mayfly/internal/network"
)

// memory returns the bytes of this process's anonymous memory: of the network and
// of the test's Go code. The test's sockets are in the kernel's memory.
func memory(t testing.TB) int64 {
	t.Helper()
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); fields[0] == "RssAnon:" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("no RssAnon in /proc/self/status")
	return 0
}

// sockets makes and connects n sockets in the tool's namespace, and calls use for
// each. They are plain descriptors, so that the test needs almost no memory for
// them. If keep is set they stay open, except after an error. It returns the
// number of refused sockets.
func (w *testNetwork) sockets(n, kind int, to netip.AddrPort, keep bool, use func(fd int) error) (refused int) {
	w.t.Helper()
	var failed error
	one := func() error {
		fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		// A test of limits must not hang.
		_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Sec: int64(patience / time.Second)})
		err = connect(fd, to)
		if err == nil {
			err = use(fd)
		}
		if keep && err == nil {
			w.t.Cleanup(func() { unix.Close(fd) })
		} else {
			unix.Close(fd)
		}
		return err
	}
	w.inside(func() {
		for range n {
			switch err := one(); {
			case errors.Is(err, unix.ECONNREFUSED):
				refused++
			case err != nil:
				failed = err
				return
			}
		}
	})
	if failed != nil {
		w.t.Fatal(failed)
	}
	return refused
}

// connect connects and waits. Signals, which Go sends to itself, interrupt connect(2) of a socket with a time limit, but the
// kernel continues to make the connection (connect(3p)).
func connect(fd int, to netip.AddrPort) error {
	err := unix.Connect(fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())})
	if !errors.Is(err, unix.EINTR) {
		return err
	}
	for err = unix.EINTR; errors.Is(err, unix.EINTR); {
		_, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, int(patience/time.Millisecond))
	}
	if err != nil {
		return err
	}
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && errno != 0 {
		err = unix.Errno(errno)
	}
	return err
}

// TestManyConnections opens 10,000 connections to a server that never reads, and
// writes to each until its buffers are full.
func TestManyConnections(t *testing.T) {
	block := make(chan struct{})
	to := serve(t, "203.0.113.10", func(*net.TCPConn) { <-block })
	defer close(block)
	w := newNetwork(t, Config{Policy: policy(network.ModePublic)})
	before := memory(t)
	var buffers [64 << 10]byte
	refused := w.sockets(10_000, unix.SOCK_STREAM, to, true, func(fd int) error {
		if err := unix.SetNonblock(fd, true); err != nil {
			return err
		}
		for range 4 { // 256 KiB, unless the buffers are full
			if _, err := unix.Write(fd, buffers[:]); errors.Is(err, unix.EAGAIN) {
				break
			} else if errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE) {
				return unix.ECONNREFUSED
			} else if err != nil {
				return err
			}
		}
		return nil
	})
	time.Sleep(500 * time.Millisecond)
	used := memory(t) - before
	t.Logf("%d refused, %d MiB, %d goroutines", refused, used>>20, runtime.NumGoroutine())
	if refused != 10_000-maxTCP {
		t.Errorf("%d of 10000 connections were refused, want %d", refused, 10_000-maxTCP)
	}
	if used > memoryFactor*192<<20 {
		t.Errorf("the connections take %d MiB, want at most %d", used>>20, memoryFactor*192)
	}
	if n := len(w.connections()); n != 1 { // for the refused connections; the others are open
		t.Errorf("got %d reports, want 1", n)
	}
	if c := w.report("tcp", "203.0.113.10", int(to.Port())); c.Reason != errTooMany.Error() {
		t.Errorf("report %+v", c)
	}
}

// TestManyFlows sends a datagram from each of 50,000 ports.
func TestManyFlows(t *testing.T) {
	sink, err := net.ListenPacket("udp", "203.0.113.10:0")
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	to := sink.LocalAddr().(*net.UDPAddr).AddrPort()
	w := newNetwork(t, Config{Policy: policy(network.ModePublic)})
	before := memory(t)
	big := make([]byte, 8000)
	w.sockets(50_000, unix.SOCK_DGRAM, to, false, func(fd int) error {
		for {
			if _, err := unix.Write(fd, big); !errors.Is(err, unix.EINTR) {
				return err
			}
		}
	})
	eventually(t, "half of the limit of flows is open", func() bool { return w.n.slots.udp.used.Load() >= maxUDP/2 })
	time.Sleep(500 * time.Millisecond) // more flows may open
	used := memory(t) - before
	open := w.n.slots.udp.used.Load()
	t.Logf("%d open, %d MiB, %d goroutines", open, used>>20, runtime.NumGoroutine())
	if open > maxUDP {
		t.Errorf("got %d open flows, want at most %d", open, maxUDP)
	}
	if used > memoryFactor*96<<20 {
		t.Errorf("the flows take %d MiB, want at most %d", used>>20, memoryFactor*96)
	}
	over := 0 // on a slow machine, other flows have ended after udpIdle and been reported
	for _, c := range w.connections() {
		if c.Reason == errTooMany.Error() {
			over++
		}
	}
	if over != 1 {
		t.Errorf("got %d reports of too many connections, want 1", over)
	}
}

// TestManyQuestioners opens connections to the DNS server, which count like other
// connections. All slots except a few are already taken: an idle connection ends
// after dnsIdle, and a slow machine needs longer than that to open them all.
func TestManyQuestioners(t *testing.T) {
	const left, over = 20, 10
	w := newNetwork(t, Config{Policy: policy(network.ModePublic)})
	w.n.slots.tcp.used.Add(maxTCP - left)
	refused := w.sockets(left+over, unix.SOCK_STREAM, netip.AddrPortFrom(gateway4, dnsPort), true, func(int) error { return nil })
	if refused != over {
		t.Errorf("%d of %d connections were refused, want %d", refused, left+over, over)
	}
}

// flood puts n packets on the device and waits until all have been handled.
func (w *testNetwork) flood(n int, packet func(i int) []byte) {
	w.t.Helper()
	_, sent := w.n.Bytes()
	for i := 0; i < n; {
		var some [][]byte // fewer than the device's queue holds
		for ; i < n && len(some) < 100; i++ {
			some = append(some, packet(i))
			sent += int64(len(some[len(some)-1]))
		}
		w.sendRaw(some...)
		for end := time.Now().Add(patience); ; time.Sleep(100 * time.Microsecond) {
			if _, tx := w.n.Bytes(); tx >= sent && w.n.link.delivering.Load() == 0 {
				break
			}
			if time.Now().After(end) {
				w.t.Fatal("the packets didn't arrive at the device")
			}
		}
	}
}

// TestManyHandshakes starts more connections than may be dialled concurrently.
func TestManyHandshakes(t *testing.T) {
	var dials atomic.Int64
	w := newNetwork(t, Config{Policy: policy(network.ModePublic), dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		dials.Add(1)
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	to := netip.MustParseAddr("203.0.113.10")
	w.flood(maxHandshakes+100, func(i int) []byte { return synPacket(tool4, to, uint16(10_000+i), 80) })
	eventually(t, "the limit of dials is reached", func() bool { return dials.Load() >= maxHandshakes })
	time.Sleep(50 * time.Millisecond) // more dials may start
	if n := dials.Load(); n != maxHandshakes {
		t.Errorf("got %d concurrent dials, want %d", n, maxHandshakes)
	}
}

// TestManyPings pings a host that doesn't answer.
func TestManyPings(t *testing.T) {
	const ignore = "/proc/sys/net/ipv4/icmp_echo_ignore_all"
	set := func(value string) {
		if err := os.WriteFile(ignore, []byte(value), 0); err != nil {
			t.Fatal(err)
		}
	}
	set("1")
	defer set("0")
	w := newNetwork(t, Config{Policy: policy(network.ModePublic)})
	request, err := (&icmp.Message{Type: netipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: 1, Seq: 1}}).Marshal(nil)
	if err != nil {
		t.Fatal(err)
	}
	to := netip.MustParseAddr("203.0.113.10")
	w.flood(maxPings+100, func(int) []byte { return ipPacket(tool4, to, header.ICMPv4ProtocolNumber, request) })
	if open := w.n.slots.ping.used.Load(); open != maxPings {
		t.Errorf("got %d concurrent pings, want %d", open, maxPings)
	}
}

// TestPingBandwidth sends more bytes in pings than the bandwidth limit allows.
func TestPingBandwidth(t *testing.T) {
	w := newNetwork(t, Config{Policy: policy(network.ModePublic), Bandwidth: 8})
	burst := w.n.up.Burst()
	request, err := (&icmp.Message{Type: netipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: 1, Seq: 1, Data: make([]byte, 1000)}}).Marshal(nil)
	if err != nil {
		t.Fatal(err)
	}
	to := netip.MustParseAddr("203.0.113.10")
	w.flood(2*burst/1000, func(int) []byte { return ipPacket(tool4, to, header.ICMPv4ProtocolNumber, request) })
	eventually(t, "the pings end", func() bool { return w.n.slots.ping.used.Load() == 0 })
	w.close()
	var sent int64
	for _, c := range w.connections() {
		sent += c.TxBytes
	}
	if sent == 0 || sent > int64(burst)+1000 {
		t.Errorf("sent %d bytes, want some, and at most the burst of %d", sent, burst)
	}
}

// TestDenialFlood sends 20,000 datagrams to denied destinations.
func TestDenialFlood(t *testing.T) {
	w := newNetwork(t, Config{Policy: policy(network.ModeList, "{host: other.example}")})
	before, goroutines := memory(t), runtime.NumGoroutine()
	var fd int
	var err error
	w.inside(func() { fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0) })
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for i := range 20_000 {
		_ = unix.Sendto(fd, []byte("x"), 0, &unix.SockaddrInet4{Addr: [4]byte{203, 0, 113, byte(i)}, Port: 1 + i%60_000})
	}
	for range 3 { // TCP is still answered, perhaps only after the kernel has tried again
		if _, err := w.dial("tcp", "203.0.113.10:80"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Error(err)
		}
	}
	if n := len(w.connections()); n < maxOnce/2 || n > maxOnce {
		t.Errorf("got %d reports, want %d to %d", n, maxOnce/2, maxOnce)
	}
	if used := memory(t) - before; used > memoryFactor*32<<20 {
		t.Errorf("the flood takes %d MiB, want at most %d", used>>20, memoryFactor*32)
	}
	if n := runtime.NumGoroutine() - goroutines; n > 50 {
		t.Errorf("got %d more goroutines, want at most 50", n)
	}
}

// TestChurn opens and ends connections and flows concurrently while the network
// closes.
func TestChurn(t *testing.T) {
	to, datagrams := serve(t, "203.0.113.10", echoTCP), echoUDP(t, "203.0.113.10")
	for range 10 {
		w := newNetwork(t, Config{Policy: policy(network.ModePublic)})
		var workers sync.WaitGroup
		stop := make(chan struct{})
		for worker := range 8 {
			workers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					kind, address := "tcp", to.String()
					if worker%2 == 1 {
						kind, address = "udp", datagrams.String()
					}
					var conn net.Conn
					var err error
					w.inside(func() { conn, err = net.DialTimeout(kind, address, 50*time.Millisecond) })
					if err != nil {
						continue // the network may have closed
					}
					_ = conn.SetDeadline(time.Now().Add(50 * time.Millisecond))
					_, _ = io.WriteString(conn, "hello")
					_, _ = conn.Read(make([]byte, 5))
					conn.Close()
				}
			})
		}
		time.Sleep(30 * time.Millisecond)
		w.n.Close()
		close(stop)
		workers.Wait()
	}
}
