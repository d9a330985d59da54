package usernet

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/network"
)

// echoUDP starts a server that sends every datagram back, and returns its address.
func echoUDP(t testing.TB, address string) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenPacket("udp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, maxDatagram)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(buf[:n], from)
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

func TestUDP(t *testing.T) {
	for _, address := range publicAddresses {
		t.Run(address, func(t *testing.T) {
			to := echoUDP(t, address)
			w := newNetwork(t, Config{Policy: policy(network.ModePublic)})
			conn := w.mustDial("udp", to.String())
			buf := make([]byte, maxDatagram)
			// Empty, small, and of IPv4's largest size, which is sent in
			// fragments.
			total := 0
			for _, size := range []int{0, 1, 1400, 65507} {
				if _, err := conn.Write(make([]byte, size)); err != nil {
					t.Fatal(err)
				}
				n, err := conn.Read(buf)
				if err != nil || n != size {
					t.Fatalf("got %d bytes back, %v, want %d", n, err, size)
				}
				total += size
			}
			w.close()
			c := w.report("udp", address, int(to.Port()))
			if !c.Allowed || c.Reason != "" || c.RxBytes != int64(total) || c.TxBytes != int64(total) {
				t.Errorf("report %+v", c)
			}
		})
	}
}

func TestUDPDenied(t *testing.T) {
	for _, address := range publicAddresses {
		t.Run(address, func(t *testing.T) {
			to := echoUDP(t, address)
			w := newNetwork(t, Config{Policy: policy(network.ModeList, "{host: other.example}")})
			conn := w.mustDial("udp", to.String())
			if _, err := conn.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Read(make([]byte, 10)); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Fatal(err)
			}
			if c := w.report("udp", address, int(to.Port())); c.Allowed || c.Suggest == "" {
				t.Errorf("report %+v", c)
			}
		})
	}
}

// TestUDPRefusalPassesThrough sends to a closed port of an allowed host.
func TestUDPRefusalPassesThrough(t *testing.T) {
	for _, address := range publicAddresses {
		t.Run(address, func(t *testing.T) {
			w := newNetwork(t, Config{Policy: policy(network.ModePublic)})
			conn := w.mustDial("udp", net.JoinHostPort(address, "9"))
			if _, err := conn.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Read(make([]byte, 10)); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Fatal(err)
			}
			if c := w.report("udp", address, 9); !c.Allowed || c.Reason != "connection refused" {
				t.Errorf("report %+v", c)
			}
		})
	}
}

// listenPackets opens a receiver of datagrams on an address of the host.
func listenPackets(t *testing.T) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(203, 0, 113, 10)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// TestUDPBandwidth sends as much as it can for a while, and compares the bytes
// that arrived with the time that really passed.
func TestUDPBandwidth(t *testing.T) {
	const limit, datagram = 1_000_000, 1000 // bytes per second, bytes
	conn := listenPackets(t)
	arrived := make(chan int)
	go func() {
		got := 0
		for buf := make([]byte, 2*datagram); ; {
			n, err := conn.Read(buf)
			if err != nil {
				break
			}
			got += n
		}
		arrived <- got
	}()
	w := newNetwork(t, Config{Policy: policy(network.ModePublic), Bandwidth: 8 * limit})
	tool := w.mustDial("udp", conn.LocalAddr().String())
	began, sent := time.Now(), 0
	for sent < 2*limit || time.Since(began) < 300*time.Millisecond {
		n, err := tool.Write(make([]byte, datagram))
		if err != nil && !errors.Is(err, syscall.ENOBUFS) { // the device's queue is full
			t.Fatal(err)
		}
		sent += n
	}
	tool.Close()
	w.close()
	took := time.Since(began)
	// The loopback has delivered all datagrams; wait until the reader has them.
	eventually(t, "all is read", func() bool { return unread(t, conn) == 0 })
	_ = conn.SetReadDeadline(time.Unix(1, 0))
	got, most := <-arrived, w.n.up.Burst()+int(took.Seconds()*limit)
	t.Logf("%d of %d bytes arrived in %s", got, sent, took)
	if got == 0 || got > most {
		t.Errorf("got %d of %d bytes in %s, want at most %d with a limit of %d per second", got, sent, took, most, limit)
	}
}

// unread returns the size of the next datagram that waits in a socket, or 0 (udp(7), SIOCINQ).
func unread(t *testing.T, conn *net.UDPConn) (n int) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var got error
	if err := errors.Join(raw.Control(func(fd uintptr) { n, got = unix.IoctlGetInt(int(fd), unix.SIOCINQ) }), got); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestUDPWithinBandwidth sends no more than the limit allows, and less on a slow
// machine. Everything arrives.
func TestUDPWithinBandwidth(t *testing.T) {
	const limit, datagram = 1_000_000, 1000
	conn := listenPackets(t)
	w := newNetwork(t, Config{Policy: policy(network.ModePublic), Bandwidth: 8 * limit})
	tool := w.mustDial("udp", conn.LocalAddr().String())
	buf := make([]byte, 2*datagram)
	for i := range 300 {
		if _, err := tool.Write(buf[:datagram]); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		if n, err := conn.Read(buf); err != nil || n != datagram {
			t.Fatalf("datagram %d: got %d bytes, %v, want %d", i, n, err, datagram)
		}
		time.Sleep(time.Second * datagram / limit)
	}
}
