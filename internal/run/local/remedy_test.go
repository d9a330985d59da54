package local

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/policy"
	"github.com/mayfly-run/mayfly/internal/run"
)

// TestRemedies: a remedy fits the tool's file, and the policy allows it.
func TestRemedies(t *testing.T) {
	const rule = `{host: "a.example", ports: [443]}`
	const list, add, none = "to allow it, list everything that the tool needs under network.egress, with " + rule, "to allow it, add to network.egress: " + rule, "the policy of this host allows no rule for it"
	for _, c := range []struct{ name, tool, policy, suggest, want string }{
		{"no list", "name: a", "", rule, list},
		{"a mode", "network: public", "", rule, list},
		{"a list", "network: [{host: b.example}]", "", rule, add},
		{"the policy's list", "name: a", "egress: [{host: b.example}, {host: a.example}]", rule, list},
		{"outside the policy's list", "network: [{host: b.example}]", "egress: [{host: b.example}]", rule, none},
		{"no lists", "network: public", "networks: [public]", rule, none},
		{"no rule", "name: a", "", "", ""},
		{"a masked rule", "name: a", "", `{host: "***.example"}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &execution{Runner: &Runner{Policy: policyOf(t, c.policy)}, req: &run.Request{Tool: parseTool(t, c.tool)}}
			if got := r.remedy(c.suggest); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestAdvise(t *testing.T) {
	const refused, etc, raise = "connect ECONNREFUSED 127.0.0.1:3000", "touch: /etc/x: Read-only file system", "raise timeout in the tool, or --timeout"
	const local, writable = "localhost is the sandbox itself; this machine is host.mayfly.internal, which a rule of network.egress opens",
		"the image's files are read-only unless the tool sets security: {read_only: false}; /tmp and home are writable"
	for _, c := range []struct {
		name, line, policy string
		status             run.State
		hint, want         string
	}{
		{"localhost", refused, "", run.Failed, "", local},
		{"localhost, and a timeout", refused, "", run.TimedOut, raise, raise + "; " + local},
		{"a timeout", "x", "", run.TimedOut, raise, raise},
		{"read-only", etc, "", run.Failed, "", writable},
		{"read-only by policy", etc, "read_only: true", run.Failed, "", ""},
		{"a hint already", refused, "", run.Failed, "raise resources.disk", "raise resources.disk"},
		{"nothing", "x", "", run.Failed, "", ""},
		{"a success", refused, "", run.Succeeded, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &execution{Runner: &Runner{Policy: policyOf(t, c.policy)}, req: &run.Request{Tool: parseTool(t, "name: a")}, result: run.Result{Status: c.status, Hint: c.hint}}
			r.advise(&engine.Spec{}, []string{c.line}, 1)
			if r.result.Hint != c.want {
				t.Errorf("got %q, want %q", r.result.Hint, c.want)
			}
		})
	}
}

func policyOf(t *testing.T, text string) *policy.Policy {
	t.Helper()
	if text == "" {
		return nil
	}
	file := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := policy.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
