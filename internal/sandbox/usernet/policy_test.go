package usernet

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/network/networktest"
)

// TestHostByRuleOnly: the host's loopback is reached only with a rule for its
// name, never with a rule for an address.
func TestHostByRuleOnly(t *testing.T) {
	for _, loopback := range []string{"127.0.0.1", "::1"} {
		to := serve(t, loopback, echoTCP)
		port := strconv.Itoa(int(to.Port()))
		gateway := gateway4
		if loopback == "::1" {
			gateway = gateway6
		}
		address := net.JoinHostPort(gateway.String(), port)
		for _, c := range []struct {
			policy network.Policy
			open   bool
		}{
			{policy(network.ModeList, "{host: host.mayfly.internal, ports: ["+port+"]}"), true},
			{policy(network.ModeList, "{host: host.mayfly.internal, ports: [1]}"), false},
			{policy(network.ModeList, `{host: "*.internal"}`, "{cidr: 0.0.0.0/0}", `{cidr: "::/0"}`), false},
			{policy(network.ModeOpen), false},
			{policy(network.ModePublic), false},
		} {
			w := newNetwork(t, Config{Policy: c.policy})
			conn, err := w.dial("tcp", address)
			if c.open {
				if err != nil {
					t.Errorf("%+v: %v", c.policy, err)
					continue
				}
				conn.Close()
				if r := w.report("tcp", gateway.String(), int(to.Port())); r.Host != network.HostName || r.Suggest != `{host: "host.mayfly.internal", ports: [`+port+`]}` {
					t.Errorf("report %+v", r)
				}
				continue
			}
			if !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("%+v: got %v, want it refused", c.policy, err)
			}
			if r := w.report("tcp", gateway.String(), int(to.Port())); r.Allowed || r.Host != network.HostName {
				t.Errorf("report %+v", r)
			}
		}
	}
}

// TestHostOnEitherLoopback: a server on one of the host's two loopback addresses is reached by either of its gateway addresses,
// and a port on which nothing listens is refused.
func TestHostOnEitherLoopback(t *testing.T) {
	for _, loopback := range []string{"127.0.0.1", "::1"} {
		to := serve(t, loopback, echoTCP)
		for _, gateway := range []netip.Addr{gateway4, gateway6} {
			w := newNetwork(t, Config{Policy: policy(network.ModeList, "{host: host.mayfly.internal}")})
			conn, err := w.dial("tcp", netip.AddrPortFrom(gateway, to.Port()).String())
			if err != nil {
				t.Errorf("%s by %s: %v", loopback, gateway, err)
				continue
			}
			conn.Close()
		}
	}
	for address, want := range map[string][]string{
		gateway4.String(): {"127.0.0.1:7", "[::1]:7"}, gateway6.String(): {"[::1]:7", "127.0.0.1:7"},
		"10.1.1.1": {"10.1.1.1:7"}, "fd00::1": {"[fd00::1]:7"}, // only one address of another machine is dialled
	} {
		dialled := make(chan string, 10)
		w := newNetwork(t, Config{Policy: policy(network.ModeList, "{host: host.mayfly.internal}", "{cidr: 10.0.0.0/8}", `{cidr: "fd00::/8"}`), dial: func(_ context.Context, _, address string) (net.Conn, error) {
			dialled <- address
			return nil, syscall.ECONNREFUSED
		}})
		_, err := w.dial("tcp", net.JoinHostPort(address, "7"))
		var got []string
		for len(dialled) > 0 {
			got = append(got, <-dialled)
		}
		if !errors.Is(err, syscall.ECONNREFUSED) || !slices.Equal(got, want) {
			t.Errorf("%s: got %v, dialled %q, want it refused after %q", address, err, got, want)
		}
	}
}

// TestNeverReached dials destinations that no policy opens, in every spelling
// that reaches the network.
func TestNeverReached(t *testing.T) {
	l, err := net.Listen("tcp", "169.254.169.254:80")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			c.Close()
			t.Error("the metadata service was reached")
		}
	}()
	everything := policy(network.ModeList, "{cidr: 0.0.0.0/0}", `{cidr: "::/0"}`)
	for _, p := range []network.Policy{policy(network.ModeOpen), everything} {
		w := newNetwork(t, Config{Policy: p, LocalAddresses: func() ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("203.0.113.20"), netip.MustParseAddr("2001:db8::20")}, nil
		}})
		for _, address := range []string{
			"169.254.169.254", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "168.63.129.16", "100.100.100.200",
			"64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "::ffff:0:169.254.169.254", "::169.254.169.254", // ways around through IPv6
			"64:ff9b::7f00:1", "0.0.0.1",
			"203.0.113.20", "2001:db8::20", // the host's own
			gateway4.String(), gateway6.String(),
		} {
			_, err := w.dial("tcp", net.JoinHostPort(address, "80"))
			if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENETUNREACH) {
				t.Errorf("%s: %v", address, err)
				continue
			}
			if !errors.Is(err, syscall.ECONNREFUSED) {
				continue // the tool's own kernel refused it
			}
			if c := w.report("tcp", netip.MustParseAddr(address).String(), 80); c.Allowed {
				t.Errorf("report %+v", c)
			}
		}
		// Spellings that the tool's C library or kernel turns into that address,
		// and one that only raw packets can have.
		for _, address := range []string{"::ffff:169.254.169.254", "::ffff:a9fe:a9fe"} {
			if _, err := w.dial("tcp", net.JoinHostPort(address, "80")); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("%s: %v", address, err)
			}
		}
		mapped := netip.AddrFrom16(netip.MustParseAddr("169.254.169.254").As16())
		w.sendRaw(synPacket(tool6, mapped, 40000, 80))
		w.sendRaw(synPacket(tool4, tool4, 40000, 80)) // another sandbox has this address too
		time.Sleep(50 * time.Millisecond)
		for _, c := range w.connections() {
			if c.Allowed {
				t.Errorf("report %+v", c)
			}
		}
	}
}

// TestLocalAddressesFailClosed: if the host's addresses can't be read, every
// connection is refused.
func TestLocalAddressesFailClosed(t *testing.T) {
	w := newNetwork(t, Config{Policy: policy(network.ModeOpen), LocalAddresses: func() ([]netip.Addr, error) { return nil, errors.New("broken") }})
	to := serve(t, "203.0.113.10", echoTCP)
	if _, err := w.dial("tcp", to.String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Error(err)
	}
}

// TestInterfaceAddresses: the addresses of this namespace's devices are local.
func TestInterfaceAddresses(t *testing.T) {
	l := localAddresses{read: interfaceAddresses}
	for address, own := range map[string]bool{"203.0.113.10": true, "2001:db8::10": true, "203.0.113.77": false, "::ffff:203.0.113.10": true} {
		if l.has(netip.MustParseAddr(address)) != own {
			t.Errorf("%s is local: got %t, want %t", address, !own, own)
		}
	}
}

// TestRoutedHere: addresses that the kernel routes to this machine are local,
// even if no device has them.
func TestRoutedHere(t *testing.T) {
	networktest.TakeRange(t, "198.51.100.0/24")
	l := localAddresses{read: interfaceAddresses, route: routedHere}
	for address, own := range map[string]bool{
		"203.0.113.10": true, "198.51.100.77": true, "::ffff:198.51.100.77": true,
		"192.0.2.77": false, "2001:db8:77::1": false,
	} {
		if l.has(netip.MustParseAddr(address)) != own {
			t.Errorf("%s is local: got %t, want %t", address, !own, own)
		}
	}
	l.route = func(netip.Addr) (bool, error) { return false, errors.New("broken") }
	if !l.has(netip.MustParseAddr("192.0.2.77")) {
		t.Error("an address isn't local if the kernel can't be asked, want it local")
	}
}
