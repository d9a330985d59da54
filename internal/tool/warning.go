package tool

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/shape"
)

// Warnings returns warnings about things that run but are probably mistakes: rules that open nothing, names that anyone can
// register, the path of a script in place of its text, secrets inside other text, and text for another program.
func (t *Tool) Warnings() []shape.Problem {
	found := slices.Concat(t.scriptWarnings(), t.secretWarnings(), t.elsewhereWarnings(), t.ruleWarnings())
	if found == nil {
		return nil
	}
	return shape.NewError(found).Problems
}

// scriptWarnings returns a warning about a script that is only the path of a file on this machine.
func (t *Tool) scriptWarnings() []shape.Problem {
	if t.Script == nil || t.Script.File != "" || t.Source.Dir == "" {
		return nil
	}
	text := strings.TrimSpace(t.Script.Text)
	name := path.Clean(text)
	file := name
	if !path.IsAbs(name) {
		file = filepath.Join(t.Source.Dir, name)
	}
	if t.Source.Sent && !filepath.IsLocal(name) {
		return nil
	}
	if strings.ContainsAny(name, " \t\n") || path.IsAbs(name) && ofImages(name) || !shape.IsFile(file) {
		return nil
	}
	if slices.ContainsFunc(t.Volumes, func(v Volume) bool { return v.File != "" }) {
		return nil // the file may be mounted where the script expects it
	}
	if !filepath.IsLocal(name) {
		return []shape.Problem{{
			Position: t.Script.Position,
			Text:     fmt.Sprintf("script: %s is the text of a script; the file at that path on this machine isn't in the sandbox", shape.Quote(text)),
			Hint:     fmt.Sprintf("to run the file, keep it in this file's folder, %s, and write script: {file: %s}", t.Source.Dir, path.Base(name)),
		}}
	}
	return []shape.Problem{{
		Position: t.Script.Position,
		Text:     fmt.Sprintf("script: %s is the text of a script; a file of that name is beside this one, but it isn't in the sandbox", shape.Quote(text)),
		Hint:     fmt.Sprintf("to run the file write script: {file: %s}", name),
	}}
}

// ofImages reports whether a path is in a folder where images have programs (the Filesystem Hierarchy Standard, 3.0). A
// script that is such a path runs the image's program.
func ofImages(name string) bool {
	root, _, _ := strings.Cut(name[1:], "/")
	return slices.Contains([]string{"bin", "sbin", "lib", "lib64", "usr", "opt", "etc", "app"}, root) || path.Dir(name) == "/"
}

// secretWarnings returns warnings about /secrets/NAME inside a longer value, which stays text.
func (t *Tool) secretWarnings() []shape.Problem {
	var found []shape.Problem
	for _, e := range t.Environment {
		_, after, inside := strings.Cut(e.Value, SecretsDir+"/")
		if !inside {
			continue
		}
		name := after[:len(after)-len(strings.TrimLeft(after, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."))]
		at := SecretsDir + "/" + name
		mounted := slices.ContainsFunc(t.Volumes, func(v Volume) bool { return v.MountPath == at || strings.HasPrefix(v.MountPath, at+"/") })
		if name == "" || e.Value == SecretsDir+"/"+name || mounted {
			continue
		}
		found = append(found, shape.Problem{
			Position: e.Position,
			Text:     fmt.Sprintf("variable %s: %s/%s inside a longer value stays text, and nothing is mounted there", e.Name, SecretsDir, name),
			Hint:     fmt.Sprintf("give the secret its own variable, X=%s/%s, and build the value in the command or the script; or mount it: volumes: [{name: %s, secret: %s}]", SecretsDir, name, name, name),
		})
	}
	return found
}

func (t *Tool) ruleWarnings() []shape.Problem {
	if t.Network == nil {
		return nil
	}
	var found []shape.Problem
	for i, r := range t.Network.Egress {
		if i >= len(t.EgressAt) {
			break
		}
		if dead := r.Dead(); dead != nil {
			found = append(found, deadRule(t.EgressAt[i], dead))
		}
		if domain, wild := strings.CutPrefix(r.Host, "*."); wild && isPublicSuffix(domain) {
			found = append(found, shape.Problem{
				Position: t.EgressAt[i],
				Text:     fmt.Sprintf("host %s: anyone can register a name below %s, which is a public suffix", shape.Quote(r.Host), domain),
				Hint:     "name the hosts, or the domain of one owner",
			})
		}
		for _, suffix := range r.DNS {
			if isPublicSuffix(suffix) {
				found = append(found, shape.Problem{
					Position: t.EgressAt[i],
					Text:     fmt.Sprintf("dns %s: anyone can register a zone below %s, which is a public suffix, and read the questions in it", shape.Quote(suffix), suffix),
					Hint:     "name the domain of one owner",
				})
			}
		}
	}
	return found
}

// HostWarnings returns warnings about names on a platform that many sites share, where other sites may answer at the same addresses.
func (t *Tool) HostWarnings() []shape.Problem {
	if t.Network == nil {
		return nil
	}
	var found []shape.Problem
	for i, r := range t.Network.Egress {
		name, wild := strings.CutPrefix(r.Host, "*.")
		suffix, icann := publicsuffix.PublicSuffix(name)
		// The list's other section has the suffixes under which customers of a hosting provider have names.
		if i >= len(t.EgressAt) || !r.ByName() || icann || !strings.Contains(suffix, ".") || wild && name == suffix {
			continue
		}
		found = append(found, shape.Problem{
			Position: t.EgressAt[i],
			Text:     fmt.Sprintf("host %s: other sites of %s may answer at the same addresses, which the rule opens", shape.Quote(r.Host), suffix),
			Hint:     "don't give the tool a secret that those sites must not have, or name a host that shares no address",
		})
	}
	if found == nil {
		return nil
	}
	return shape.NewError(found).Problems
}

// deadRule returns the warning about a rule that opens nothing.
func deadRule(at shape.Position, dead *network.Dead) shape.Problem {
	hint := "correct or remove the rule"
	if dead.Machine {
		hint = "to reach this machine write host: " + network.HostName + ", with its ports; the sandbox itself needs no rule"
	}
	return shape.Problem{Position: at, Text: "this rule opens no destination: " + dead.Why, Hint: hint}
}

// isPublicSuffix reports whether anyone can register names directly below the domain (https://publicsuffix.org/list): a
// registry's, such as co.uk, or a hosting provider's, such as github.io. A top-level domain that isn't on the list has one
// owner, such as corp.
func isPublicSuffix(domain string) bool {
	suffix, icann := publicsuffix.PublicSuffix(domain)
	return suffix == domain && (icann || strings.Contains(suffix, "."))
}
