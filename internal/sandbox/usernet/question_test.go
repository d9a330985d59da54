package usernet

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/mayfly-run/mayfly/internal/network"
)

// TestN06_NamesUnderRanges: rules for ranges, next to a rule for a host, allow no
// questions about names, of any type.
func TestN06_NamesUnderRanges(t *testing.T) {
	resolver := &fakeResolver{t: t, hosts: map[string][]string{"api.example": {"203.0.113.20"}}}
	w := newNetwork(t, Config{Resolver: resolver, Policy: policy(network.ModeList,
		"{host: api.example, ports: [443]}", "{cidr: 203.0.113.10/32, ports: [5432]}", "{cidr: 0.0.0.0/0, protocol: udp}", `{cidr: "::/0", protocol: udp}`)})
	const name = "c2VjcmV0.evil.example."
	for kind, want := range map[dnsmessage.Type]string{
		dnsmessage.TypeA: "Success 198.19.0.1", dnsmessage.TypeAAAA: "Success ", typeHTTPS: "Success ", typeSVCB: "Success ",
		dnsmessage.TypeTXT: "Success ", dnsmessage.TypeCNAME: "Success ", dnsmessage.TypeMX: "Success ", dnsmessage.TypeSRV: "Success ",
		dnsmessage.TypePTR: "Success ", dnsmessage.TypeNS: "Success ", dnsmessage.TypeALL: "Success ", 10: "Success ", 65400: "Success ",
	} {
		if got := show(w.ask("udp", gateway4, name, kind)); got != want {
			t.Errorf("%s: got %s, want %s", kind, got, want)
		}
	}
	// The addresses of a name with a rule are asked for, but not its text records.
	for kind, want := range map[dnsmessage.Type]string{dnsmessage.TypeA: "Success 203.0.113.20", dnsmessage.TypeTXT: "Success "} {
		if got := show(w.ask("udp", gateway4, "api.example.", kind)); got != want {
			t.Errorf("%s of a host: got %s, want %s", kind, got, want)
		}
	}
	if asked := resolver.questions(); !slices.Equal(asked, []string{"api.example"}) {
		t.Errorf("asked upstream: %q", asked)
	}
	if _, err := w.dial("tcp", "198.19.0.1:5432"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Error(err)
	}
	want := `{host: "c2vjcmv0.evil.example", cidr: "203.0.113.10/32", ports: [5432]}`
	if c := w.report("tcp", "", 5432); c.Allowed || c.Suggest != want || !strings.Contains(c.Reason, "cidr 203.0.113.10/32:5432 opens addresses, not names") {
		t.Errorf("got report %+v, want it to suggest %s", c, want)
	}
}

// TestN06_NamesOfARange: names of a rule for a range may be asked, but they open only that range.
func TestN06_NamesOfARange(t *testing.T) {
	to := serve(t, "203.0.113.10", echoTCP)
	header := dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName("_db._tcp.corp.example."), Type: dnsmessage.TypeTXT, Class: dnsmessage.ClassINET, TTL: 60}
	resolver := &fakeResolver{
		t: t, hosts: map[string][]string{"db.corp.example": {"203.0.113.10"}, "far.corp.example": {"203.0.113.20"}},
		records: map[string][]dnsmessage.Resource{"_db._tcp.corp.example.": {{Header: header, Body: &dnsmessage.TXTResource{TXT: []string{"db"}}}}},
	}
	w := newNetwork(t, Config{Resolver: resolver, Policy: policy(network.ModeList, "{cidr: 203.0.113.10/32, dns: [corp.example]}")})
	for name, want := range map[string]string{
		"_db._tcp.corp.example.": "Success db", "xcorp.example.": "Success ", "10.113.0.203.in-addr.arpa.": "Success ",
	} {
		if got := show(w.ask("udp", gateway4, name, dnsmessage.TypeTXT)); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	for name, open := range map[string]bool{"db.corp.example.": true, "far.corp.example.": false} {
		addrs, err := w.resolver().LookupNetIP(t.Context(), "ip4", name)
		if err != nil || len(addrs) != 1 {
			t.Fatal(addrs, err)
		}
		conn, err := w.dial("tcp", netip.AddrPortFrom(addrs[0], to.Port()).String())
		if err == nil {
			conn.Close()
		}
		if (err == nil) != open {
			t.Errorf("%s: got %v, want it open: %v", name, err, open)
		}
	}
	for _, asked := range resolver.questions() {
		if !strings.HasSuffix(strings.Fields(strings.TrimSuffix(asked, "."))[0], "corp.example.") && !strings.HasSuffix(asked, ".corp.example") {
			t.Errorf("asked upstream: %q", asked)
		}
	}
}

// TestN06_Questions: a question that isn't asked upstream is reported once, with a
// rule that allows it. A question that is asked is reported too, so that the list
// of rules that a run needed is complete.
func TestN06_Questions(t *testing.T) {
	ask := func(p network.Policy) *testNetwork {
		w := newNetwork(t, Config{Policy: p})
		for range 3 {
			for _, kind := range []dnsmessage.Type{dnsmessage.TypeTXT, dnsmessage.TypePTR, 65400} {
				w.ask("udp", gateway4, "api.example.", kind)
			}
		}
		w.ask("udp", gateway4, "a\\b.example.", dnsmessage.TypeTXT)
		return w
	}
	w := ask(policy(network.ModeList, "{host: api.example}"))
	first := w.reportOf("dns", "api.example")
	if first.Allowed || first.Suggest != `{dns: ["api.example"]}` || first.Rule != "mode list" || first.Address != "" || first.Port != 0 {
		t.Errorf("report %+v", first)
	}
	if odd := w.reportOf("dns", `a\b.example`); odd.Suggest != "" || !strings.Contains(odd.Reason, `"a\\b.example"`) {
		t.Errorf("report of an odd name %+v", odd)
	}
	var reasons []string
	for _, c := range w.settled(3) {
		if c.Host == "api.example" {
			reasons = append(reasons, c.Reason)
		}
	}
	slices.Sort(reasons)
	if want := []string{"no egress rule opens TXT questions about api.example", "no egress rule opens TYPE65400 questions about api.example"}; !slices.Equal(reasons, want) {
		t.Errorf("got reasons %q, want %q", reasons, want)
	}
	for rule, p := range map[string]network.Policy{
		"dns api.example": policy(network.ModeList, "{host: api.example}", first.Suggest),
		"mode open":       policy(network.ModeOpen),
	} {
		if c := ask(p).reportOf("dns", "api.example"); !c.Allowed || c.Rule != rule || c.Reason != "" || c.Suggest != first.Suggest {
			t.Errorf("under %v: got report %+v, want it allowed by %s", p, c, rule)
		}
	}
}
