package shape

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mayfly-run/mayfly/internal/lazyregexp"
	"go.yaml.in/yaml/v3"
)

// coreTags are those of YAML 1.2's core schema, which say what a value is in any case.
func coreTags() []string {
	return []string{"!!str", "!!int", "!!float", "!!bool", "!!null", "!!seq", "!!map"}
}

// checkTag reports a tag that isn't of the core schema. The parser drops the tag "!" (YAML 1.2.2, section 6.9.1) and
// takes "! x" for "x", so that one is looked for in the file: dropped, it would make a condition its own opposite.
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

// asText makes text of a scalar whose tag has been reported, so that one mistake is one message.
func asText(n *yaml.Node, text string) {
	if n.Kind == yaml.ScalarNode {
		n.Tag, n.Style, n.Value = "!!str", yaml.SingleQuotedStyle, text
	}
}

// place is where a node begins: a line and a column, from 1.
type place struct{ line, column int }

// bang matches the start of a node with a tag, alone or after an anchor.
var bang = lazyregexp.New(`(?:&[^\s,\[\]{}]+[ \t]+)?!`)

// bangs returns the places of all matches, also those in text.
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

// singleQuoted is text as YAML has it in single quotes, shortened.
func singleQuoted(s string) string { return "'" + strings.ReplaceAll(Brief(s), "'", "''") + "'" }
