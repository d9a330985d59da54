package shape

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mayfly-run/mayfly/internal/lazyregexp"
	"go.yaml.in/yaml/v3"
)

// coreTags returns the tags of YAML 1.2's core schema, which only name the type that a value has.
func coreTags() []string {
	return []string{"!!str", "!!int", "!!float", "!!bool", "!!null", "!!seq", "!!map"}
}

// checkTag reports a tag that isn't part of the core schema. The parser drops the tag "!" (YAML 1.2.2, section 6.9.1) and
// reads "! x" as "x", so checkTag searches the file for that tag: without it, a condition would mean its opposite.
func (w *walker) checkTag(n *yaml.Node) {
	switch {
	case n.Style&yaml.TaggedStyle == 0:
		if n.Kind != yaml.AliasNode && w.bangs[place{n.Line, n.Column}] {
			w.Report(n, `text that begins with "!" must be in quotes: YAML reads an unquoted "!" as a tag`,
				"write "+singleQuoted("!"+n.Value))
		}
	case slices.Contains(coreTags(), n.ShortTag()):
	case strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") && n.Kind == yaml.ScalarNode:
		text := strings.TrimSpace(n.Tag + " " + n.Value)
		w.Report(n, fmt.Sprintf("the tag %s is not supported", Quote(n.Tag)), "if it is text, put it in quotes: "+singleQuoted(text))
		asText(n, text)
	default:
		w.Report(n, fmt.Sprintf("the tag %s is not supported", Quote(n.Tag)), "leave it out, or put text in quotes")
		asText(n, n.Value)
	}
}

// asText turns a scalar whose tag has been reported into text, so that one mistake causes one message.
func asText(n *yaml.Node, text string) {
	if n.Kind == yaml.ScalarNode {
		n.Tag, n.Style, n.Value = "!!str", yaml.SingleQuotedStyle, text
	}
}

// place is the line and column where a node begins, counted from 1.
type place struct{ line, column int }

// bang matches the start of a node with a tag, with or without an anchor before it.
var bang = lazyregexp.New(`(?:&[^\s,\[\]{}]+[ \t]+)?!`)

// bangs returns the places of all matches, including those inside text.
func bangs(lines []string) map[place]bool {
	found := map[place]bool{}
	for i, line := range lines {
		column, last := 1, 0
		for _, at := range bang().FindAllStringIndex(line, -1) {
			column += utf8.RuneCountInString(line[last:at[0]])
			last = at[0]
			found[place{i + 1, column}] = true
		}
	}
	return found
}

// singleQuoted returns a text in YAML's single quotes, shortened.
func singleQuoted(s string) string { return "'" + strings.ReplaceAll(Brief(s), "'", "''") + "'" }
