//go:build linux

package mocks

import (
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
)

// TestLoopback dials localhost by each of its addresses, with and without a network.
func TestLoopback(t *testing.T) {
	for _, p := range []network.Policy{none, public} {
		t.Run(string(p.Mode), func(t *testing.T) {
			l, s := newLab(t), newServer(t, greet, nil)
			targets := []string{"127.0.0.1:8080", "127.9.8.7:8080", "[::1]:8080", "localhost:8080", "[::ffff:127.0.0.1]:8080", "0.0.0.0:8080", "[::]:8080"}
			refused := []string{"127.0.0.1:8079", "127.0.0.1:8082", "[::1]:8079", "127.0.0.1:80"}
			spec := l.spec(s, p, append(append([]string{"client", "read"}, targets...), refused...)...)
			spec.Mocks.Loopback = []network.PortRange{{First: 8080, Last: 8081}, {First: 9000, Last: 9000}}
			r := l.run(spec, nil)
			for _, target := range targets {
				if got := r.lines()[target]; !strings.HasPrefix(got, "ok mocked") || !strings.Contains(got, `"port":8080,"loopback":true`) {
					t.Errorf("%s: %q", target, got)
				}
			}
			for _, target := range refused {
				if got := r.lines()[target]; got != "refused" {
					t.Errorf("%s: %q", target, got)
				}
			}
			seen := s.connected()
			if len(seen) != len(targets) {
				t.Fatalf("the mocks saw %+v", seen)
			}
			if seen[1].Address != "127.9.8.7" || seen[2].Address != "::1" || seen[4].Address != "127.0.0.1" {
				t.Errorf("the mocks saw %+v", seen)
			}
			want := engine.Connection{Address: "127.0.0.1", Port: 8080, Protocol: "tcp", Allowed: true, Rule: "mocks", Mocked: true, RxBytes: r.connections[0].RxBytes}
			if r.connections[0] != want || want.RxBytes == 0 || len(r.connections) != len(targets) {
				t.Errorf("reports %+v", r.connections)
			}
		})
	}
}

// TestLoopbackOwnServers checks that the tool's own servers on the loopback work as they do without mocks.
func TestLoopbackOwnServers(t *testing.T) {
	l, s := newLab(t), newServer(t, greet, nil)
	for _, c := range []struct {
		listen []string // networks and addresses
		own    []string
		mocked []string
	}{
		{[]string{"tcp4", "127.0.0.1:8080"}, []string{"127.0.0.1:8080", "[::ffff:127.0.0.1]:8080"}, []string{"[::1]:8080", "127.0.0.2:8080"}},
		{[]string{"tcp4", "0.0.0.0:8080"}, []string{"127.0.0.1:8080", "127.0.0.2:8080", "198.18.0.2:8080"}, []string{"[::1]:8080"}},
		{[]string{"tcp6", "[::1]:8080"}, []string{"[::1]:8080"}, []string{"127.0.0.1:8080"}},
		{[]string{"tcp6", "[::]:8080"}, []string{"[::1]:8080"}, []string{"127.0.0.1:8080"}},
		{[]string{"tcp", ":8080"}, []string{"127.0.0.1:8080", "[::1]:8080", "localhost:8080", "198.18.0.2:8080", "[fd6d:6179:666c:7900::2]:8080"}, []string{"127.0.0.1:8081"}},
		{[]string{"tcp4", "127.0.0.1:8080", "tcp6", "[::1]:8081"}, []string{"127.0.0.1:8080", "[::1]:8081"}, []string{"127.0.0.1:8081", "[::1]:8080"}},
	} {
		t.Run(strings.Join(c.listen, " "), func(t *testing.T) {
			args := append(append([]string{"client", "own"}, c.listen...), "--")
			spec := l.spec(s, public, append(append(args, c.own...), c.mocked...)...)
			spec.Mocks.Loopback = all
			r := l.run(spec, nil)
			for _, target := range c.own {
				if got := r.lines()[target]; got != "ok own" {
					t.Errorf("%s: %q", target, got)
				}
			}
			for _, target := range c.mocked {
				if got := r.lines()[target]; !strings.HasPrefix(got, "ok mocked") {
					t.Errorf("%s: %q", target, got)
				}
			}
		})
	}
}

// TestLoopbackOwnAddressIsNotMocked checks that mocks of the loopback don't answer for the sandbox's other addresses, although
// connections to them go through the same device.
func TestLoopbackOwnAddressIsNotMocked(t *testing.T) {
	l, s := newLab(t), newServer(t, nil, nil)
	targets := []string{"198.18.0.2:8080", "[fd6d:6179:666c:7900::2]:8080"}
	spec := l.spec(s, public, append([]string{"client", "read"}, targets...)...)
	spec.Mocks.Loopback = all
	r := l.run(spec, nil)
	for _, target := range targets {
		if got := r.lines()[target]; got != "refused" {
			t.Errorf("%s: %q", target, got)
		}
	}
}

// TestLoopbackSamePortAgain lets the tool's server close a connection first, and the client then connect again from the same
// port. The kernel still has the ended connection (TIME_WAIT), and the mocks must not get the new one.
func TestLoopbackSamePortAgain(t *testing.T) {
	l, s := newLab(t), newServer(t, nil, nil)
	spec := l.spec(s, none, "client", "again", "127.0.0.1:8080", "127.0.0.1:41234")
	spec.Mocks.Loopback = all
	if r := l.run(spec, nil); r.stdout != "1\tok own\n2\tok own\n" {
		t.Errorf("%q", r.stdout)
	}
}

// TestLoopbackManyRanges checks the largest number of ranges that a spec may have.
func TestLoopbackManyRanges(t *testing.T) {
	l, s := newLab(t), newServer(t, greet, nil)
	spec := l.spec(s, none, "client", "read", "localhost:3000", "[::1]:3198", "[::1]:3199")
	for i := range uint16(100) {
		spec.Mocks.Loopback = append(spec.Mocks.Loopback, network.Port(3000+2*i))
	}
	got := l.run(spec, nil).lines()
	if !strings.HasPrefix(got["localhost:3000"], "ok mocked") || !strings.HasPrefix(got["[::1]:3198"], "ok mocked") || got["[::1]:3199"] != "refused" {
		t.Errorf("%q", got)
	}
}

func TestLoopbackManyAtOnce(t *testing.T) {
	l, s := newLab(t), newServer(t, greet, nil)
	spec := l.spec(s, none, "sh", "-c", "ulimit -n 1024; client many localhost:8080 600")
	spec.Mocks.Loopback = all
	if r := l.run(spec, nil); r.stdout != "ok\t600\n" {
		t.Errorf("%q", r.stdout)
	}
}

// TestLoopbackWithoutMocks checks that a spec without loopback mocks has the kernel's own loopback.
func TestLoopbackWithoutMocks(t *testing.T) {
	l, s := newLab(t), newServer(t, nil, nil)
	r := l.run(l.spec(s, public, "client", "read", "127.0.0.1:8080", "[::1]:8080"), nil)
	for target, got := range r.lines() {
		if got != "refused" {
			t.Errorf("%s: %q", target, got)
		}
	}
}

// each runs a test with a target on the loopback and with one on the network, whose paths through the engine differ.
func each(t *testing.T, f func(t *testing.T, target string, run func(s *server, args ...string) result)) {
	l := newLab(t)
	for i, host := range []string{"localhost", "api.example"} {
		t.Run(host, func(t *testing.T) {
			l := &lab{t: t, engine: l.engine, image: l.image}
			target := net.JoinHostPort(host, strconv.Itoa(8080+i))
			f(t, target, func(s *server, args ...string) result {
				t.Helper()
				spec := l.spec(s, public, args...)
				spec.Mocks.Loopback = all
				r := l.run(spec, nil)
				// After an immediate reset, the client tries localhost's other address, so there may be several.
				if len(r.connections) == 0 || !r.connections[0].Mocked {
					t.Errorf("reports %+v", r.connections)
				}
				return r
			})
		})
	}
}
