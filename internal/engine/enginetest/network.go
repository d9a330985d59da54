package enginetest

import (
	"bytes"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
)

// server answers each connection with a text. It listens on this machine's loopback, which a sandbox reaches as [network.HostName].
type server struct{ port uint16 }

func (h *Harness) serve(t *testing.T, text string) server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		work.Wait()
	})
	work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() {
				defer c.Close()
				_, _ = io.WriteString(c, text) // fails if the client has gone
			})
		}
	})
	return server{uint16(l.Addr().(*net.TCPAddr).Port)}
}

// target is the argument of the program Reach.
func (s server) target() string { return network.HostName + " " + strconv.Itoa(int(s.port)) }

// policy allows only the server.
func (s server) policy() network.Policy {
	return network.Policy{Mode: network.ModeList, Egress: []network.Rule{{Host: network.HostName, Ports: []network.PortRange{network.Port(s.port)}}}}
}

func testEgress(t *testing.T, h *Harness) {
	open, closed := h.serve(t, "hello\n"), h.serve(t, "hello\n")
	for name, c := range map[string]struct {
		policy  network.Policy
		server  server
		reached bool
	}{
		"a rule":                             {open.policy(), open, true},
		"no rule for the port":               {open.policy(), closed, false},
		"no rules":                           {network.Policy{Mode: network.ModeList}, open, false},
		"mode none":                          {network.Policy{Mode: network.ModeNone}, open, false},
		"mode public doesn't allow the host": {network.Policy{Mode: network.ModePublic}, open, false},
		"mode open doesn't allow the host":   {network.Policy{Mode: network.ModeOpen}, open, false},
	} {
		t.Run(name, func(t *testing.T) {
			spec := h.Spec(Reach, c.server.target())
			spec.Network = c.policy
			var out bytes.Buffer
			s := h.startOrSkip(t, spec, engine.Local{Image: h.Unpacked}, engine.Streams{Stdout: &out})
			defer s.Close()
			var connections []engine.Connection
			for e := range s.Events() {
				if e.Connection != nil && e.Connection.Protocol == string(network.TCP) {
					connections = append(connections, *e.Connection)
				}
			}
			if _, err := s.Wait(); err != nil {
				t.Fatal(err)
			}
			if reached := out.String() == "hello\n"; reached != c.reached || !reached && out.Len() > 0 {
				t.Errorf("received %q, want reached %v", out.String(), c.reached)
			}
			if c.policy.Mode == network.ModeNone {
				return // without a network there are no connections
			}
			if len(connections) != 1 || connections[0].Allowed != c.reached || connections[0].Rule == "" || connections[0].Port != c.server.port {
				t.Errorf("reported connections: got %+v, want one, allowed %v", connections, c.reached)
			}
			if n := len(connections); n == 1 && !c.reached && connections[0].Reason == "" {
				t.Errorf("got %+v, want a reason", connections[0])
			}
		})
	}
}
