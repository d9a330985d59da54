package policy

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/network"
)

// TestSecretsByTool has tools with secrets that a policy names, and doesn't name, for them.
func TestSecretsByTool(t *testing.T) {
	p := mustPolicy(t, "max: {cpu: 4}\nsecrets:\n  backup: [db, s3-*]\n  web-*: [cookie]\n  '*': [ca]\n")
	for _, c := range []struct{ name, known, secret, want string }{
		{"backup", "backup", "db", ""},
		{"backup", "backup", "s3-key", ""},
		{"backup", "backup", "ca", ""},
		{"web-1", "web-1", "cookie", ""},
		{"other", "other", "ca", ""},
		{"other", "other", "db", "the secret db for the tool other: it allows only ca (policy.yaml:2:1)"},
		{"backup", "backup", "cookie", "the secret cookie for the tool backup"},
		{"backup", "other", "db", "the secret db for the tool other"},
		{"other", "backup", "db", ""},
		{"backup", "", "db", "the secret db for a definition that isn't a tool of the server: it allows only ca"},
		{"backup", "", "ca", ""},
	} {
		text := "name: " + c.name + "\nvolumes: [{name: a, secret: " + c.secret + "}]"
		_, err := p.For(c.known).Apply(parseTool(t, text))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v", c, err)
		}
		if c.name == c.known {
			if _, own := p.Apply(parseTool(t, text)); (own == nil) != (err == nil) {
				t.Errorf("%+v by the name in its definition: %v", c, own)
			}
		}
	}
	if _, err := mustPolicy(t, "secrets: {}").Apply(parseTool(t, "volumes: [{name: a, secret: s}]")); err == nil || !strings.Contains(err.Error(), "it allows none") {
		t.Errorf("no secrets: %v", err)
	}
	if _, err := parse("policy.yaml", []byte("secrets: {'[': [a]}")); err == nil || !strings.Contains(err.Error(), `policy.yaml:1:11: a tool "[" is not a pattern of tools`) {
		t.Errorf("a wrong pattern: %v", err)
	}
}

// TestSeveral has the policies of a host and of a project together: each is enforced, whichever comes first.
func TestSeveral(t *testing.T) {
	const loose, strict = "", "networks: [none]\nmax: {memory: 64Mi}"
	for _, c := range []struct {
		name, host, project, tool string
		want, of                  string // part of the error, or empty
	}{
		{"the project's maximum", loose, strict, "network: none\nresources: {memory: 1Gi}", "memory 1Gi: at most 64Mi is allowed (policy.yaml:2:7)", "the project a"},
		{"the host's maximum", strict, loose, "network: none\nresources: {memory: 1Gi}", "memory 1Gi: at most 64Mi", ""},
		{"both networks", "networks: [none, public]", "networks: [none, list]", "network: public", "network public: it allows only none, list", "the project a"},
		{"a capability of the project", "", "capabilities: [SYS_PTRACE]", "security: {capabilities: [SYS_PTRACE]}", "capability SYS_PTRACE", ""},
		{"a capability that the host allows", "capabilities: [SYS_PTRACE]", "", "security: {capabilities: [SYS_PTRACE]}", "capability SYS_PTRACE", "the project a"},
		{"a capability that both allow", "capabilities: [SYS_PTRACE]", "capabilities: [SYS_PTRACE]", "security: {capabilities: [SYS_PTRACE]}", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			project, err := Parse("the project a", "policy.yaml", []byte(c.project))
			if err != nil {
				t.Fatal(err)
			}
			_, err = mustPolicy(t, c.host).With(project).Apply(parseTool(t, c.tool))
			var denied *DeniedError
			if c.want == "" && err != nil || c.want != "" && (!errors.As(err, &denied) || !strings.Contains(err.Error(), c.want) || denied.Of != c.of) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if c.of != "" && (!strings.HasPrefix(err.Error(), "the policy of the project a refuses ") || !strings.HasSuffix(err.Error(), "ask the server's operator to change the policy")) {
				t.Errorf("got %v", err)
			}
		})
	}
	project := mustPolicy(t, "capabilities: [SYS_PTRACE]")
	if _, err := (*Policy)(nil).With(project).Apply(parseTool(t, "security: {capabilities: [SYS_PTRACE]}")); err == nil {
		t.Error("a project's policy widens that of a host without one")
	}
	if p := mustPolicy(t, strict); p.With(nil) != p {
		t.Error("no second policy makes another one")
	}
}

// TestSeveralDefaults: a tool that sets nothing has the stricter one of two defaults, within both maxima.
func TestSeveralDefaults(t *testing.T) {
	const a, b = "defaults: {memory: 256Mi, cpu: 3, network: none, timeout: 1m}\nmax: {pids: 100}",
		"defaults: {memory: 1Gi, timeout: 2m, network: public}\nmax: {cpu: 2, nofile: 500, memory: 2Gi}"
	for _, both := range []*Policy{mustPolicy(t, a).With(mustPolicy(t, b)), mustPolicy(t, b).With(mustPolicy(t, a))} {
		got, err := both.Apply(parseTool(t, "name: t"))
		if err != nil {
			t.Fatal(err)
		}
		r := got.Resources
		if r.Memory != 256<<20 || r.CPU != 2000 || r.PIDs != 100 || got.Timeout != time.Minute || got.Network.Mode != network.ModeNone {
			t.Errorf("got %+v, %s, %+v", r, got.Timeout, got.Network)
		}
		set, err := both.Apply(parseTool(t, "name: t\nresources: {memory: 2Gi}\nnetwork: public"))
		if err != nil || set.Resources.Memory != 2<<30 || set.Network.Mode != network.ModePublic {
			t.Errorf("what the tool sets: %+v, %v", set, err)
		}
	}
}
