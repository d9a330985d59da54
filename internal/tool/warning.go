package tool

import (
	"fmt"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/mayfly-run/mayfly/internal/network"
)

// Warnings are for what runs but is probably a mistake: rules that open nothing, and names which anybody can have.
func (t *Tool) Warnings() []Problem {
	if t.Network == nil {
		return nil
	}
	var found []Problem
	for i, r := range t.Network.Egress {
		if i >= len(t.EgressAt) {
			break
		}
		if dead := r.Dead(); dead != nil {
			found = append(found, deadRule(t.EgressAt[i], dead))
		}
		if domain, wild := strings.CutPrefix(r.Host, "*."); wild && isPublicSuffix(domain) {
			found = append(found, Problem{
				Position: t.EgressAt[i],
				Text:     fmt.Sprintf("host %s: anybody can have a name below %s, which is a public suffix", quote(r.Host), domain),
				Hint:     "name the hosts, or the domain of one owner",
			})
		}
		for _, suffix := range r.DNS {
			if isPublicSuffix(suffix) {
				found = append(found, Problem{
					Position: t.EgressAt[i],
					Text:     fmt.Sprintf("dns %s: anybody can have a zone below %s, which is a public suffix, and read in it what is asked", quote(suffix), suffix),
					Hint:     "name the domain of one owner",
				})
			}
		}
	}
	if found == nil {
		return nil
	}
	return newError(found).Problems
}

// Warnings are those of the tool or the workflow.
func (d *Definition) Warnings() []Problem {
	if d.Workflow != nil {
		return d.Workflow.Warnings()
	}
	return d.Tool.Warnings()
}

// deadRule is the warning of a rule that opens nothing.
func deadRule(at Position, dead *network.Dead) Problem {
	hint := "correct or remove the rule"
	if dead.Machine {
		hint = "to reach this machine write host: " + network.HostName + ", with its ports; the sandbox itself needs no rule"
	}
	return Problem{Position: at, Text: "this rule opens no destination: " + dead.Why, Hint: hint}
}

// Warnings are those of the workflow's tools, as far as it is resolved; each tool's once.
func (w *Workflow) Warnings() []Problem {
	var found []Problem
	seen := map[Position]bool{}
	for _, steps := range [][]Step{w.Steps, w.Finally} {
		for _, s := range steps {
			if t := s.Uses.Tool; t != nil && !seen[t.Source.Position] {
				seen[t.Source.Position] = true
				found = append(found, t.Warnings()...)
			}
		}
	}
	return found
}

// isPublicSuffix reports whether names are registered right below the domain (https://publicsuffix.org/list): a registry's,
// as co.uk, or a hoster's, as github.io. A top-level domain that isn't on the list is somebody's own, as corp is.
func isPublicSuffix(domain string) bool {
	suffix, icann := publicsuffix.PublicSuffix(domain)
	return suffix == domain && (icann || strings.Contains(suffix, "."))
}
