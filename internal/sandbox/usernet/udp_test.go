package usernet

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/network"
)

// echoUDP answers every datagram with itself.
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
			w := newWorld(t, Config{Policy: policy(network.ModePublic)})
			conn := w.mustDial("udp", to.String())
			buf := make([]byte, maxDatagram)
			// Empty, small, and of the largest size of IPv4, which needs
			// fragments on the way.
			total := 0
			for _, size := range []int{0, 1, 1400, 65507} {
				if _, err := conn.Write(make([]byte, size)); err != nil {
					t.Fatal(err)
				}
				n, err := conn.Read(buf)
				if err != nil || n != size {
					t.Fatalf("%d bytes: %d came back, %v", size, n, err)
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
			w := newWorld(t, Config{Policy: policy(network.ModeList, "{host: other.example}")})
			conn := w.mustDial("udp", to.String())
			if _, err := conn.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			_, err := conn.Read(make([]byte, 10))
			if took := time.Since(start); !errors.Is(err, syscall.ECONNREFUSED) || took > time.Second {
				t.Fatalf("%v after %s", err, took)
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
			w := newWorld(t, Config{Policy: policy(network.ModePublic)})
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

// TestUDPBandwidth sends twice what the limit lets through, for a second.
func TestUDPBandwidth(t *testing.T) {
	conn, err := net.ListenPacket("udp", "203.0.113.10:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.(*net.UDPConn).SetReadBuffer(8 << 20); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, Config{Policy: policy(network.ModePublic), Bandwidth: 8_000_000})
	tool := w.mustDial("udp", conn.LocalAddr().String())
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for start := time.Now(); time.Since(start) < time.Second; <-tick.C {
		_, _ = tool.Write(make([]byte, 1000))
		_, _ = tool.Write(make([]byte, 1000))
	}
	w.close()
	got := 0
	for buf := make([]byte, 2000); ; {
		_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		n, _, err := conn.ReadFrom(buf)
		if err != nil {
			break
		}
		got += n
	}
	if got < 800_000 || got > 1_200_000 {
		t.Errorf("%d bytes in a second at a limit of 1,000,000", got)
	}
}
