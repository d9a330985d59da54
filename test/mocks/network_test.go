//go:build linux

package mocks

import (
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
)

// TestNetwork dials names and addresses. The mocks must answer those that the policy allows, and the rest must be refused and
// reported.
func TestNetwork(t *testing.T) {
	const host = "host.mayfly.internal"
	l := newLab(t)
	for name, c := range map[string]struct {
		policy          network.Policy
		mocked, refused []string
	}{
		"public": {
			public,
			[]string{"api.example:443", "API.example:80", "db.corp:5432", "93.184.216.34:443", "[2001:db8::1]:443"},
			[]string{"10.1.2.3:443", "169.254.169.254:80", host + ":80", "[fd6d:6179:666c:7900::1]:80", "198.19.77.7:80"},
		},
		"names": {
			listPolicy("api.example:443", "*.corp", host+":8080"),
			[]string{"api.example:443", "db.corp:5432", host + ":8080", "198.18.0.1:8080", "[fd6d:6179:666c:7900::1]:8080"},
			[]string{"api.example:80", "other.example:443", host + ":8081", "93.184.216.34:443", "[2001:db8::1]:443"},
		},
		"ranges": {
			listPolicy("cidr 10.0.0.0/8:5432 dns corp", "{host: web.corp, cidr: 192.168.0.0/16}"),
			[]string{"10.1.2.3:5432", "db.corp:5432", "web.corp:80"},
			[]string{"10.1.2.3:80", "db.corp:80", "192.168.1.1:80", "93.184.216.34:5432", "db.example:5432"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, s := &lab{t: t, engine: l.engine, image: l.image}, newServer(t, greet, nil)
			r := l.run(l.spec(s, c.policy, append(append([]string{"client", "read"}, c.mocked...), c.refused...)...), nil)
			for i, target := range c.mocked {
				if got := r.lines()[target]; !strings.HasPrefix(got, "ok mocked") {
					t.Errorf("%s: %q", target, got)
					continue
				}
				// The client dials one target after the other, so the mocks saw them in this order.
				name, port, _ := net.SplitHostPort(target)
				got := s.connected()[i]
				named := len(got.Names) == 1 && got.Names[0] == strings.ToLower(name)
				gateway := len(got.Names) == 1 && got.Names[0] == host && got.Address == name
				if literal := got.Address == name && got.Names == nil; !named && !literal && !gateway || strconv.Itoa(int(got.Port)) != port || got.Loopback {
					t.Errorf("%s: the mocks saw %+v", target, got)
				}
			}
			for _, target := range c.refused {
				if got := r.lines()[target]; got != "refused" {
					t.Errorf("%s: %q", target, got)
				}
			}
			if seen := s.connected(); len(seen) != len(c.mocked) {
				t.Errorf("the mocks saw %+v", seen)
			}
			mocked := 0
			for _, c := range r.connections {
				if c.Allowed != c.Mocked || c.Rule == "" || c.Allowed == (c.Reason != "") {
					t.Errorf("report %+v", c)
				}
				if c.Mocked {
					mocked++
				}
			}
			if mocked != len(c.mocked) || len(r.connections) != mocked+len(c.refused) {
				t.Errorf("%d reports, %d of mocks: %+v", len(r.connections), mocked, r.connections)
			}
		})
	}
}

// TestAllowed checks that a connection reaches a real server only if both the policy and the test allow it.
func TestAllowed(t *testing.T) {
	l, s := newLab(t), newServer(t, greet, nil)
	real, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer real.Close()
	go func() {
		for {
			conn, err := real.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "real")
			conn.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(real.Addr().String())
	target := "host.mayfly.internal:" + port
	allow := listPolicy("host.mayfly.internal:" + port)
	for name, c := range map[string]struct {
		policy, allow network.Policy
		want          string
		report        engine.Connection
	}{
		"both":       {allow, allow, "ok real", engine.Connection{Allowed: true}},
		"the policy": {allow, listPolicy("host.mayfly.internal:1"), "ok mocked", engine.Connection{Allowed: true, Mocked: true}},
		"the test":   {public, allow, "refused", engine.Connection{}},
	} {
		t.Run(name, func(t *testing.T) {
			l := &lab{t: t, engine: l.engine, image: l.image}
			spec := l.spec(s, c.policy, "client", "read", target)
			spec.Mocks.Allow = c.allow
			r := l.run(spec, nil)
			if got := r.lines()[target]; !strings.HasPrefix(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if len(r.connections) == 0 || r.connections[0].Allowed != c.report.Allowed || r.connections[0].Mocked != c.report.Mocked {
				t.Errorf("reports %+v", r.connections)
			}
		})
	}
}

// TestOnlyTCPIsMocked checks that other protocols, which would leave the machine, are refused.
func TestOnlyTCPIsMocked(t *testing.T) {
	l, s := newLab(t), newServer(t, nil, nil)
	r := l.run(l.spec(s, public, "client", "ask", "api.example:53", "93.184.216.34:53"), nil)
	for target, got := range r.lines() {
		if got != "refused" {
			t.Errorf("%s: %q", target, got)
		}
	}
	for _, c := range r.connections {
		if c.Allowed || c.Mocked || c.Rule != "mocks" || !strings.Contains(c.Reason, "tcp only") {
			t.Errorf("report %+v", c)
		}
	}
	if len(r.connections) != 2 {
		t.Errorf("reports %+v", r.connections)
	}
}

func TestNetworkManyAtOnce(t *testing.T) {
	l, s := newLab(t), newServer(t, greet, nil)
	r := l.run(l.spec(s, public, "client", "many", "api.example:80", "600"), nil)
	if r.stdout != "ok\t600\n" {
		t.Errorf("%q", r.stdout)
	}
}

// TestMocksThatNobodyServes checks that mocks without a usable socket are refused before the tool starts.
func TestMocksThatNobodyServes(t *testing.T) {
	l, s := newLab(t), newServer(t, nil, nil)
	file := t.TempDir() + "/file"
	for name, bend := range map[string]struct {
		bend func(*engine.Mocks, *engine.Local)
		why  string
	}{
		"no socket":         {func(_ *engine.Mocks, l *engine.Local) { l.Connections = "/nowhere" }, "no such file"},
		"no socket of it":   {func(_ *engine.Mocks, l *engine.Local) { l.Connections = "/dev/null" }, "not a socket"},
		"no command socket": {func(m *engine.Mocks, l *engine.Local) { m.Commands, l.Commands = []string{"x"}, file }, "no such file"},
		"closed to users":   {func(m *engine.Mocks, l *engine.Local) { m.Commands, l.Commands = []string{"x"}, s.connections }, "0666"},
	} {
		t.Run(name, func(t *testing.T) {
			spec := l.spec(s, public, "true")
			local := l.local(spec)
			bend.bend(spec.Mocks, &local)
			r, err := l.startWith(spec, local, nil)
			if err == nil {
				_, err = r.wait()
			}
			wantInvalid(t, err, bend.why)
		})
	}
}

// TestMocksUnderAnotherRuntime checks that mocks with another runtime are refused, whether it is installed or not.
func TestMocksUnderAnotherRuntime(t *testing.T) {
	l, s := newLab(t), newServer(t, nil, nil)
	spec := l.spec(s, public, "true")
	spec.Security.Runtime = "gvisor"
	_, err := l.try(spec, nil)
	wantUnsupported(t, err, "mocks")
}

// TestMocksStall checks that mocks that send nothing delay neither the end of the tool nor that of the engine.
func TestMocksStall(t *testing.T) {
	each(t, func(t *testing.T, target string, run func(*server, ...string) result) {
		over := make(chan struct{})
		s := newServer(t, func(*connection) { <-over }, nil)
		defer close(over)
		run(s, "sh", "-c", "client big "+target+" 100000000 & sleep 0.5")
	})
}
