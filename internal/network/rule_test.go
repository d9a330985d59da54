package network_test

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"unicode"

	. "github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/network/networktest"
)

func TestRuleString(t *testing.T) {
	tests := []struct{ text, want string }{
		{"api.example.com", `{host: "api.example.com"}`},
		{"API.Example.com:443", `{host: "api.example.com", ports: [443]}`},
		{"host *.slack.com:443", `{host: "*.slack.com", ports: [443]}`},
		{"10.0.0.0/8", `{cidr: "10.0.0.0/8"}`},
		{"cidr 10.0.0.1/32:5432,8000-8100 tcp", `{cidr: "10.0.0.1/32", ports: [5432, "8000-8100"], protocol: tcp}`},
		{"[2001:db8::/32]:443", `{cidr: "2001:db8::/32", ports: [443]}`},
		{"2001:db8::1", `{host: "2001:db8::1"}`},
		{"udp ntp.example:123", `{host: "ntp.example", ports: [123], protocol: udp}`},
		{"host a.example cidr 10.0.0.0/8:1", `{host: "a.example", cidr: "10.0.0.0/8", ports: [1]}`},
		{`{host: "a.example", ports: [443]}`, `{host: "a.example", ports: [443]}`},
		{`{ host: a.example , ports: [ 443 , 1-9 ] }`, `{host: "a.example", ports: [443, "1-9"]}`},
		{`{"cidr":"2001:db8::/32","protocol":"icmp"}`, `{cidr: "2001:db8::/32", protocol: icmp}`},
		{`{cidr: 2001:db8::/32}`, `{cidr: "2001:db8::/32"}`},
		{`{host: 'a_b.example'}`, `{host: "a_b.example"}`},
		{`{cidr: "::ffff:10.0.0.0/104"}`, `{cidr: "10.0.0.0/8"}`},
		{"dns corp.example,b.example", `{dns: ["corp.example", "b.example"]}`},
		{"cidr 10.0.0.0/8:443 tcp dns corp.example", `{cidr: "10.0.0.0/8", ports: [443], protocol: tcp, dns: ["corp.example"]}`},
		{"{dns: [_ldap._tcp.example, 10.in-addr.arpa]}", `{dns: ["_ldap._tcp.example", "10.in-addr.arpa"]}`},
	}
	for _, tt := range tests {
		r, err := networktest.ParseRule(tt.text)
		if err != nil || r.String() != tt.want {
			t.Errorf("networktest.ParseRule(%q) = %s, %v; want %s", tt.text, r, err, tt.want)
		}
	}
}

func TestRuleErrors(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", "a rule needs a host, a cidr or dns"},
		{"{}", "a rule needs a host, a cidr or dns"},
		{"a.example:0", `port "0" is not a port`},
		{"a.example:65536", `port "65536" is not a port`},
		{"a.example:9-1", "ends before it starts"},
		{"a.example:+1", `port "+1" is not a port`},
		{"a.example. ", "ends with a dot"},
		{`{host: "https://a.example"}`, "is a URL"},
		{"a.*.example", "only for the leftmost label"},
		{"*", "only for the leftmost label"},
		{"*.", "ends with a dot"},
		{"*a.example", "only for the leftmost label"},
		{"bücher.example", "xn-- form"},
		{"a..example", "empty label"},
		{"-a.example", "hyphen"},
		{"a$b", "no DNS name has"},
		{"127.1", "ends in a number"},
		{"0x7f.0.0.0x1", "ends in a number"},
		{"017700000001", "ends in a number"},
		{strings.Repeat("a", 64) + ".example", "at most 63"},
		{strings.Repeat("a.", 130) + "example", "at most 253"},
		{strings.Repeat("a", 5000), "host of 5000 characters is too long"},
		{"*." + HostName, "has no names below it"},
		{"*.x." + HostName, "has no names below it"},
		{"10.0.0.1/8", "write 10.0.0.0/8"},
		{"10.0.0.0/33", "not a range of addresses"},
		{"::ffff:0:0/80", "mixes IPv4 and IPv6"},
		{"a.example:1 icmp", "icmp has no ports"},
		{"{host: a.example, protocol: sctp}", `protocol "sctp" is not known`},
		{"{host: a.example, ports: [1 2]}", `port "1 2" is not a port`},
		{"{dns: []}", "a rule needs a host, a cidr or dns"},
		{"{dns: [a.example], ports: [53]}", "dns alone has no ports"},
		{"{dns: [a.example], protocol: udp}", "dns alone has no ports and no protocol"},
		{`{dns: ["*.a.example"]}`, "leave the wildcard out"},
		{"{dns: [10.0.0.1]}", "is an address"},
		{"{dns: [a..example]}", "empty label"},
		{"{host: a.example, dns: [a.example.]}", "ends with a dot"},
		{`{dns: [""]}`, "empty label"},
		{"{dns: [" + HostName + "]}", "Mayfly answers for"},
		{"{dns: [X." + HostName + "]}", "Mayfly answers for"},
	}
	for _, tt := range tests {
		if r, err := networktest.ParseRule(tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("networktest.ParseRule(%q) = %s, %v; want an error with %q", tt.text, r, err, tt.want)
		}
	}
}

func TestValidatePolicy(t *testing.T) {
	rule := Rule{Host: "a.example"}
	tests := []struct {
		policy Policy
		want   string
	}{
		{Policy{Mode: ModeOpen}, ""},
		{Policy{Mode: ModeList}, ""},
		{Policy{Mode: ModeList, Egress: []Rule{rule}}, ""},
		{Policy{}, `network mode "" is not known`},
		{Policy{Mode: "lists"}, `network mode "lists" is not known`},
		{Policy{Mode: ModePublic, Egress: []Rule{rule}}, "takes no egress rules"},
		{Policy{Mode: ModeList, Egress: []Rule{rule, {}}}, "egress rule 2: a rule needs a host, a cidr or dns"},
		{Policy{Mode: ModeList, Egress: []Rule{{Host: "a.example", Ports: []PortRange{{0, 9}}}}}, "starts at 0"},
		{Policy{Mode: ModeList, Egress: []Rule{{CIDR: netip.MustParsePrefix("10.1.0.0/8")}}}, "bits set"},
	}
	for _, tt := range tests {
		err := tt.policy.Validate()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%+v: got %v, want %q", tt.policy, err, tt.want)
		}
	}
}

func TestPolicyJSON(t *testing.T) {
	p := Policy{Mode: ModeList, Egress: mustRules(t, "a.example:443,8000-8100", "10.0.0.0/8 udp")}
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"mode":"list","egress":[{"host":"a.example","ports":[443,"8000-8100"]},{"cidr":"10.0.0.0/8","protocol":"udp"}]}`
	if string(data) != want {
		t.Errorf("got %s, want %s", data, want)
	}
	var back Policy
	if err := json.Unmarshal(data, &back); err != nil || back.Egress[0].Label() != p.Egress[0].Label() {
		t.Errorf("came back as %v, %v", back, err)
	}
}

// FuzzRule checks that a rule from a shim's socket is valid, survives a round trip, and prints only graphic characters.
func FuzzRule(f *testing.F) {
	for _, s := range []string{
		`{"host":"a.example","ports":[443]}`, `{"host":"*.slack.com","ports":[1,"2-3"],"protocol":"tcp"}`, `{"cidr":"2001:db8::/32"}`,
		`{"host":"a","cidr":"10.0.0.0/8"}`, `{"host":"LL"}`, `{"ports":["0-99999"]}`, `{"cidr":"10.0.0.1/8"}`, `{`, `[]`, `null`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var r, back Rule
		if json.Unmarshal(data, &r) != nil || r.Validate() != nil {
			return
		}
		out, err := json.Marshal(r)
		if err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		if err := json.Unmarshal(out, &back); err != nil || back.String() != r.String() || back.Validate() != nil {
			t.Fatalf("%s: %s came back as %+v, %v", data, out, back, err)
		}
		if s := r.String() + r.Label(); strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) }) {
			t.Fatalf("%s: it is shown as %q", data, s)
		}
	})
}
