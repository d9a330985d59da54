package usernet

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/mayfly-run/mayfly/internal/network"
)

// TestRebinding: names that lead to private addresses, immediately, later, or
// through an alias (which the host's resolver follows), open none of them.
func TestRebinding(t *testing.T) {
	for _, private := range []string{"10.1.2.3", "127.0.0.1", "169.254.169.254", "fd00:1::3"} {
		t.Run(private, func(t *testing.T) {
			public := serve(t, "203.0.113.10", func(c *net.TCPConn) { _, _ = io.WriteString(c, "public") })
			listen, err := net.Listen("tcp", net.JoinHostPort(private, strconv.Itoa(int(public.Port()))))
			if err != nil {
				t.Fatal(err)
			}
			defer listen.Close()
			go func() {
				if c, err := listen.Accept(); err == nil {
					c.Close()
					t.Error("the private server was reached")
				}
			}()
			resolver := &fakeResolver{t: t, answers: map[string][][]string{"evil.example": {{"203.0.113.10"}, {private}}}, hosts: map[string][]string{"evil.example": {private}}}
			w := newNetwork(t, Config{Policy: policy(network.ModeList, "{host: evil.example}"), Resolver: resolver})
			for attempt := range 3 {
				var addrs []string
				for _, kind := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA} {
					addrs = append(addrs, strings.Fields(show(w.ask("udp", gateway4, "evil.example.", kind)))[1:]...)
				}
				if attempt > 0 && !slices.Contains(addrs, private) {
					t.Fatalf("addresses of the name: got %q, want %s among them", addrs, private)
				}
				for _, a := range addrs {
					if a == "127.0.0.1" {
						continue // the tool's kernel delivers it in the sandbox; see below
					}
					conn, err := w.dial("tcp", net.JoinHostPort(a, strconv.Itoa(int(public.Port()))))
					if a == private && !errors.Is(err, syscall.ECONNREFUSED) || a != private && err != nil {
						t.Errorf("attempt %d, %s: %v", attempt, a, err)
					}
					if err == nil {
						conn.Close()
					}
				}
			}
			if private == "127.0.0.1" {
				// If the packet passes the kernel, the stack drops it before the policy is applied.
				w.sendRaw(synPacket(tool4, netip.MustParseAddr(private), 40000, public.Port()))
				time.Sleep(20 * time.Millisecond)
				return
			}
			c := w.report("tcp", private, int(public.Port()))
			if c.Allowed || private == "10.1.2.3" && (!strings.Contains(c.Reason, "evil.example resolves to the private address") || c.Suggest == "") {
				t.Errorf("report %+v", c)
			}
		})
	}
}

// TestOtherDNSServer: the policy applies to other DNS servers as to any other destination.
func TestOtherDNSServer(t *testing.T) {
	conn, err := net.ListenPacket("udp", "203.0.113.10:53")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	w := newNetwork(t, Config{Policy: policy(network.ModeList, "{host: api.example}")})
	tool := w.mustDial("udp", "203.0.113.10:53")
	_, _ = tool.Write([]byte("question"))
	if _, err := tool.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Error(err)
	}
	if c := w.report("udp", "203.0.113.10", 53); c.Allowed {
		t.Errorf("report %+v", c)
	}
	if _, err := w.dial("tcp", "203.0.113.10:53"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Error(err)
	}
	if c := w.report("tcp", "203.0.113.10", 53); c.Allowed {
		t.Errorf("report %+v", c)
	}
	allowed := newNetwork(t, Config{Policy: policy(network.ModeList, "{host: 203.0.113.10, ports: [53], protocol: udp}")})
	tool = allowed.mustDial("udp", "203.0.113.10:53")
	_, _ = tool.Write([]byte("question"))
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, 100)
	if n, _, err := conn.ReadFrom(buf); err != nil || string(buf[:n]) != "question" {
		t.Errorf("got %q, %v, want question", buf[:n], err)
	}
}
