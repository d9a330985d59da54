package shape

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// checkEmpty reports a key whose value YAML reads as something else, so that the value is empty: an unquoted text that begins
// with "&" is an anchor, and one that begins with "#" is a comment (YAML 1.2.2, sections 6.6 and 6.9.2).
func (w *walker) checkEmpty(mapping *yaml.Node, i int) {
	key, value := mapping.Content[i], mapping.Content[i+1]
	if value.Kind != yaml.ScalarNode || value.Value != "" || value.ShortTag() != "!!null" {
		return
	}
	var text, is, otherwise string
	if value.Anchor != "" {
		text, is, otherwise = "&"+value.Anchor, "an anchor", "otherwise remove it"
	} else {
		comment, column := w.commentAfter(key, value, mapping.Style&yaml.FlowStyle != 0)
		if len(comment) < 2 || strings.ContainsAny(comment[1:2], " \t#") {
			return
		}
		text, is, otherwise = comment, "a comment", `if it is a comment, write a space after "#"`
		value.Line, value.Column = key.Line, column
	}
	w.Report(value, fmt.Sprintf("%s has no value: YAML reads %s as %s", Quote(Resolve(key).Value), Brief(text), is),
		fmt.Sprintf("if it is text, put it in quotes: %s; %s", singleQuoted(Brief(text)), otherwise))
	asText(value, text)
	if w.lost == nil {
		w.lost = map[*yaml.Node]bool{}
	}
	w.lost[value] = true
}

// commentAfter returns the comment that is written in place of a key's value, and its column. It looks in the file because
// the parser drops comments in flow mappings.
func (w *walker) commentAfter(key, value *yaml.Node, flow bool) (comment string, column int) {
	if key.Kind != yaml.ScalarNode || key.Line < 1 || key.Line > len(w.lines) {
		return "", 0
	}
	if flow && value.Line == key.Line {
		return "", 0 // the rest of this line ends the value; reading it for each of its keys would take quadratic time
	}
	line := []rune(strings.TrimRight(w.lines[key.Line-1], " \t\r"))
	if key.Column < 1 || key.Column > len(line) {
		return "", 0
	}
	rest := string(line[key.Column-1:])
	if key.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
		rest = rest[max(quotedLength(rest), 0):]
	} else {
		rest = strings.TrimPrefix(rest, key.Value)
	}
	rest, colon := strings.CutPrefix(strings.TrimLeft(rest, " \t"), ":")
	comment = strings.TrimLeft(rest, " \t")
	if !colon || !strings.HasPrefix(comment, "#") {
		return "", 0
	}
	return comment, len(line) - utf8.RuneCountInString(comment) + 1
}
