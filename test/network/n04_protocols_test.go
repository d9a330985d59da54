//go:build linux

package network

import (
	"encoding/hex"
	"net"
	"strings"
	"testing"
)

// TestN04_ProtocolsAsThePolicySays tries TCP, UDP and ICMP over IPv4 and IPv6.
func TestN04_ProtocolsAsThePolicySays(t *testing.T) {
	i, l := newInternet(t), newLab(t)
	for _, server := range []string{server4, server6} {
		tcp, udp := i.serve(net.JoinHostPort(server, "0"), welcome), i.echo(net.JoinHostPort(server, "0"))
		for _, c := range []struct {
			rule                string
			connect, ask, probe string
		}{
			{`{host: "` + server + `"}`, "ok", "ok", "ok"},
			{`{host: "` + server + `", protocol: tcp}`, "ok", "refused", ""},
			{`{host: "` + server + `", protocol: udp}`, "refused", "ok", ""},
			{`{host: "` + server + `", protocol: icmp}`, "refused", "refused", "ok"},
			{`{host: "` + server + `", ports: [` + tcp + `]}`, "ok", "refused", ""},
			{`{host: other.example}`, "refused", "refused", ""},
		} {
			p := listPolicy(c.rule)
			target := net.JoinHostPort(server, tcp)
			r := l.run(p, "dial", target)
			if got := r.outcomes()[target]; got != c.connect {
				t.Errorf("%s: connecting to %s: %q", c.rule, target, got)
			}
			target = net.JoinHostPort(server, udp)
			r = l.run(p, "ask", target)
			if got := r.outcomes()[target]; got != c.ask {
				t.Errorf("%s: asking %s: %q", c.rule, target, got)
			}
			if l.engine.OwnKernel {
				continue // it has no sockets for pings
			}
			spec := l.spec(p, "client", "ping", server)
			spec.Security.Capabilities = []string{"CAP_NET_RAW"}
			r = l.runSpec(spec)
			if got := r.outcomes()[server]; (got == "ok") != (c.probe == "ok") {
				t.Errorf("%s: ping %s: %q", c.rule, server, got)
			}
			if c := r.connection("icmp", server); c == nil {
				t.Errorf("no report of the ping in %+v", r.connections)
			}
		}
	}
}

// TestN04_RawPackets sends packets that a kernel wouldn't send for the tool: with another source address, to forbidden
// destinations, and of another protocol.
func TestN04_RawPackets(t *testing.T) {
	i, l := newInternet(t), newLab(t)
	conn := i.listenPacket(server4 + ":9999")
	honest := udpPacket("198.18.0.2", server4, 9999, "honest")
	packets := []string{
		"raw",
		hex.EncodeToString(udpPacket("203.0.113.77", server4, 9999, "spoofed")),
		hex.EncodeToString(udpPacket(gateway4, server4, 9999, "spoofed")),
		hex.EncodeToString(udpPacket("198.18.0.3", server4, 9999, "spoofed")),
		hex.EncodeToString(udpPacket("198.18.0.2", "169.254.169.254", 9999, "metadata")),
		hex.EncodeToString(udpPacket("198.18.0.2", "127.0.0.1", 9999, "loopback")),
		hex.EncodeToString(ipPacket("198.18.0.2", server4, 47, []byte("GRE…………………"))),
		hex.EncodeToString(honest),
	}
	spec := l.spec(open, append([]string{"client"}, packets...)...)
	spec.Security.Capabilities = []string{"CAP_NET_RAW"}
	if l.engine.OwnKernel { // it has no raw sockets
		r := l.start(spec).wait()
		if got := receiveAll(t, conn); len(got) != 0 || !strings.Contains(r.stderr, "address family not supported") {
			t.Errorf("the server got %q; %+v", got, r)
		}
		return
	}
	r := l.runSpec(spec)
	got := receiveAll(t, conn)
	if len(got) != 1 || got[0] != "honest" {
		t.Errorf("the server got %q", got)
	}
	r.denied(t, "udp", "169.254.169.254")
	for _, c := range r.connections {
		if c.Allowed && c.Address != server4 {
			t.Errorf("report %+v", c)
		}
	}

	// Without the capability, which is not among the default ones, the tool can't send raw packets.
	plain := l.start(l.spec(open, append([]string{"client"}, packets...)...)).wait()
	if plain.Code == 0 {
		t.Error("raw packets were sent without CAP_NET_RAW")
	}
}
