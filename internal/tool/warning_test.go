package tool

import (
	"strings"
	"testing"
)

func TestWarnings(t *testing.T) {
	for rule, want := range map[string]string{
		`{host: "*.co.uk"}`:                   `host "*.co.uk": anyone can register a name below co.uk`,
		`{host: "*.com", ports: [443]}`:       "below com,",
		`{host: "*.GitHub.io"}`:               "below github.io,",
		`{host: "*.s3.amazonaws.com"}`:        "below s3.amazonaws.com,",
		`{host: "*.foo.ck"}`:                  "below foo.ck,", // *.ck is on the list
		`{cidr: 192.0.2.0/24, dns: [co.uk]}`:  `dns "co.uk": anyone can register a zone below co.uk`,
		`{dns: [example.org, in-addr.arpa]}`:  `dns "in-addr.arpa"`,
		`{host: localhost, ports: [8080]}`:    "this rule opens no destination: localhost is the sandbox itself; to reach this machine write host: host.mayfly.internal, with its ports",
		`{host: "*.localhost"}`:               "to reach this machine write host: host.mayfly.internal",
		`{host: hots.mayfly.internal}`:        "host.mayfly.internal is the only name below mayfly.internal; to reach this machine write host: host.mayfly.internal",
		`{cidr: 127.0.0.0/8}`:                 "127.0.0.0/8 has only loopback destinations, which no rule opens; to reach this machine write host: host.mayfly.internal",
		`{host: "::1"}`:                       "::1 is a loopback destination, which no rule opens; to reach this machine",
		`{cidr: 169.254.0.0/16, dns: [corp]}`: "169.254.0.0/16 has only link-local destinations, which no rule opens; correct or remove the rule",
		`{host: host.docker.internal}`:        "host.docker.internal is Docker's and podman's name for this machine; to reach this machine write host: host.mayfly.internal",
		`{host: host.containers.internal}`:    "to reach this machine write host: host.mayfly.internal",
		`{host: host.mayfly.internal}`:        "",
		`{dns: [localhost]}`:                  "",
		`{host: "*.example.co.uk"}`:           "",
		`{host: co.uk}`:                       "", // one name, which has one owner
		`{host: "*.corp"}`:                    "",
		`{host: "*.internal"}`:                "",
		`{cidr: 192.0.2.0/24, dns: [a.corp]}`: "",
		`{dns: [10.in-addr.arpa]}`:            "",
		`{host: 192.0.2.1}`:                   "",
	} {
		parsed, err := Parse("tool.yaml", []byte("image: alpine\nnetwork:\n  - "+rule+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, w := range parsed.Warnings() {
			got = append(got, w.String())
		}
		switch {
		case want == "" && got != nil:
			t.Errorf("%s: got %q, want no warning", rule, got)
		case want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], "tool.yaml:3:5: ") || !strings.Contains(got[0], want)):
			t.Errorf("%s: got %q, want one warning with %q", rule, got, want)
		}
	}
	if w := (&Tool{}).Warnings(); w != nil {
		t.Errorf("a tool without rules: got %v, want no warnings", w)
	}
}
