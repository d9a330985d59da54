package tool

import "strings"

// This file says what is wrong in a flow collection, [a, b] or {a: b} (YAML 1.2.2, chapter 7.4), of which the parser only
// names the line before it begins.

// flow reads a flow collection across lines.
type flow struct {
	lines []string
	line  int // index
	rest  string
	// least is the column that lines of the collection are indented beyond; -1 for a whole file.
	least  int
	open   []bracket
	hasKey bool   // the entry has a key already
	value  string // the rest of the line where the entry's value begins
}

type bracket struct {
	close byte
	line  int
}

// adviseFlow reads the flow collection that value, the end of a line, begins with. It returns the line after it, and the
// line that is wrong with what to write there, or no hint. ok is false where the collection can't be followed.
func adviseFlow(lines []string, line int, value string, least int) (after, wrong int, hint string, ok bool) {
	f := &flow{lines: lines, line: line, rest: value, least: least}
	for {
		f.rest = strings.TrimLeft(f.rest, " ")
		if f.rest == "" {
			if hint := f.next(); hint != "" {
				return f.line, f.open[len(f.open)-1].line, hint, true
			}
			continue
		}
		hint, ok := f.token()
		if hint != "" || !ok {
			return f.line + 1, f.line, hint, ok
		}
		if len(f.open) == 0 {
			return f.line + 1, 0, "", true
		}
	}
}

// next goes to the next line, or says that the collection isn't closed.
func (f *flow) next() (hint string) {
	unclosed := "the bracket isn't closed; add " + quote(string(f.open[len(f.open)-1].close))
	if f.line++; f.line == len(f.lines) {
		return unclosed
	}
	f.rest = strings.TrimRight(f.lines[f.line], " \t\r")
	body := strings.TrimLeft(f.rest, " \t")
	if body != "" && body[0] != '#' && body[0] != ']' && body[0] != '}' && len(f.rest)-len(body) <= f.least {
		return unclosed
	}
	f.rest = body
	if f.value == "" && !strings.HasPrefix(body, "#") {
		f.value = body
	}
	return ""
}

// token reads the next token, and says what is wrong with it.
func (f *flow) token() (hint string, ok bool) {
	switch c := f.rest[0]; c {
	case '[', '{':
		f.open = append(f.open, bracket{c + 2, f.line}) // as ASCII has them
		f.entry()
	case ']', '}':
		f.open = f.open[:len(f.open)-1]
		f.take(1)
	case ',':
		f.entry()
	case '#':
		return f.comment()
	case '"', '\'':
		return f.quoted()
	case ':':
		if len(f.rest) > 1 && f.rest[1] != ' ' {
			return f.plain()
		}
		return f.colon()
	default:
		return f.plain()
	}
	return "", true
}

func (f *flow) take(n int) { f.rest = f.rest[n:] }

// entry begins the next entry after one character.
func (f *flow) entry() {
	f.take(1)
	f.hasKey, f.value = false, strings.TrimLeft(f.rest, " ")
}

func (f *flow) colon() (hint string, ok bool) {
	if f.hasKey {
		return `a text with ": " in it must be in quotes: ` + singleQuoted(flowText(f.value)), true
	}
	f.take(1)
	f.hasKey, f.value = true, strings.TrimLeft(f.rest, " ")
	return "", true
}

// comment is wrong where it takes a bracket or a comma with it, and isn't one of its own.
func (f *flow) comment() (hint string, ok bool) {
	own := !f.hasKey && strings.HasPrefix(f.value, "#") && strings.IndexByte("]}", f.rest[len(f.rest)-1]) < 0
	if strings.ContainsAny(f.rest, ",]}") && f.value != "" && !own {
		return "\"#\" after a space begins a comment, so the rest of the line is lost; put the text in quotes: " + singleQuoted(flowText(f.value)), true
	}
	if own {
		f.value = ""
	}
	f.rest = ""
	return "", true
}

func (f *flow) quoted() (hint string, ok bool) {
	n := quotedLength(f.rest)
	if n < 0 {
		return "", false // of more than one line
	}
	text := flowText(f.rest[n:])
	if after := strings.TrimLeft(f.rest[n:], " "); after != "" && strings.IndexByte(",]}:#", after[0]) < 0 {
		return quotesEnd + singleQuoted(f.rest[:n]+text), true
	}
	f.take(n)
	return "", true
}

// plain reads text without quotes.
func (f *flow) plain() (hint string, ok bool) {
	text := flowText(f.rest)
	if hint := beginning(text); hint != "" {
		return hint, true
	}
	n := 0
	for n < len(f.rest) {
		s := f.rest[n:]
		if strings.HasPrefix(s, "${") {
			return bareReference, true
		}
		if strings.IndexByte(",[]{}", s[0]) >= 0 || s[0] == ':' && (len(s) == 1 || s[1] == ' ') || strings.HasPrefix(s, " #") {
			break
		}
		n++
	}
	if n == 0 {
		return "", false
	}
	f.take(n)
	return "", true
}

// flowText is the text that s begins with and that was meant to end before the next entry, references in it as one.
func flowText(s string) string {
	for i := 0; i < len(s); i++ {
		switch {
		case strings.HasPrefix(s[i:], "${"):
			if end := strings.IndexByte(s[i:], '}'); end > 0 {
				i += end
			}
		case strings.IndexByte(",]}", s[i]) >= 0:
			return strings.TrimRight(s[:i], " ")
		}
	}
	return s
}
