package tool

import (
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// This file says what to write where a file isn't YAML. The parser names the line before or after, or the one where the
// mapping begins that the wrong line is in, so lines are looked at for what people write that YAML takes for its own.

// advise finds the line that is wrong, from the one before the line that the parser names, and says what to write there.
// Lines count from 1.
// Lines of block scalars, such as those of a script, are never wrong.
func advise(lines []string, named int) (line int, hint string) {
	blocks := blockFinder{block: -1}
	for i, text := range lines {
		text = strings.TrimRight(text, "\r")
		near := i <= named
		if !near && blocks.lost {
			break
		}
		if blocks.inside(text) || i < named-2 {
			continue
		}
		if near && strings.HasPrefix(strings.TrimLeft(text, " "), "\t") {
			return i + 1, "indent with spaces, not tabs"
		}
		if hint := adviceFor(text); hint != "" {
			return i + 1, hint
		}
	}
	return named, ""
}

// keyed matches a line with a key and a value, or a list item.
var keyed = regexp.MustCompile(`^ *(?:- +)*(?:[A-Za-z_][A-Za-z0-9_.-]*:(?: +|$)|- +)(.*)$`)

func adviceFor(line string) string {
	m := keyed.FindStringSubmatch(strings.TrimRight(line, " \t\r"))
	if m == nil || m[1] == "" {
		return ""
	}
	value := m[1]
	switch value[0] {
	case '\'', '"':
		end := quotedLength(value)
		rest := strings.TrimLeft(value[max(end, 0):], " ")
		if end > 0 && rest != "" && rest[0] != '#' {
			return "the quotes end before the text does; put all of it in quotes: " + singleQuoted(value)
		}
	case '!':
		if !strings.HasPrefix(value, "!!") {
			return `a text that begins with "!" must be in quotes: ` + singleQuoted(value)
		}
	case '%', '@', '`':
		return "a text that begins with " + quote(value[:1]) + " must be in quotes: " + singleQuoted(value)
	case '{', '[':
		if bare.MatchString(value) {
			return `between brackets a reference must be in quotes: "${…}"`
		}
	case '|', '>', '&', '*':
	default:
		text, _, _ := strings.Cut(value, " #")
		if strings.Contains(text, ": ") || strings.HasSuffix(text, ":") {
			return `a text with ": " in it must be in quotes: ` + singleQuoted(value)
		}
	}
	return ""
}

// bare is a reference in a flow collection without quotes around it.
var bare = regexp.MustCompile(`[\[{,:] *\$\{`)

// cut reports whether an unquoted value lost its end to a comment inside quotes.
func (d *decoder) cut(n *yaml.Node) bool {
	if n.Style != 0 || n.Line < 1 || n.Line > len(d.lines) {
		return false
	}
	_, after, found := strings.Cut(d.lines[n.Line-1], n.Value)
	return found && strings.HasPrefix(strings.TrimLeft(after, " "), "#") && strings.Count(n.Value, `"`)%2+strings.Count(n.Value, "'")%2 > 0
}
