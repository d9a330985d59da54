// Package graph draws the steps of a workflow and what each waits for: as text, and for Mermaid and Graphviz.
package graph

import (
	"fmt"
	"strings"

	"github.com/mayfly-run/mayfly/internal/workflow"
)

// label is what a step's box says besides its name.
func label(p *workflow.Plan, i int) string {
	step := p.Steps[i]
	var parts []string
	if step.ForEach != nil {
		parts = append(parts, "for each")
	}
	if step.Condition != nil {
		parts = append(parts, "if "+strings.Join(strings.Fields(step.Condition.Text), " "))
	}
	return strings.Join(parts, ", ")
}

// arrow is one "j before i", with the outputs that make it so.
type arrow struct {
	from, to int
	carries  string
}

// arrows are the edges of a plan without those that others imply (its transitive reduction), except those that carry outputs.
// The steps of finally follow all last steps.
func arrows(p *workflow.Plan) []arrow {
	var out []arrow
	finally := len(p.Workflow.Steps) // the index of its first step
	last := map[int]bool{}
	for i := range finally {
		last[i] = true
	}
	for i := range finally {
		for _, j := range p.Before(i) {
			carries := strings.Join(p.Carries(j, i), ", ")
			delete(last, j)
			if carries != "" || !p.Implied(j, i) {
				out = append(out, arrow{j, i, carries})
			}
		}
	}
	for i := finally; i < len(p.Steps); i++ {
		if i > finally {
			out = append(out, arrow{i - 1, i, ""})
			continue
		}
		for j := range finally {
			if last[j] {
				out = append(out, arrow{j, i, "finally"})
			}
		}
	}
	return out
}

// Mermaid returns a flowchart for Mermaid (mermaid.js.org, "Flowcharts").
func Mermaid(p *workflow.Plan) string {
	var b strings.Builder
	b.WriteString("flowchart TD\n")
	quoted := func(s string) string {
		return `"` + strings.NewReplacer("&", "&amp;", `"`, "&quot;", "<", "&lt;", ">", "&gt;", "\n", " ").Replace(s) + `"`
	}
	for i, s := range p.Steps {
		text := quoted(s.Name)
		if l := label(p, i); l != "" {
			text = strings.TrimSuffix(text, `"`) + "<br/>" + strings.Trim(quoted(l), `"`) + `"`
		}
		if s.Condition != nil {
			fmt.Fprintf(&b, "  s%d{{%s}}\n", i, text)
			continue
		}
		fmt.Fprintf(&b, "  s%d[%s]\n", i, text)
	}
	for _, a := range arrows(p) {
		if a.carries != "" {
			fmt.Fprintf(&b, "  s%d -->|%s| s%d\n", a.from, quoted(a.carries), a.to)
			continue
		}
		fmt.Fprintf(&b, "  s%d --> s%d\n", a.from, a.to)
	}
	return b.String()
}

// DOT returns a graph for Graphviz (graphviz.org, "DOT Language").
func DOT(p *workflow.Plan) string {
	var b strings.Builder
	quoted := func(s string) string {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", " ").Replace(s) + `"`
	}
	fmt.Fprintf(&b, "digraph %s {\n  node [shape=box, fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\", fontsize=10];\n", quoted(p.Workflow.Name))
	for i, s := range p.Steps {
		text := quoted(s.Name)
		if l := label(p, i); l != "" {
			text = strings.TrimSuffix(text, `"`) + `\n` + strings.TrimPrefix(quoted(l), `"`)
		}
		style := ""
		if i >= len(p.Workflow.Steps) {
			style = ", style=dashed"
		}
		fmt.Fprintf(&b, "  s%d [label=%s%s];\n", i, text, style)
	}
	for _, a := range arrows(p) {
		attributes := ""
		if a.carries != "" {
			attributes = " [label=" + quoted(a.carries) + "]"
		}
		fmt.Fprintf(&b, "  s%d -> s%d%s;\n", a.from, a.to, attributes)
	}
	b.WriteString("}\n")
	return b.String()
}

// Text returns the stages of a plan, one below the other: the steps of a stage start when the steps that they wait for, in the
// stages above, have ended.
//
//	release
//	│
//	├─ build-app
//	│
//	├─ run-tests  ← build-app (IMAGE_TAG)
//	├─ lint       ← build-app
//	│
//	└─ deploy-app  ← …
func Text(p *workflow.Plan) string {
	finally := len(p.Workflow.Steps) // the index of its first step
	from := map[int][]string{}
	for _, a := range arrows(p) {
		text := p.Steps[a.from].Name
		if a.to < finally && a.carries != "" {
			text += " (" + a.carries + ")"
		}
		from[a.to] = append(from[a.to], text)
	}
	var b strings.Builder
	b.WriteString(p.Workflow.Name + "\n")
	stages := p.Stages()
	for k, stage := range stages {
		width := 0
		for _, i := range stage {
			width = max(width, len(p.Steps[i].Name))
		}
		b.WriteString("│\n")
		for n, i := range stage {
			corner := "├─ "
			if k == len(stages)-1 && n == len(stage)-1 {
				corner = "└─ "
			}
			line := fmt.Sprintf("%-*s", width, p.Steps[i].Name)
			switch {
			case i >= finally:
				line += "  ← all others, however they ended"
			case len(from[i]) > 0:
				line += "  ← " + strings.Join(from[i], ", ")
			}
			if l := label(p, i); l != "" {
				line += "  [" + l + "]"
			}
			b.WriteString(corner + strings.TrimRight(line, " ") + "\n")
		}
	}
	return b.String()
}
