package definition

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// Warnings returns the warnings of the tool or the workflow.
func (d *Definition) Warnings() []shape.Problem {
	if d.Workflow != nil {
		return d.Workflow.Warnings()
	}
	return d.Tool.Warnings()
}

// HostWarnings returns the warnings of [Definition.Warnings], and those about names on a platform that many sites share.
// These are for the author of the rules: opening such names may be intended.
func (d *Definition) HostWarnings() []shape.Problem {
	found := d.Warnings()
	for _, t := range d.tools() {
		found = append(found, t.HostWarnings()...)
	}
	return found
}

// OpensHosts reports whether a rule names a host by name, other than this machine.
func (d *Definition) OpensHosts() bool {
	return slices.ContainsFunc(d.tools(), func(t *tool.Tool) bool {
		return t.Network != nil && slices.ContainsFunc(t.Network.Egress, network.Rule.ByName)
	})
}

// tools returns the tool, or the tools of the workflow that are resolved, without repeats.
func (d *Definition) tools() []*tool.Tool {
	if d.Workflow != nil {
		return d.Workflow.tools()
	}
	return []*tool.Tool{d.Tool}
}

// Warnings returns the warnings of the workflow and of its tools that are resolved.
func (w *Workflow) Warnings() []shape.Problem {
	found := w.elsewhereWarnings()
	for _, t := range w.tools() {
		found = append(found, t.Warnings()...)
	}
	return found
}

func (w *Workflow) tools() []*tool.Tool {
	var all []*tool.Tool
	seen := map[shape.Position]bool{}
	for _, steps := range [][]Step{w.Steps, w.Finally} {
		for _, s := range steps {
			if t := s.Uses.Tool; t != nil && !seen[t.Source.Position] {
				seen[t.Source.Position] = true
				all = append(all, t)
			}
		}
	}
	return all
}

// elsewhereWarnings returns warnings about texts of a workflow that have a meaning only in a tool.
func (w *Workflow) elsewhereWarnings() []shape.Problem {
	var found []shape.Problem
	look := func(at shape.Position, what string, value any, tools ...*tool.Tool) {
		template, _ := value.(Template)
		if len(template.Parts) != 1 {
			return
		}
		text := template.Parts[0].Text
		name, isPath := strings.CutPrefix(text, tool.SecretsDir+"/")
		if isPath && tool.ValidSecretName(name) && !slices.ContainsFunc(tools, func(t *tool.Tool) bool { return t.Mounts(text) }) {
			found = append(found, shape.Problem{Position: at, Text: fmt.Sprintf("%s: %s is plain text here: only a tool's own environment can name a secret", what, text), Hint: "write it in the environment of the step's tool"})
		}
	}
	for _, v := range w.Environment {
		look(v.Position, "variable "+v.Name, v.Value, w.tools()...)
	}
	for _, s := range slices.Concat(w.Steps, w.Finally) {
		for _, v := range s.Environment {
			look(v.Position, "variable "+v.Name, v.Value, s.Uses.Tool)
		}
		for _, in := range s.Inputs {
			look(in.Position, "input "+in.Name, in.Value, s.Uses.Tool)
		}
	}
	return found
}
