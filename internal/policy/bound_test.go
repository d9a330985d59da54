package policy

import (
	"errors"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/network"
)

func mustPolicy(t *testing.T, text string) *Policy {
	t.Helper()
	p, err := parse("policy.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestN07_PolicyBound checks that rules that aren't inside the policy's are refused, and that the error says which rule and why.
func TestN07_PolicyBound(t *testing.T) {
	p := mustPolicy(t, `
egress:
  - {host: "*.example.com", ports: [443, "8000-8100"]}
  - {cidr: 10.0.0.0/8, protocol: tcp, dns: [corp.example.net]}
  - {host: host.mayfly.internal, ports: [8080]}
`)
	for rules, want := range map[string]string{
		`{cidr: 0.0.0.0/0}`:                                 `the egress rule {cidr: "0.0.0.0/0"} (tool.yaml:1:29): none of its egress rules covers it; it allows only {host: "*.example.com", ports: [443, "8000-8100"]}, {cidr: `,
		`{cidr: "::/0"}`:                                    "covers it",
		`{host: example.org, ports: [443]}`:                 "covers it",
		`{host: "*.com", ports: [443]}`:                     "covers it",
		`{host: a.example.com}`:                             `its ports go beyond {host: "*.example.com", ports: [443, "8000-8100"]} (policy.yaml:3:5)`,
		`{host: a.example.com, ports: [443, 80]}`:           "its ports go beyond",
		`{cidr: 10.1.0.0/16}`:                               "its protocol goes beyond {cidr: \"10.0.0.0/8\"",
		`{cidr: 10.1.0.0/16, protocol: tcp, dns: [net]}`:    "it opens DNS names that {cidr: \"10.0.0.0/8\"",
		`{host: db, cidr: 10.0.0.1/32, protocol: tcp}`:      "it opens DNS names that {cidr: \"10.0.0.0/8\"",
		`{host: host.mayfly.internal}`:                      "its ports go beyond",
		`{dns: [example.com]}`:                              "it opens DNS names that",
		`{host: a.example.com, ports: [443], dns: [x.org]}`: "it opens DNS names that",
	} {
		_, err := p.Apply(parseTool(t, "network: [{host: a.example.com, ports: [443]}, "+rules+"]"))
		var denied *DeniedError
		if !errors.As(err, &denied) || !strings.Contains(err.Error(), strings.ReplaceAll(want, "1:29", "1:48")) || strings.Count(err.Error(), "policy.yaml:") != 1 {
			t.Errorf("%s: %v, want %q, and the policy's place once", rules, err, want)
		}
	}
	for _, rules := range []string{
		"", `{host: api.example.com, ports: [443]}`, `{host: "*.api.example.com", ports: ["8000-8050"], protocol: tcp}`,
		`{cidr: 10.1.0.0/16, ports: [5432], protocol: tcp, dns: [db.corp.example.net]}`, `{host: 10.0.0.1, protocol: tcp}`,
		`{host: host.mayfly.internal, ports: [8080]}`, `{dns: [_ldap._tcp.corp.example.net]}`,
	} {
		if _, err := p.Apply(parseTool(t, "network: ["+rules+"]")); err != nil {
			t.Errorf("%s: %v", rules, err)
		}
	}
	for mode, allowed := range map[string]bool{"none": true, "public": false, "open": false} {
		_, err := p.Apply(parseTool(t, "network: "+mode))
		if (err == nil) != allowed {
			t.Errorf("network %s: %v", mode, err)
		}
	}
	// A tool without a network gets the bound, as with limits.
	got, err := p.Apply(parseTool(t, "name: a"))
	if err != nil || got.Network.Mode != network.ModeList || len(got.Network.Egress) != 3 {
		t.Errorf("a tool without a network: %+v, %v", got, err)
	}
	if _, err := mustPolicy(t, "egress: []").Apply(parseTool(t, "network: [{host: a}]")); err == nil || !strings.Contains(err.Error(), "its egress is empty (policy.yaml:1:1)") {
		t.Errorf("an empty bound: %v", err)
	}
}

// TestN07_NetworksWithoutOpen checks that a list can't replace mode open.
func TestN07_NetworksWithoutOpen(t *testing.T) {
	closed, open := mustPolicy(t, "networks: [none, list]"), mustPolicy(t, "networks: [list, open]")
	for rule, allowed := range map[string]bool{
		"{cidr: 0.0.0.0/0}": false, `{cidr: "::/0"}`: false, "{host: host.mayfly.internal}": false, "{host: HOST.mayfly.internal, ports: [80]}": false,
		"{cidr: 0.0.0.0/1}": false, "{cidr: 128.0.0.0/1}": false, "{cidr: 10.0.0.0/8}": false, "{host: 192.168.1.1}": false,
		"{host: db.corp, cidr: 10.0.0.1/32}": false, "{cidr: 'fd00::/8'}": false, "{cidr: '64:ff9b::/96'}": false,
		"{host: api.example.com}": true, "{cidr: 203.0.113.0/24}": true, "{cidr: '2001:db8::/32'}": true, "{host: 192.0.2.1}": true, "{dns: [corp]}": true,
	} {
		_, err := closed.Apply(parseTool(t, "network: ["+rule+"]"))
		var denied *DeniedError
		if allowed != (err == nil) || err != nil && (!errors.As(err, &denied) || !strings.Contains(err.Error(), "(tool.yaml:1:11): its networks don't include open, so an egress list may not contain private addresses")) {
			t.Errorf("%s: %v", rule, err)
		}
		if _, err := open.Apply(parseTool(t, "network: ["+rule+"]")); err != nil {
			t.Errorf("%s, with open allowed: %v", rule, err)
		}
	}
}

// TestN07_PrivateRangesAreNamed checks that a policy's rule for a wide range opens neither private addresses nor this machine.
func TestN07_PrivateRangesAreNamed(t *testing.T) {
	const all = `{cidr: 0.0.0.0/0}, {cidr: "::/0"}, {host: "*.corp", cidr: 0.0.0.0/0}`
	for _, tt := range []struct {
		policy, rule string
		allowed      bool
	}{
		{all, "{cidr: 203.0.113.0/24}", true},
		{all, "{host: 192.0.2.1}", true},
		{all, `{cidr: "2001:db8::/32"}`, true},
		{all, "{cidr: 10.0.0.0/8}", false},
		{all, "{host: 192.168.1.1}", false},
		{all, `{cidr: "fd00::/8"}`, false},
		{all, `{cidr: "64:ff9b::a00:0/104"}`, false},
		{all, "{cidr: 0.0.0.0/0}", false},
		{all, "{cidr: 8.0.0.0/6}", false},
		{all, "{host: db.corp, cidr: 10.0.0.1/32}", false},
		{all, "{host: host.mayfly.internal}", false},
		{"{cidr: 10.0.0.0/7}", "{cidr: 10.0.0.0/8}", false},
		{"{cidr: 10.0.0.0/7}", "{cidr: 11.0.0.0/8}", true},
		{all + ", {cidr: 10.0.0.0/8}", "{cidr: 10.0.0.0/8}", true},
		{all + ", {cidr: 10.0.0.0/8}", "{host: 192.168.1.1}", false},
		{all + ", {host: 192.168.1.1}", "{host: 192.168.1.1}", true},
		{all + `, {host: "*.corp", cidr: 10.0.0.0/8}`, "{host: db.corp, cidr: 10.0.0.1/32}", true},
		{all + `, {cidr: "fc00::/7"}`, `{cidr: "fd00::/8"}`, true},
		{all + ", {host: host.mayfly.internal}", "{host: host.mayfly.internal}", true},
	} {
		_, err := mustPolicy(t, "egress: ["+tt.policy+"]").Apply(parseTool(t, "network: ["+tt.rule+"]"))
		var denied *DeniedError
		if (err == nil) != tt.allowed || err != nil && (!errors.As(err, &denied) || denied.Missing != "" || strings.Count(err.Error(), "policy.yaml:1:") != 1) {
			t.Errorf("%s under %s: %v, want allowed: %v", tt.rule, tt.policy, err, tt.allowed)
		}
	}
	// A tool without a network gets the policy's rules, and the error says so.
	p := mustPolicy(t, "egress: [{cidr: 0.0.0.0/0}]")
	_, err := p.Apply(parseTool(t, "name: a"))
	if err == nil || !strings.Contains(err.Error(), "which doesn't set network: it opens private addresses, and the policy's rule {cidr: \"0.0.0.0/0\"} allows only public ones") || p.RefusedDefault() == nil {
		t.Errorf("a tool without a network: %v", err)
	}
	if _, err := mustPolicy(t, "egress: [{cidr: 0.0.0.0/0}]\ndefaults: {network: none}").Apply(parseTool(t, "name: a")); err != nil {
		t.Errorf("with a default: %v", err)
	}
}
