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
	var depth indents
	for i := 0; i < len(lines); i++ {
		text := strings.TrimRight(lines[i], " \t\r")
		near, lost := i <= named, blocks.lost
		if !near && lost {
			break
		}
		if blocks.inside(text) {
			continue
		}
		if hint := depth.check(i, text); hint != "" && !lost && i >= named-1 {
			return i + 1, hint
		}
		after, wrong, hint, ok := i+1, i, "", true
		if value, least := flowIn(text); value != "" && !lost {
			if after, wrong, hint, ok = adviseFlow(lines, i, value, least); ok {
				blocks.lost = false // it has been read
			}
		}
		switch {
		case after < named-1:
		case near && strings.HasPrefix(strings.TrimLeft(text, " "), "\t"):
			return i + 1, "indent with spaces, not tabs"
		case hint != "":
			return wrong + 1, hint
		case i >= named-2:
			if hint := adviceFor(text); hint != "" {
				return i + 1, hint
			}
		}
		if ok {
			i = after - 1
		}
	}
	return named, ""
}

// keyed matches a line with a key and a value, or a list item.
var keyed = regexp.MustCompile(`^ *(?:- +)*(?:[A-Za-z_][A-Za-z0-9_.-]*:(?: +|$)|- +)(.*)$`)

// flowIn is the flow collection that begins in a line, and the column that its further lines are indented beyond.
func flowIn(line string) (value string, least int) {
	least = len(line) - len(strings.TrimLeft(line, " "))
	value = strings.TrimLeft(line, " ")
	if m := keyed.FindStringSubmatch(line); m != nil {
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

func adviceFor(line string) string {
	m := keyed.FindStringSubmatch(line)
	if m == nil || m[1] == "" {
		return ""
	}
	value := m[1]
	switch value[0] {
	case '\'', '"':
		end := quotedLength(value)
		rest := strings.TrimLeft(value[max(end, 0):], " ")
		if end > 0 && rest != "" && rest[0] != '#' {
			return quotesEnd + singleQuoted(value)
		}
	case '|', '>', '&', '{', '[':
	default:
		if hint := beginning(value); hint != "" {
			return hint
		}
		text, _, _ := strings.Cut(value, " #")
		if strings.Contains(text, ": ") || strings.HasSuffix(text, ":") {
			return `a text with ": " in it must be in quotes: ` + singleQuoted(value)
		}
	}
	return ""
}

// beginning says what is wrong with how a text without quotes begins.
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
		if len(text) > 1 && (isAlnum(text[1]) || text[1] == '_' || text[1] == '-') {
			return ""
		}
	case '%', '@', '`':
	default:
		return ""
	}
	return "a text that begins with " + quote(text[:1]) + " must be in quotes: " + singleQuoted(text)
}

// cut reports whether an unquoted value lost its end to a comment inside quotes.
func (d *decoder) cut(n *yaml.Node) bool {
	if n.Style != 0 || n.Line < 1 || n.Line > len(d.lines) {
		return false
	}
	_, after, found := strings.Cut(d.lines[n.Line-1], n.Value)
	return found && strings.HasPrefix(strings.TrimLeft(after, " "), "#") && strings.Count(n.Value, `"`)%2+strings.Count(n.Value, "'")%2 > 0
}
