package usernet

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// serveLoopback serves mocks at a port of the test's own loopback. reports returns the reports so far.
func serveLoopback(t *testing.T, socket string) (l *Loopback, at netip.AddrPort, reports func() []engine.Connection) {
	t.Helper()
	ignore := goleak.IgnoreCurrent()
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var all []engine.Connection
	l = ServeLoopback(LoopbackConfig{Listeners: []*net.TCPListener{listener}, Connections: socket, Report: func(c engine.Connection) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, c)
	}})
	t.Cleanup(func() {
		l.Close()
		verifyNoLeaks(t, ignore)
	})
	return l, listener.Addr().(*net.TCPAddr).AddrPort(), func() []engine.Connection {
		mu.Lock()
		defer mu.Unlock()
		return append([]engine.Connection(nil), all...)
	}
}

// TestManyLoopbackConnections opens more connections than the limit, to mocks that neither read nor answer, and fills their
// buffers.
func TestManyLoopbackConnections(t *testing.T) {
	const over = 200
	block := make(chan struct{})
	socket := serveMocks(t, func(engine.MockedConnection, *net.UnixConn, *bufio.Reader) { <-block })
	defer close(block)
	l, at, reports := serveLoopback(t, socket)
	before := memory(t)
	fds := map[int]bool{} // whether the connection was reset
	for range maxLoopback + over {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())}); err != nil {
			t.Fatal(err)
		}
		if err := unix.SetNonblock(fd, true); err != nil {
			t.Fatal(err)
		}
		fds[fd] = false
	}
	buffer := make([]byte, 256<<10)
	reset := 0
	look := func() bool {
		for fd, was := range fds {
			if _, err := unix.Read(fd, buffer); !was && errors.Is(err, unix.ECONNRESET) {
				fds[fd] = true
				reset++
			}
		}
		return reset >= over
	}
	eventually(t, "connections over the limit are reset", look)
	for fd := range fds {
		_, _ = unix.Write(fd, buffer)
	}
	time.Sleep(500 * time.Millisecond) // more may be reset, and take memory
	look()
	used := memory(t) - before
	t.Logf("%d reset, %d MiB", reset, used>>20)
	if reset != over {
		t.Errorf("%d connections were reset, want %d", reset, over)
	}
	if used > memoryFactor*128<<20 {
		t.Errorf("the connections take %d MiB, want at most %d", used>>20, memoryFactor*128)
	}
	if got := reports(); len(got) != 1 || got[0].Reason != errTooMany.Error() {
		t.Errorf("got reports %+v, want one of too many connections", got)
	}
	start := time.Now()
	l.Close()
	if took := time.Since(start); took > patience {
		t.Errorf("closing took %s, want at most %s", took, patience)
	}
	if got := reports(); len(got) != 1+maxLoopback {
		t.Errorf("got %d reports, want %d", len(got), 1+maxLoopback)
	}
}

// TestLoopbackMocksUnreachable: the tool's connection is reset, and the report says why.
func TestLoopbackMocksUnreachable(t *testing.T) {
	l, at, reports := serveLoopback(t, "/nowhere/s")
	conn, err := net.Dial("tcp", at.String())
	if err == nil {
		_, err = io.ReadAll(conn)
		conn.Close()
	}
	if !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("the tool's read: got %v, want a reset", err)
	}
	l.Close()
	if got := reports(); len(got) != 1 || !got[0].Mocked || got[0].Port != at.Port() || !strings.Contains(got[0].Reason, "mocks can't be reached: no such file") {
		t.Errorf("reports %+v", got)
	}
}
