//go:build linux

package network

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network/networktest"
)

// The addresses of every sandbox and of its gateway.
const (
	tool4, tool6       = "198.18.0.2", "fd6d:6179:666c:7900::2"
	gateway4, gateway6 = "198.18.0.1", "fd6d:6179:666c:7900::1"
)

// TestN02_HostIsNotReached dials servers on this host by each of the host's addresses, and by the sandbox's gateway.
func TestN02_HostIsNotReached(t *testing.T) {
	newInternet(t)
	l := newLab(t)
	var ports []string
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", host4 + ":0", "[" + host6 + "]:0"} {
		ports = append(ports, serveHost(t, address, trap(t)))
	}
	var targets, addresses []string
	for _, a := range hostAddresses(t) {
		addresses = append(addresses, a)
		for _, port := range ports {
			targets = append(targets, net.JoinHostPort(a, port))
		}
	}
	for name, p := range widest {
		t.Run(name, func(t *testing.T) {
			r := l.with(t).run(p, append([]string{"dial"}, targets...)...)
			r.refused(t, targets...)
			r.denied(t, "tcp", addresses...)
		})
	}
}

// hostAddresses returns the addresses of this host's devices, and of the sandbox's gateway.
func hostAddresses(t *testing.T) []string {
	t.Helper()
	list, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	out := []string{gateway4, gateway6}
	for _, a := range list {
		ip := a.(*net.IPNet).IP
		if !ip.IsLoopback() && !ip.IsLinkLocalUnicast() { // in a sandbox these are the sandbox's own
			out = append(out, ip.String())
		}
	}
	if !slices.Contains(out, host4) || !slices.Contains(out, host6) {
		t.Fatalf("the host has %q", out)
	}
	return out
}

// TestN02_HostByItsNameOnly opens one port of the host's loopback by a rule, for a server on IPv4 and one on IPv6.
func TestN02_HostByItsNameOnly(t *testing.T) {
	l := newLab(t)
	closed := serveHost(t, "127.0.0.1:0", trap(t))
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		port := serveHost(t, address, welcome)
		p := listPolicy("{host: host.mayfly.internal, ports: [" + port + "]}")
		named, other := "host.mayfly.internal:"+port, "host.mayfly.internal:"+closed
		r := l.run(p, "dial", named, other)
		if r.outcomes()[named] != "ok" {
			t.Errorf("%s: %q", named, r.outcomes()[named])
		}
		r.refused(t, other)
		l.run(everything, "dial", named).refused(t, named)
	}
}

// TestN02_OtherRunIsNotReached dials from one sandbox the addresses at which another sandbox listens.
func TestN02_OtherRunIsNotReached(t *testing.T) {
	l := newLab(t)
	listener := l.start(l.spec(open, "sh", "-c", "client mine "+tool4+" "+tool6+"; while :; do nc -l -p 7070 </dev/null; echo REACHED; done"))
	t.Cleanup(func() { _ = listener.sandbox.Close() })
	time.Sleep(300 * time.Millisecond)
	var targets []string
	for _, a := range []string{tool4, tool6, gateway4, gateway6, "198.18.0.3", "fd6d:6179:666c:7900::3"} {
		targets = append(targets, net.JoinHostPort(a, "7070"))
	}
	r := l.run(open, append([]string{"dial"}, targets...)...)
	r.refused(t, targets[:4]...)
	_ = listener.sandbox.Signal(engine.SIGKILL)
	got := listener.wait()
	if strings.Contains(got.stdout, "REACHED") {
		t.Error("the other sandbox was reached")
	}
	if owned := got.outcomes(); owned[tool4] != "true" || owned[tool6] != "true" {
		t.Errorf("the listener has other addresses: %q", got.stdout)
	}
}

// TestN02_WhatTheKernelTakesForItself sends datagrams to the broadcast addresses of the host's networks, and to a range that
// belongs to the host as a whole. A server on the host that listens at every address would get them.
func TestN02_WhatTheKernelTakesForItself(t *testing.T) {
	newInternet(t)
	l := newLab(t)
	networktest.TakeRange(t, "198.51.100.0/24")
	conn, err := net.ListenPacket("udp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, port, _ := net.SplitHostPort(conn.LocalAddr().String())
	addresses := []string{"203.0.113.255", "10.213.7.255", "198.51.100.7"}
	var targets []string
	for _, a := range addresses {
		targets = append(targets, net.JoinHostPort(a, port))
	}
	for name, p := range widest {
		t.Run(name, func(t *testing.T) {
			r := l.with(t).run(p, append([]string{"ask"}, targets...)...)
			r.refused(t, targets...)
			r.denied(t, "udp", addresses...)
		})
	}
	if got := receiveAll(t, conn); len(got) > 0 {
		t.Errorf("the host got %q", got)
	}
}
