package network_test

import (
	"net/netip"
	"strings"
	"testing"

	. "github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/network/networktest"
)

func mustRules(t testing.TB, texts ...string) []Rule {
	t.Helper()
	rules := make([]Rule, len(texts))
	for i, s := range texts {
		r, err := networktest.ParseRule(s)
		if err != nil {
			t.Fatal(err)
		}
		rules[i] = r
	}
	return rules
}

func to(addr string, port uint16, names ...string) Destination {
	return Destination{Names: names, Address: netip.MustParseAddr(addr), Port: port, Protocol: TCP}
}

func TestDecide(t *testing.T) {
	list := func(rules ...string) Policy { return Policy{Mode: ModeList, Egress: mustRules(t, rules...)} }
	with := func(d Destination, change func(*Destination)) Destination {
		change(&d)
		return d
	}
	udp := func(d *Destination) { d.Protocol = UDP }
	icmp := func(d *Destination) { d.Protocol = ICMP; d.Port = 0 }
	unresolved := func(d *Destination) { d.Unresolved = true }
	local := func(d *Destination) { d.Local = true }
	host := func(d *Destination) { d.Local, d.Host = true, true }
	open, public, none := Policy{Mode: ModeOpen}, Policy{Mode: ModePublic}, Policy{Mode: ModeNone}

	tests := []struct {
		name    string
		policy  Policy
		dest    Destination
		allowed bool
		rule    string
		reason  string // a part of the reason
		suggest string // the text of the rule, or ""
	}{
		{"none denies", none, to("192.0.2.1", 443, "api.example.com"), false, "mode none", "network is off", `{host: "api.example.com", ports: [443]}`},
		{"none, no name", none, to("192.0.2.1", 443), false, "mode none", "network is off", `{cidr: "192.0.2.1/32", ports: [443]}`},
		{"open allows", open, to("192.0.2.1", 443), true, "mode open", "", ""},
		{"open allows private", open, to("10.1.2.3", 443), true, "mode open", "", ""},
		{"open denies metadata", open, to("169.254.169.254", 80), false, "built-in link-local", "no policy opens", ""},
		{"open denies mapped metadata", open, to("::ffff:169.254.169.254", 80), false, "built-in link-local", "", ""},
		{"open denies NAT64 metadata", open, to("64:ff9b::a9fe:a9fe", 80), false, "built-in link-local", "", ""},
		{"open denies local NAT64 metadata", open, to("64:ff9b:1::a9fe:a9fe", 80), false, "built-in link-local", "", ""},
		{"open denies spread local NAT64 metadata", open, to("64:ff9b:1:a9fe:a9:fe00::", 80), false, "built-in link-local", "", ""},
		{"open denies local NAT64 of /64", open, to("64:ff9b:1:0:a9:fea9:fe00:0", 80), false, "built-in link-local", "", ""},
		{"open denies local NAT64 of /56", open, to("64:ff9b:1:a9:fe:a9fe::", 80), false, "built-in link-local", "", ""},
		{"open denies local NAT64 of /48", open, to("64:ff9b:1:6464:64:c800::", 80), false, "built-in cloud metadata", "", ""},
		{"open allows local NAT64", open, to("64:ff9b:1::8.8.8.8", 80), true, "mode open", "", ""},
		{"ambiguous embedding", list("10.0.0.0/8"), to("64:ff9b:1:a00::c0a8:101", 80), false, "mode list", "", `{cidr: "64:ff9b:1:a00::c0a8:101/128", ports: [80]}`},
		{"embedded in range", list("10.0.0.0/8"), to("64:ff9b::10.0.0.1", 80), true, "cidr 10.0.0.0/8", "", ""},
		{"open denies 6to4 metadata", open, to("2002:a9fe:a9fe::1", 80), false, "built-in link-local", "", ""},
		{"open denies compatible metadata", open, to("::169.254.169.254", 80), false, "built-in link-local", "", ""},
		{"open denies translated metadata", open, to("::ffff:0:169.254.169.254", 80), false, "built-in link-local", "", ""},
		{"open denies AWS v6", open, to("fd00:ec2::254", 80), false, "built-in cloud metadata", "", ""},
		{"open denies AWS v6 with zone", open, to("fd00:ec2::254%eth0", 80), false, "built-in cloud metadata", "", ""},
		{"open denies EKS v6", open, to("fd00:ec2::23", 80), false, "built-in cloud metadata", "", ""},
		{"open denies GCP v6", open, to("fd20:ce::254", 80), false, "built-in cloud metadata", "", ""},
		{"open denies Alibaba", open, to("100.100.100.200", 80), false, "built-in cloud metadata", "", ""},
		{"open denies Azure", open, to("168.63.129.16", 80), false, "built-in cloud metadata", "", ""},
		{"open denies link-local v6 with zone", open, to("fe80::1%eth0", 80), false, "built-in link-local", "", ""},
		{"open denies end of link-local v6", open, to("febf:ffff::1", 80), false, "built-in link-local", "", ""},
		{"open denies loopback", open, to("127.8.9.1", 80), false, "built-in loopback", "", ""},
		{"open denies loopback v6", open, to("::1", 80), false, "built-in loopback", "", ""},
		{"open denies zero net", open, to("0.1.2.3", 80), false, "built-in unspecified address", "", ""},
		{"open denies unspecified v6", open, to("::", 80), false, "built-in unspecified address", "", ""},
		{"open denies multicast", open, with(to("224.0.0.251", 5353), udp), false, "built-in multicast", "", ""},
		{"open denies multicast v6", open, with(to("ff02::fb", 5353), udp), false, "built-in multicast", "", ""},
		{"open denies broadcast", open, with(to("255.255.255.255", 67), udp), false, "built-in broadcast", "", ""},
		{"open denies own address", open, with(to("192.0.2.9", 22), local), false, "built-in own address", HostName, ""},
		{"open denies host", open, with(to("192.0.2.9", 22), host), false, "mode open", "only an egress rule", `{host: "host.mayfly.internal", ports: [22]}`},
		{"public denies host", public, with(to("192.0.2.9", 22), host), false, "mode public", "only an egress rule", `{host: "host.mayfly.internal", ports: [22]}`},
		{"public allows", public, to("93.184.216.34", 443), true, "mode public", "", ""},
		{"public allows test net", public, to("203.0.113.7", 443), true, "mode public", "", ""},
		{"public allows test net v6", public, to("2001:db8::7", 443), true, "mode public", "", ""},
		{"public allows NAT64 of public", public, to("64:ff9b::c000:0207", 443), true, "mode public", "", ""},
		{"public denies NAT64 of private", public, to("64:ff9b::10.0.0.1", 443), false, "mode public", "", `{cidr: "64:ff9b::a00:1/128", ports: [443]}`},
		{"public denies 6to4 of private", public, to("2002:a00:1::1", 443), false, "mode public", "", `{cidr: "2002:a00:1::1/128", ports: [443]}`},
		{"public denies 10/8", public, to("10.0.0.1", 443), false, "mode public", "not a public address", `{cidr: "10.0.0.1/32", ports: [443]}`},
		{"unknown mode", Policy{}, to("192.0.2.1", 443), false, "built-in unknown mode", `mode ""`, ""},
		{"invalid address", open, Destination{Protocol: TCP}, false, "built-in invalid address", "no valid address", ""},
		{"unknown protocol", open, Destination{Address: netip.MustParseAddr("192.0.2.1")}, false, "built-in unknown protocol", `protocol ""`, ""},

		{"empty list", list(), to("192.0.2.1", 443, "a.example"), false, "mode list", "no egress rule allows a.example (192.0.2.1) tcp port 443", `{host: "a.example", ports: [443]}`},
		{"Docker's name for this machine", list("a.example:443"), with(to("198.18.0.9", 80, "host.docker.internal"), unresolved), false, "mode list", "host.docker.internal is Docker's and podman's name for this machine; this machine is host.mayfly.internal", ""},
		{"exact host", list("a.example:443"), to("192.0.2.1", 443, "a.example"), true, "host a.example:443", "", ""},
		{"second name", list("a.example:443"), to("192.0.2.1", 443, "b.example", "a.example"), true, "host a.example:443", "", ""},
		{"other port", list("a.example:443"), to("192.0.2.1", 80, "a.example"), false, "mode list", "port 80", `{host: "a.example", ports: [80]}`},
		{"port range", list("a.example:8000-8100"), to("192.0.2.1", 8100, "a.example"), true, "host a.example:8000-8100", "", ""},
		{"past port range", list("a.example:8000-8100"), to("192.0.2.1", 8101, "a.example"), false, "mode list", "", `{host: "a.example", ports: [8101]}`},
		{"all ports", list("a.example"), to("192.0.2.1", 1, "a.example"), true, "host a.example", "", ""},
		{"no name known", list("a.example"), to("192.0.2.1", 443), false, "mode list", "192.0.2.1 tcp port 443", `{cidr: "192.0.2.1/32", ports: [443]}`},
		{"name of odd characters", list(), to("192.0.2.1", 443, "\x1b]0;x\a\nfake\u202e"), false, "mode list", `"\x1b]0;x\a\nfake\u202e" (192.0.2.1) tcp`, `{cidr: "192.0.2.1/32", ports: [443]}`},
		{"stand-in of an odd name", list(), with(to("198.19.0.1", 443, "a b"), unresolved), false, "mode list", `"a b" tcp`, ""},
		{"stand-in", list(), with(to("198.19.0.1", 443, "a.example"), unresolved), false, "mode list", "a.example tcp", `{host: "a.example", ports: [443]}`},
		{
			"stand-in for a range", list("10.0.0.0/8:5432"), with(to("198.19.0.1", 5432, "db.example"), unresolved), false, "mode list",
			"the name isn't looked up: cidr 10.0.0.0/8:5432 opens addresses, not names", `{host: "db.example", cidr: "10.0.0.0/8", ports: [5432]}`,
		},
		{"stand-in for a range with names", list("cidr 10.0.0.0/8:5432 dns example"), with(to("198.19.0.1", 5432, "db.example"), unresolved), true, "cidr 10.0.0.0/8:5432 dns example", "", ""},
		{"stand-in for a range, names of another rule", list("10.0.0.0/8:5432", "dns db.example"), with(to("198.19.0.1", 5432, "db.example"), unresolved), true, "cidr 10.0.0.0/8:5432", "", ""},
		{"stand-in for a range with other names", list("cidr 10.0.0.0/8:5432 dns corp.example"), with(to("198.19.0.1", 5432, "xcorp.example"), unresolved), false, "mode list", "opens addresses, not names", `{host: "xcorp.example", cidr: "10.0.0.0/8", ports: [5432]}`},
		{"stand-in for a range, other port", list("cidr 10.0.0.0/8:5432 dns example"), with(to("198.19.0.1", 80, "db.example"), unresolved), false, "mode list", "", `{host: "db.example", ports: [80]}`},
		{"stand-in for a range, other protocol", list("cidr 10.0.0.0/8:5432 tcp dns example"), with(with(to("198.19.0.1", 5432, "db.example"), unresolved), udp), false, "mode list", "", `{host: "db.example", ports: [5432], protocol: udp}`},
		{"stand-in of an odd name for a range", list("10.0.0.0/8"), with(to("198.19.0.1", 443, "a b"), unresolved), false, "mode list", `"a b" tcp`, ""},
		{"names alone open no address", list("dns a.example"), to("192.0.2.1", 443, "a.example"), false, "mode list", "", `{host: "a.example", ports: [443]}`},
		{"names alone open no stand-in", list("dns a.example"), with(to("198.19.0.1", 443, "a.example"), unresolved), false, "mode list", "", `{host: "a.example", ports: [443]}`},
		{"names of a range lead to a private address", list("cidr 10.0.0.0/8 dns corp.example"), to("10.1.2.3", 443, "db.corp.example"), true, "cidr 10.0.0.0/8 dns corp.example", "", ""},
		{"names of a range lead to another", list("cidr 10.0.0.0/8 dns corp.example"), to("192.168.1.1", 443, "db.corp.example"), false, "mode list", "", `{host: "db.corp.example", cidr: "192.168.1.1/32", ports: [443]}`},
		{"stand-in for a host in a range", list(`{host: db.example, cidr: 10.0.0.0/8}`), with(to("198.19.0.1", 5432, "db.example"), unresolved), true, "host db.example cidr 10.0.0.0/8", "", ""},
		{"stand-in for another host in a range", list(`{host: db.example, cidr: 10.0.0.0/8}`), with(to("198.19.0.1", 5432, "a.example"), unresolved), false, "mode list", "", `{host: "a.example", ports: [5432]}`},
		{"stand-in isn't its address", list("198.19.0.1"), with(to("198.19.0.1", 80, "a.example"), unresolved), false, "mode list", "", `{host: "a.example", ports: [80]}`},
		{"wildcard", list("*.slack.com:443"), to("192.0.2.1", 443, "hooks.slack.com"), true, "host *.slack.com:443", "", ""},
		{"wildcard deep", list("*.slack.com:443"), to("192.0.2.1", 443, "a.b.slack.com"), true, "host *.slack.com:443", "", ""},
		{"wildcard not apex", list("*.slack.com"), to("192.0.2.1", 443, "slack.com"), false, "mode list", "", `{host: "slack.com", ports: [443]}`},
		{"wildcard not suffix of label", list("*.slack.com"), to("192.0.2.1", 443, "notslack.com"), false, "mode list", "", `{host: "notslack.com", ports: [443]}`},
		{"udp suggestion", list(), with(to("192.0.2.1", 53, "dns.example"), udp), false, "mode list", "udp port 53", `{host: "dns.example", ports: [53], protocol: udp}`},
		{"protocol mismatch", list("a.example:443 udp"), to("192.0.2.1", 443, "a.example"), false, "mode list", "", `{host: "a.example", ports: [443]}`},
		{"icmp not by ports", list("a.example:443"), with(to("192.0.2.1", 0, "a.example"), icmp), false, "mode list", "a.example (192.0.2.1) icmp", `{host: "a.example", protocol: icmp}`},
		{"icmp by host", list("a.example"), with(to("192.0.2.1", 0, "a.example"), icmp), true, "host a.example", "", ""},
		{"cidr grants private", list("10.0.0.0/8"), to("10.1.2.3", 5432), true, "cidr 10.0.0.0/8", "", ""},
		{"cidr of mapped", list("10.0.0.0/8"), to("::ffff:10.1.2.3", 5432), true, "cidr 10.0.0.0/8", "", ""},
		{"cidr never link-local", list("169.254.0.0/16", "0.0.0.0/0", "::/0"), to("169.254.169.254", 80), false, "built-in link-local", "", ""},
		{"literal host", list("10.1.2.3:443"), to("10.1.2.3", 443), true, "host 10.1.2.3:443", "", ""},
		{"literal is not a name", list("10.1.2.3"), to("192.0.2.1", 443, "10.1.2.3"), false, "mode list", "", `{cidr: "192.0.2.1/32", ports: [443]}`},
		{"host and cidr", list("host db.example cidr 10.0.0.0/8:5432"), to("10.1.2.3", 5432, "db.example"), true, "host db.example cidr 10.0.0.0/8:5432", "", ""},
		{"host and cidr, other name", list("host db.example cidr 10.0.0.0/8:5432"), to("10.1.2.3", 5432, "x.example"), false, "mode list", "", `{host: "x.example", cidr: "10.1.2.3/32", ports: [5432]}`},
		{"host and cidr, other address", list("host db.example cidr 10.0.0.0/8:5432"), to("192.0.2.3", 5432, "db.example"), false, "mode list", "", `{host: "db.example", ports: [5432]}`},
		{
			"rebinding", list("*.evil.example"), to("10.1.2.3", 443, "a.evil.example"), false, "mode list",
			"a.evil.example resolves to the private address 10.1.2.3", `{host: "a.evil.example", cidr: "10.1.2.3/32", ports: [443]}`,
		},
		{"rebinding, then a cidr", list("*.evil.example", "10.0.0.0/8"), to("10.1.2.3", 443, "a.evil.example"), true, "cidr 10.0.0.0/8", "", ""},
		{"rebinding by NAT64", list("a.example"), to("64:ff9b::10.0.0.1", 443, "a.example"), false, "mode list", "private", `{host: "a.example", cidr: "64:ff9b::a00:1/128", ports: [443]}`},
		{"host by name", list(HostName + ":8080"), with(to("192.0.2.9", 8080), host), true, "host " + HostName + ":8080", "", ""},
		{"host on loopback", list(HostName), with(to("127.0.0.1", 8080), host), true, "host " + HostName, "", ""},
		{"host, other port", list(HostName + ":8080"), with(to("192.0.2.9", 22), host), false, "mode list", "only an egress rule", `{host: "host.mayfly.internal", ports: [22]}`},
		{"host not by wildcard", list("*.mayfly.internal", "*.internal"), with(to("192.0.2.9", 22, HostName), host), false, "mode list", "", `{host: "host.mayfly.internal", ports: [22]}`},
		{"host not by cidr", list("0.0.0.0/0"), with(to("192.0.2.9", 22), host), false, "mode list", "", `{host: "host.mayfly.internal", ports: [22]}`},
		{"host never metadata", list(HostName), with(to("169.254.169.254", 80), host), false, "built-in link-local", "", ""},
		{"host's name for another address", list(HostName), to("192.0.2.1", 80, HostName), false, "mode list", "", `{cidr: "192.0.2.1/32", ports: [80]}`},
		{"own address not by cidr", list("192.0.2.0/24"), with(to("192.0.2.9", 22), local), false, "built-in own address", HostName, ""},
		{"unusable name", list(), to("192.0.2.1", 443, "bad name"), false, "mode list", "", `{cidr: "192.0.2.1/32", ports: [443]}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.policy.Decide(tt.dest)
			if got.Allowed != tt.allowed || got.Rule != tt.rule {
				t.Errorf("got allowed %v by %q, want %v by %q", got.Allowed, got.Rule, tt.allowed, tt.rule)
			}
			if got.Allowed == (got.Reason != "") || !strings.Contains(got.Reason, tt.reason) {
				t.Errorf("got the reason %q, want it to contain %q", got.Reason, tt.reason)
			}
			suggest := ""
			if got.Suggest != nil {
				suggest = got.Suggest.String()
			}
			if suggest != tt.suggest {
				t.Errorf("got the suggestion %q, want %q", suggest, tt.suggest)
			}
			if got.Host == "" {
				t.Error("no host to show")
			}
		})
	}
}

// TestPublic checks addresses at the borders of the ranges in the special-purpose registries.
func TestPublic(t *testing.T) {
	yes := []string{
		"1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0",
		"192.0.0.9", "192.0.0.10", "192.0.1.0", "192.0.2.1", "192.167.255.255", "192.169.0.0", "198.17.255.255",
		"198.20.0.0", "198.51.100.1", "203.0.113.1", "2001:db8::1", "2606:4700::1111", "2001:1::1", "2001:1::3",
		"2001:3::1", "2001:4:112::1", "2001:20::1", "2001:3f::1", "2001:200::1", "3ffe::1", "2a00::1", "64:ff9b::192.0.2.1",
	}
	no := []string{
		"10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "172.16.0.0", "172.31.255.255", "192.0.0.0",
		"192.0.0.8", "192.0.0.170", "192.168.0.0", "192.168.255.255", "198.18.0.0", "198.19.255.255", "240.0.0.1",
		"255.255.255.254", "fc00::", "fdff::1", "fec0::1", "100::1", "2001::1", "2001:1::4", "2001:1::1:1",
		"2001:2::1", "2001:4:113::1", "2001:10::1", "2001:40::1", "2001:1ff::1", "3fff::1", "4000::1", "5f00::1",
		"64:ff9b:1::1", "64:ff9b::1", "64:ff9b::10.0.0.1", "::2", "127.0.0.1", "0.0.0.0", "224.0.0.1",
	}
	for _, s := range yes {
		if !Public(netip.MustParseAddr(s)) {
			t.Errorf("%s is not public, want it to be", s)
		}
	}
	for _, s := range no {
		if Public(netip.MustParseAddr(s)) {
			t.Errorf("%s is public, want it not to be", s)
		}
	}
}

func TestResolves(t *testing.T) {
	const none, addresses, all = "nothing", "addresses", "everything"
	byHost := Policy{Mode: ModeList, Egress: mustRules(t, "a.example:443", "*.b.example", "192.0.2.1", "host c.example cidr 10.0.0.0/8")}
	byRange := Policy{Mode: ModeList, Egress: mustRules(t, "a.example", "10.0.0.0/8", "::/0")}
	byDNS := Policy{Mode: ModeList, Egress: mustRules(t, "cidr 10.0.0.0/8:5432 dns corp.example,x.example", "host *.b.example dns c.b.example", "dns 113.0.203.in-addr.arpa")}
	tests := []struct {
		policy Policy
		name   string
		want   string
	}{
		{Policy{Mode: ModeOpen}, "x.example", all},
		{Policy{Mode: ModePublic}, "x.example.", all},
		{Policy{Mode: ModeNone}, "x.example", none},
		{Policy{}, "x.example", none},
		{Policy{Mode: ModeOpen}, "", none},
		{Policy{Mode: ModeOpen}, ".", none},
		{Policy{Mode: ModeOpen}, HostName + ".", none},
		{byHost, "a.example", addresses},
		{byHost, "A.Example.", addresses},
		{byHost, "x.a.example", none},
		{byHost, "x.b.example", addresses},
		{byHost, "b.example", none},
		{byHost, "c.example", addresses},
		{byHost, "192.0.2.1", none},
		{byHost, "secret-in-a-name.evil.example", none},
		{byRange, "a.example", addresses},
		{byRange, "secret-in-a-name.evil.example", none},
		{byRange, HostName, none},
		{byDNS, "corp.example", all},
		{byDNS, "DB.Corp.Example.", all},
		{byDNS, "a.b.x.example", all},
		{byDNS, "xcorp.example", none},
		{byDNS, "example", none},
		{byDNS, "corp.example.evil.example", none},
		{byDNS, "a.b.example", addresses},
		{byDNS, "c.b.example", all},
		{byDNS, "7.113.0.203.in-addr.arpa", all},
		{byDNS, "7.112.0.203.in-addr.arpa", none},
	}
	for _, tt := range tests {
		got := none
		switch a, r := tt.policy.Resolves(tt.name, Addresses), tt.policy.Resolves(tt.name, Records); {
		case a && r:
			got = all
		case a:
			got = addresses
		case r:
			got = "records only"
		}
		if got != tt.want {
			t.Errorf("%v resolves %s of %q, want %s", tt.policy, got, tt.name, tt.want)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	long := Policy{Mode: ModeList}
	for i := range 99 {
		n := string(rune('a'+i%26)) + string(rune('a'+i/26))
		long.Egress = append(long.Egress, Rule{Host: "*." + n + ".example.com", Ports: []PortRange{Port(443), Port(8443)}})
	}
	long.Egress = append(long.Egress, mustRules(b, "last.example.org:443")...)
	names := []string{"first.example.org", "second.example.org", "last.example.org"}
	for _, c := range []struct {
		name   string
		policy Policy
		to     Destination
	}{
		{"a list of 100", long, to("192.0.2.1", 443, names...)},
		{"open", Policy{Mode: ModeOpen}, to("192.0.2.1", 443)},
		{"open, IPv6", Policy{Mode: ModeOpen}, to("2001:db8::1", 443)},
		{"public", Policy{Mode: ModePublic}, to("192.0.2.1", 443)},
		{"public, IPv6", Policy{Mode: ModePublic}, to("2001:db8::1", 443)},
	} {
		b.Run(c.name, func(b *testing.B) {
			if !c.policy.Decide(c.to).Allowed {
				b.Fatal("the destination is denied")
			}
			b.ReportAllocs()
			for b.Loop() {
				c.policy.Decide(c.to)
			}
		})
	}
}
