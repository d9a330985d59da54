package policy

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// pattern checks a pattern of what has names.
func pattern(what string) func(string) (wrong, hint string) {
	return func(s string) (wrong, hint string) {
		if _, err := path.Match(s, ""); err != nil || strings.TrimSpace(s) == "" {
			return "is not a pattern of " + what, "write a name, or a part of it with *, such as db-*"
		}
		return "", ""
	}
}

func secretsShape() shape.Shape[map[string][]string] {
	return shape.Map(shape.List("a secret", shape.Text(nil, pattern("secrets"))), nil, pattern("tools"), "a tool")
}

// For returns the policy for a tool that is known by another name than the one in its definition, which whoever wrote that has chosen. A
// definition without a name that can be trusted has "", which only the pattern * matches.
func (p *Policy) For(name string) *Policy {
	if p == nil {
		return nil
	}
	out := *p
	out.tool = &name
	return &out
}

// Given returns the policy for a run that was given these secrets by whoever asked for it. The policy has rules about the secrets that
// are kept, and these aren't.
func (p *Policy) Given(secrets []string) *Policy {
	if p == nil || len(secrets) == 0 {
		return p
	}
	out := *p
	out.given = secrets
	return &out
}

// checkSecrets refuses a tool that uses secrets which the policy doesn't name for it.
func (p *Policy) checkSecrets(t *tool.Tool) error {
	if p.secrets == nil {
		return nil
	}
	name, whom := t.Name, "the tool "+t.Name
	if p.tool != nil {
		name, whom = *p.tool, "the tool "+*p.tool
	}
	if name == "" {
		whom = "a definition that isn't a tool of the server"
	}
	var may []string
	for _, tools := range slices.Sorted(maps.Keys(p.secrets)) {
		if ok, _ := path.Match(tools, name); ok { // the pattern was checked
			may = append(may, p.secrets[tools]...)
		}
	}
	for _, secret := range t.SecretNames() {
		if slices.Contains(p.given, secret) {
			continue
		}
		if !slices.ContainsFunc(may, func(pattern string) bool { ok, _ := path.Match(pattern, secret); return ok }) {
			return &DeniedError{What: fmt.Sprintf("the secret %s for %s", secret, whom), Allows: allowsOnly(may), Policy: p.place("secrets")}
		}
	}
	return nil
}

// secretsText says for people which tools may use which secrets.
func (p *Policy) secretsText() string {
	if p.secrets == nil {
		return "any"
	}
	var list []string
	for _, tools := range slices.Sorted(maps.Keys(p.secrets)) {
		list = append(list, tools+" may use "+listOr(p.secrets[tools]))
	}
	return cmp.Or(strings.Join(list, "; "), "none")
}
