package usernet

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
)

// serveMocks answers each connection with f, after it has read the first line, and returns the path of the socket.
func serveMocks(t testing.TB, f func(engine.MockedConnection, *net.UnixConn, *bufio.Reader)) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "mocks")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			c, err := l.AcceptUnix()
			if err != nil {
				return
			}
			work.Go(func() {
				defer c.Close()
				r := bufio.NewReader(c)
				line, err := r.ReadBytes('\n')
				var to engine.MockedConnection
				if err == nil {
					err = json.Unmarshal(line, &to)
				}
				if err != nil {
					t.Errorf("first line %q: %v", line, err)
					return
				}
				f(to, c, r)
			})
		}
	})
	t.Cleanup(func() { l.Close(); work.Wait() })
	return l.Addr().String()
}

// frame returns text as a frame.
func frame(text string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...)
}

// name answers with the first name, or with the address if there is none.
func name(to engine.MockedConnection, c *net.UnixConn, r *bufio.Reader) {
	_, _ = c.Write(frame(append(to.Names, to.Address)[0]))
	_, _ = c.Write(frame(""))
	_, _ = io.Copy(io.Discard, r)
}

// TestMockedNamesAreNotLookedUp: only names that the test lets out are looked up.
func TestMockedNamesAreNotLookedUp(t *testing.T) {
	real := serve(t, "203.0.113.10", func(c *net.TCPConn) { _, _ = io.WriteString(c, "real") })
	resolver := &fakeResolver{t: t, hosts: map[string][]string{"open.example": {"203.0.113.10"}, "mocked.example": {"203.0.113.20"}}}
	w := newNetwork(t, Config{
		Policy: policy(network.ModePublic), Resolver: resolver,
		Mocks: &Mocks{Connections: serveMocks(t, name), Allow: policy(network.ModeList, "{host: open.example, ports: ["+portOf(real)+"]}")},
	})
	for _, c := range []struct {
		name string
		kind dnsmessage.Type
		want string
	}{
		{"open.example.", dnsmessage.TypeA, "Success 203.0.113.10"},
		{"mocked.example.", dnsmessage.TypeA, "Success 198.19.0.1"},
		{"mocked.example.", dnsmessage.TypeAAAA, "Success "},
		{"mocked.example.", dnsmessage.TypeTXT, "Success "},
		{"mocked.example.", dnsmessage.TypeMX, "Success "},
		{"1.0.19.198.in-addr.arpa.", dnsmessage.TypePTR, "Success "},
	} {
		if got := show(w.ask("udp", gateway4, c.name, c.kind)); got != c.want {
			t.Errorf("%s %v: got %s, want %s", c.name, c.kind, got, c.want)
		}
	}
	for target, want := range map[string]string{
		"203.0.113.10:" + portOf(real): "real",           // the test lets its name out
		"203.0.113.10:9":               "open.example",   // the test doesn't let this port out
		"203.0.113.20:9":               "203.0.113.20",   // its name is unknown
		"198.19.0.1:9":                 "mocked.example", // the stand-in of the name
	} {
		text, err := io.ReadAll(w.mustDial("tcp", target))
		if err != nil || string(text) != want {
			t.Errorf("%s: got %q, %v, want %q", target, text, err, want)
		}
	}
	if asked := resolver.questions(); !slices.Equal(slices.Compact(asked), []string{"open.example"}) {
		t.Errorf("looked up %q, want only open.example", asked)
	}
	if c := w.reportOf("dns", "mocked.example"); c.Allowed || c.Rule != "mocks" || c.Suggest != "" || !strings.Contains(c.Reason, "this test lets no") {
		t.Errorf("report %+v", c)
	}
}

func portOf(a netip.AddrPort) string { _, port, _ := net.SplitHostPort(a.String()); return port }

// TestMocksAnswerTCPOnly: other protocols leave the machine if the policy and the test allow them, and are otherwise refused.
func TestMocksAnswerTCPOnly(t *testing.T) {
	to := echoUDP(t, "203.0.113.10")
	w := newNetwork(t, Config{Policy: policy(network.ModePublic), Mocks: &Mocks{Connections: "/nowhere", Allow: policy(network.ModeList, "203.0.113.10")}})
	buf := make([]byte, 10)
	conn := w.mustDial("udp", to.String())
	if _, err := conn.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(buf); n != 5 || err != nil {
		t.Errorf("got %d bytes, %v, want 5", n, err)
	}
	if _, err := w.ping("203.0.113.10", []byte("hello")); err != nil {
		t.Error(err)
	}
	conn = w.mustDial("udp", "203.0.113.20:53")
	if _, err := conn.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(buf); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("udp: got %v, want it refused", err)
	}
	w.unanswered("203.0.113.20")
	for protocol, port := range map[string]int{"udp": 53, "icmp": 0} {
		if c := w.report(protocol, "203.0.113.20", port); c.Allowed || c.Mocked || c.Rule != "mocks" || !strings.Contains(c.Reason, "203.0.113.20") {
			t.Errorf("report %+v", c)
		}
	}
}

// TestMocksUnreachable: the tool's connection is reset, and the report says why.
func TestMocksUnreachable(t *testing.T) {
	w := newNetwork(t, Config{Policy: policy(network.ModePublic), Mocks: &Mocks{Connections: "/nowhere/s", Allow: policy(network.ModeNone)}})
	conn, err := w.dial("tcp", "203.0.113.20:80")
	if err == nil {
		_, err = conn.Read(make([]byte, 1))
		conn.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the tool's read: got %v, want a reset", err)
	}
	if c := w.report("tcp", "203.0.113.20", 80); !c.Allowed || !c.Mocked || !strings.Contains(c.Reason, "mocks can't be reached: no such file") {
		t.Errorf("report %+v", c)
	}
}

func TestMockedBandwidth(t *testing.T) {
	const bits, size = 80_000_000, 10_000_000 // a second
	socket := serveMocks(t, func(_ engine.MockedConnection, c *net.UnixConn, r *bufio.Reader) {
		_, _ = c.Write(frame(strings.Repeat("x", size)))
		_, _ = c.Write(frame(""))
		_, _ = io.Copy(io.Discard, r)
	})
	w := newNetwork(t, Config{Policy: policy(network.ModePublic), Bandwidth: bits, Mocks: &Mocks{Connections: socket, Allow: policy(network.ModeNone)}})
	start := time.Now()
	n, err := io.Copy(io.Discard, w.mustDial("tcp", "203.0.113.20:80"))
	if took := time.Since(start); err != nil || n != size || took < 900*time.Millisecond { // a busy machine takes longer
		t.Errorf("got %d bytes in %s, %v, want %d in about 1s or more", n, took, err, size)
	}
}

// TestManyMockedConnections opens more connections than the limit, to mocks that neither read nor answer, and fills their
// buffers.
func TestManyMockedConnections(t *testing.T) {
	block := make(chan struct{})
	socket := serveMocks(t, func(engine.MockedConnection, *net.UnixConn, *bufio.Reader) { <-block })
	defer close(block)
	w := newNetwork(t, Config{Policy: policy(network.ModePublic), Mocks: &Mocks{Connections: socket, Allow: policy(network.ModeNone)}})
	before := memory(t)
	var buffers [64 << 10]byte
	refused := w.sockets(maxTCP+500, unix.SOCK_STREAM, netip.MustParseAddrPort("203.0.113.20:80"), true, func(fd int) error {
		if err := unix.SetNonblock(fd, true); err != nil {
			return err
		}
		for range 4 {
			_, _ = unix.Write(fd, buffers[:]) // fails when the buffers are full
		}
		return nil
	})
	time.Sleep(500 * time.Millisecond)
	used := memory(t) - before
	t.Logf("%d refused, %d MiB", refused, used>>20)
	if refused != 500 {
		t.Errorf("%d connections were refused, want %d", refused, 500)
	}
	if used > memoryFactor*192<<20 {
		t.Errorf("the connections take %d MiB, want at most %d", used>>20, memoryFactor*192)
	}
	start := time.Now()
	w.close()
	if took := time.Since(start); took > patience {
		t.Errorf("closing took %s, want at most %s", took, patience)
	}
}

// TestMocksWithAShortQueue: more connections than the queue of the mocks' socket holds are all answered.
func TestMocksWithAShortQueue(t *testing.T) {
	dir := t.TempDir()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: socket}), unix.Listen(fd, 1)); err != nil {
		t.Fatal(err)
	}
	served, read := make(chan struct{}), make(chan struct{})
	const connections = 50
	go func() {
		defer close(served)
		for range connections {
			time.Sleep(2 * time.Millisecond)
			c, _, err := unix.Accept(fd)
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = unix.Write(c, append(frame("hello"), frame("")...))
			defer unix.Close(c)
		}
		<-read // closing a socket with unread data, here the connection's first line, resets it
	}()
	w := newNetwork(t, Config{Policy: policy(network.ModePublic), Mocks: &Mocks{Connections: socket, Allow: policy(network.ModeNone)}})
	var all sync.WaitGroup
	for range connections {
		conn := w.mustDial("tcp", "203.0.113.20:80")
		all.Go(func() {
			if text, err := io.ReadAll(conn); err != nil || string(text) != "hello" {
				t.Errorf("got %q, %v, want hello", text, err)
			}
		})
	}
	all.Wait()
	close(read)
	<-served
	unix.Close(fd)
}

// TestMocksSayGarbage: any bytes from mocks are frames or a reset; nothing panics, grows or hangs.
func TestMocksSayGarbage(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var mu sync.Mutex
	socket := serveMocks(t, func(_ engine.MockedConnection, c *net.UnixConn, _ *bufio.Reader) {
		mu.Lock()
		garbage := make([]byte, random.IntN(200))
		for i := range garbage {
			garbage[i] = byte(random.Uint32() >> random.IntN(32)) // small numbers are more frequent
		}
		mu.Unlock()
		_, _ = c.Write(garbage)
	})
	w := newNetwork(t, Config{Policy: policy(network.ModePublic), Mocks: &Mocks{Connections: socket, Allow: policy(network.ModeNone)}})
	for range 200 {
		conn, err := w.dial("tcp", "203.0.113.20:80")
		if err != nil {
			continue // it was reset while it connected
		}
		_ = conn.SetDeadline(time.Now().Add(patience))
		if n, err := io.Copy(io.Discard, conn); n > 200 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("got %d bytes, %v, want at most 200, and an end", n, err)
		}
		conn.Close()
	}
}

// TestMockedNameOfOddBytes: a name with a line break and other odd bytes is sent as one line of JSON.
func TestMockedNameOfOddBytes(t *testing.T) {
	names := make(chan string, 1)
	socket := serveMocks(t, func(to engine.MockedConnection, c *net.UnixConn, _ *bufio.Reader) {
		names <- to.Names[0]
		_, _ = c.Write(frame(""))
	})
	w := newNetwork(t, Config{Policy: policy(network.ModePublic), Mocks: &Mocks{Connections: socket, Allow: policy(network.ModeNone)}})
	answer := w.ask("udp", gateway4, "a\n\"\xff.example.", dnsmessage.TypeA)
	at := strings.Fields(show(answer))[1]
	_, _ = io.ReadAll(w.mustDial("tcp", at+":80"))
	if got := <-names; got != "a\n\"\ufffd.example" {
		t.Errorf("got name %q", got)
	}
}
