package shape

import (
	"strings"

	"github.com/mayfly-run/mayfly/internal/lazyregexp"
	"go.yaml.in/yaml/v3"
)

// This file finds what to write instead in a file that isn't YAML. The parser names the line before or after the wrong one,
// or the line where the mapping begins that contains it. So this code searches the lines for what people write that YAML
// reads as its own syntax.

// advise finds the wrong line, at or after the line before the one that the parser names, and says what to write there. Line
// numbers begin at 1. In the lines of block scalars, such as a script, only the indentation can be wrong.
func advise(lines []string, named int) (line int, hint string) {
	blocks := blockLines{blockFinder: blockFinder{block: -1}}
	var depth indents
	for i := 0; i < len(lines); i++ {
		text := strings.TrimRight(lines[i], " \t\r")
		near, lost := i <= named, blocks.lost
		if !near && lost {
			break
		}
		inside, hint := blocks.check(text)
		wrong := i
		if !inside && hint == "" {
			wrong, hint = depth.check(i, text)
		}
		if hint != "" && !lost && i >= named-1 {
			return wrong + 1, hint
		}
		if inside {
			continue
		}
		after, wrong, hint, ok := i+1, i, "", true
		if value, least := flowIn(text); value != "" && !lost {
			if after, wrong, hint, ok = adviseFlow(lines, i, value, least); ok {
				blocks.lost = false // the collection has been read
			}
		} else if value := quotesIn(text); value != "" && !lost {
			if q := readQuotes(lines, i, value, "#"); q.hint == "" {
				after, blocks.lost = q.end+1, false
			} else if q.end == len(lines) {
				return q.wrong + 1, q.hint
			}
		}
		switch {
		case after < named-1:
		case (near || blocks.left) && strings.HasPrefix(strings.TrimLeft(text, " "), "\t"):
			return i + 1, "indent with spaces, not tabs"
		case hint != "":
			return wrong + 1, hint
		case i >= named-2:
			if wrong, hint := adviceFor(lines, i, text); hint != "" {
				return wrong + 1, hint
			}
		}
		if ok {
			i = after - 1
		}
	}
	return named, ""
}

// keyed matches a line with a key and a value, or a list item.
var keyed = lazyregexp.New(`^ *(?:- +)*(?:[A-Za-z_][A-Za-z0-9_.-]*:(?: +|$)|- +)(.*)$`)

// flowIn returns the flow collection that begins in a line, and the column that its further lines must be indented beyond.
func flowIn(line string) (value string, least int) {
	least = len(line) - len(strings.TrimLeft(line, " "))
	value = strings.TrimLeft(line, " ")
	if m := keyed().FindStringSubmatch(line); m != nil {
		value = m[1]
	} else {
		least = -1
	}
	if value == "" || value[0] != '[' && value[0] != '{' {
		return "", 0
	}
	return value, least
}

const (
	quotesEnd     = "the quotes end before the text does; put all of it in quotes: "
	bareReference = `between brackets a reference must be in quotes: "${…}"`
)

// adviceFor says what is wrong with the value in a line. text is the line without the spaces at its end.
func adviceFor(lines []string, line int, text string) (wrong int, hint string) {
	if value := quotesIn(text); value != "" {
		q := readQuotes(lines, line, value, "#")
		if q.hint == quotesEnd {
			q.hint += singleQuoted(value)
		}
		return q.wrong, q.hint
	}
	return line, adviceForPlain(text)
}

// adviceForPlain says what is wrong with a value that isn't in quotes, or with the beginning of a key.
func adviceForPlain(text string) (hint string) {
	m := keyed().FindStringSubmatch(text)
	if m == nil {
		key := strings.TrimLeft(text, " ")
		if hint := badEscape(key); hint != "" {
			return hint
		}
		return beginning(key[:max(keyEnd(key), 0)])
	}
	value := m[1]
	if value == "" {
		return ""
	}
	switch value[0] {
	case '|', '>':
		if at := blockHeader().FindStringIndex(value); at == nil || at[0] > 0 {
			return "what follows " + Quote(value[:1]) + " must be on the next lines, indented"
		}
	case '&', '{', '[':
	default:
		if hint := beginning(value); hint != "" {
			return hint
		}
		if strings.HasPrefix(value, "- ") {
			return "write a list between brackets, [a, b], or each item on its own line"
		}
		text, _, _ := strings.Cut(value, " #")
		if strings.Contains(text, ": ") || strings.HasSuffix(text, ":") {
			return `a text with ": " in it must be in quotes: ` + singleQuoted(value)
		}
	}
	return ""
}

// beginning says what is wrong with the first characters of a text without quotes.
func beginning(text string) string {
	if text == "" {
		return ""
	}
	switch text[0] {
	case '!':
		if strings.HasPrefix(text, "!!") {
			return ""
		}
	case '*': // an alias has a name
		if len(text) > 1 && (IsAlnum(text[1]) || text[1] == '_' || text[1] == '-') {
			return ""
		}
	case '?':
		if !strings.HasPrefix(text, "? ") {
			return ""
		}
	case '%', '@', '`', ',', ']', '}':
	default:
		return ""
	}
	return mustBeQuoted(text)
}

func mustBeQuoted(text string) string {
	return "a text that begins with " + Quote(text[:1]) + " must be in quotes: " + singleQuoted(text)
}

// template says what to write for a template's text, {{ x }}, which YAML reads as a mapping that is the key of another mapping.
func (d *Decoder) template(key *yaml.Node) (hint string) {
	if key.Kind != yaml.MappingNode || key.Line < 1 || key.Line > len(d.lines) {
		return ""
	}
	line := []rune(d.lines[key.Line-1])
	if key.Column < 2 || key.Column > len(line) {
		return ""
	}
	text, _, closed := strings.Cut(string(line[key.Column-2:]), "}}")
	if !closed || !strings.HasPrefix(text, "{{") {
		return ""
	}
	return mustBeQuoted(text + "}}")
}

// CutOff reports whether an unquoted value lost its end to a comment inside quotes.
func (d *Decoder) CutOff(n *yaml.Node) bool {
	if n.Style != 0 || n.Line < 1 || n.Line > len(d.lines) {
		return false
	}
	_, after, found := strings.Cut(d.lines[n.Line-1], n.Value)
	return found && strings.HasPrefix(strings.TrimLeft(after, " "), "#") && strings.Count(n.Value, `"`)%2+strings.Count(n.Value, "'")%2 > 0
}
