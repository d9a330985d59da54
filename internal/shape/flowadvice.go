package shape

import "strings"

// This file says what is wrong in a flow collection, [a, b] or {a: b} (YAML 1.2.2, chapter 7.4). The parser only names the
// line before the collection.

// flow reads a flow collection across lines.
type flow struct {
	lines []string
	line  int // index
	rest  string
	// least is the column that lines of the collection must be indented beyond; -1 for a whole file.
	least  int
	open   []bracket
	entry  entry
	last   int // the line of the last token
	before int // the line of the last token on a line before this one
	wrong  int // the line that a hint is about
}

type bracket struct {
	close byte
	line  int
}

// entry is what has been read of an entry of a flow collection.
type entry struct {
	read   reading
	hasKey bool
	value  string // the rest of the line where the value begins
	line   int    // where the value begins
}

type reading int

const (
	readNothing  reading = iota
	readProperty         // a colon, or another token before a value
	readPlain            // text without quotes, which may continue
	readWhole            // text in quotes or a collection
)

// adviseFlow reads the flow collection at the beginning of value, which is the end of a line. It returns the line after the
// collection, and the wrong line with what to write there, or no hint. ok is false if the collection can't be followed.
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
		f.wrong = f.line
		hint, ok := f.token()
		if hint != "" || !ok {
			return f.line + 1, f.wrong, hint, ok
		}
		if len(f.open) == 0 {
			if f.line != line {
				value = ""
			}
			return f.line + 1, f.line, f.follows(value), true
		}
	}
}

// follows says what is wrong with the text after the collection in its last line. text is the whole value if it is on one line.
func (f *flow) follows(text string) (hint string) {
	rest := strings.TrimLeft(f.rest, " ")
	switch {
	case rest == "" || rest[0] == '#' || rest[0] == ':':
		return ""
	case rest[0] == ']' || rest[0] == '}':
		return "the last bracket has no opening bracket; remove it"
	case f.least < 0:
		return "nothing may follow the last bracket; remove the rest of the line"
	case text == "":
		return "text follows the last bracket; put all of it in quotes"
	}
	text, _, _ = strings.Cut(text, " #")
	return "text follows the last bracket; put all of it in quotes: " + singleQuoted(text)
}

// next goes to the next line, or says that the collection isn't closed.
func (f *flow) next() (hint string) {
	unclosed := "the bracket isn't closed; add " + Quote(string(f.open[len(f.open)-1].close))
	if f.line++; f.line == len(f.lines) {
		return unclosed
	}
	f.before = f.last
	f.rest = strings.TrimRight(f.lines[f.line], " \t\r")
	body := strings.TrimLeft(f.rest, " \t")
	if body != "" && body[0] != '#' && body[0] != ']' && body[0] != '}' && len(f.rest)-len(body) <= f.least {
		return unclosed
	}
	f.rest = body
	if f.entry.value == "" && !strings.HasPrefix(body, "#") {
		f.entry.value, f.entry.line = body, f.line
	}
	return ""
}

// token reads the next token, and says what is wrong with it.
func (f *flow) token() (hint string, ok bool) {
	c := f.rest[0]
	if f.entry.read == readWhole && strings.IndexByte(",]}:#", c) < 0 {
		return f.noComma(), true
	}
	if f.entry.read == readPlain && strings.IndexByte(",[]{}:#", c) < 0 {
		return f.plain() // it continues the line before
	}
	switch c {
	case '[', '{':
		return f.opening(), true
	case ']', '}':
		return f.closing(), true
	case ',':
		if f.entry.read == readNothing {
			return "there is nothing before this comma; remove it", true
		}
		f.begin()
	case '#':
		return f.comment()
	case '"', '\'':
		return f.quoted(), true
	case ':':
		return f.colon(), true
	case '?': // between brackets "?" always begins a key (chapter 8.2.2)
		f.take(1, readProperty)
	case '&', '!':
		if f.begins() {
			return beginning(flowText(f.rest)), true
		}
		end := strings.IndexAny(f.rest, " ,]}")
		if end < 0 {
			end = len(f.rest)
		}
		f.take(end, readProperty)
	default:
		return f.plain()
	}
	return "", true
}

func (f *flow) take(n int, read reading) {
	f.rest, f.entry.read, f.last = f.rest[n:], read, f.line
}

// begin reads one character and begins the next entry.
func (f *flow) begin() {
	f.take(1, readNothing)
	f.entry = entry{value: strings.TrimLeft(f.rest, " "), line: f.line}
}

// opening reads an opening bracket, which can't be part of plain text.
func (f *flow) opening() (hint string) {
	if f.entry.read == readPlain {
		if f.last < f.line {
			return f.noComma()
		}
		return inText(f.rest[:1]) + singleQuoted(flowText(f.entry.value))
	}
	f.open = append(f.open, bracket{f.rest[0] + 2, f.line}) // in ASCII a closing bracket is two after its opening bracket
	f.begin()
	return ""
}

func (f *flow) closing() (hint string) {
	top := f.open[len(f.open)-1]
	if top.close != f.rest[0] {
		f.wrong = top.line
		return "the bracket isn't closed; add " + Quote(string(top.close)) + " before " + Quote(f.rest[:1])
	}
	f.open = f.open[:len(f.open)-1]
	f.take(1, readWhole)
	f.entry.hasKey, f.entry.value, f.entry.line = false, string(top.close), f.line
	return ""
}

// noComma says where a comma is missing: after the entry, which ended in this line or in an earlier one.
func (f *flow) noComma() (hint string) {
	if f.last == f.line {
		return "a comma is missing before " + singleQuoted(flowText(f.rest))
	}
	f.wrong = f.last
	return "a comma is missing at the end of the line"
}

func (f *flow) colon() (hint string) {
	switch {
	case f.entry.hasKey && f.entry.line < f.line:
		f.wrong = f.before
		return "a comma is missing at the end of the line"
	case f.entry.line < f.line && f.entry.read == readPlain: // a key is one line (chapter 7.4.2)
		f.wrong = f.entry.line
		if strings.HasPrefix(f.entry.value, "//") {
			return `a comment begins with "#"`
		}
		f.wrong = f.before
		return "a comma is missing at the end of the line"
	case f.entry.hasKey:
		return `a text with ": " in it must be in quotes: ` + singleQuoted(flowText(f.entry.value))
	}
	f.take(1, readProperty)
	f.entry = entry{read: readProperty, hasKey: true, value: strings.TrimLeft(f.rest, " "), line: f.line}
	return ""
}

// comment reads a comment. It is a mistake if a bracket or a comma is lost in it, unless it is a comment on its own line.
func (f *flow) comment() (hint string, ok bool) {
	own := !f.entry.hasKey && strings.HasPrefix(f.entry.value, "#") && strings.IndexByte("]}", f.rest[len(f.rest)-1]) < 0
	if strings.ContainsAny(f.rest, ",]}") && f.entry.value != "" && !own {
		return "\"#\" after a space begins a comment, so the rest of the line is lost; put the text in quotes: " + singleQuoted(flowText(f.entry.value)), true
	}
	if own {
		f.entry.value = ""
	}
	f.rest = ""
	return "", true
}

func (f *flow) quoted() (hint string) {
	q := readQuotes(f.lines, f.line, f.rest, ",]}:#\"'[{")
	if q.hint == quotesEnd {
		n := quotedLength(f.rest)
		return q.hint + singleQuoted(f.rest[:n]+flowText(f.rest[n:]))
	}
	if q.hint != "" {
		f.wrong = q.wrong
		return q.hint
	}
	if q.end > f.line {
		f.before = f.line
	}
	f.line, f.rest = q.end, q.after
	f.take(0, readWhole)
	return ""
}

// begins reports whether the text begins with a character that plain text can't begin with. It passes on only two characters,
// because reading the rest of the line for each token takes quadratic time.
func (f *flow) begins() bool { return beginning(f.rest[:min(len(f.rest), 2)]) != "" }

// plain reads text without quotes.
func (f *flow) plain() (hint string, ok bool) {
	if f.entry.read != readPlain {
		if strings.IndexByte("|>", f.rest[0]) >= 0 {
			return mustBeQuoted(flowText(f.rest)), true
		}
		if f.begins() {
			return beginning(flowText(f.rest)), true
		}
	}
	n := 0
	for n < len(f.rest) {
		s := f.rest[n:]
		if strings.HasPrefix(s, "${") {
			return bareReference, true
		}
		if s[0] == '?' {
			return inText("?") + singleQuoted(flowText(f.entry.value)), true
		}
		if strings.IndexByte(",[]{}", s[0]) >= 0 || s[0] == ':' && (len(s) == 1 || s[1] == ' ') || strings.HasPrefix(s, " #") {
			break
		}
		n++
	}
	if n == 0 {
		return "", false
	}
	f.take(n, readPlain)
	return "", true
}

func inText(mark string) string {
	return "between brackets a text with " + Quote(mark) + " in it must be in quotes: "
}

// flowText returns the text at the beginning of s that was meant to end before the next entry. References and brackets inside
// it count as one.
func flowText(s string) string {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch {
		case strings.HasPrefix(s[i:], "${"):
			if end := strings.IndexByte(s[i:], '}'); end > 0 {
				i += end
			}
		case strings.IndexByte("[{", s[i]) >= 0:
			depth++
		case depth > 0 && strings.IndexByte("]}", s[i]) >= 0:
			depth--
		case depth == 0 && strings.IndexByte(",]}", s[i]) >= 0:
			return strings.TrimRight(s[:i], " ")
		}
	}
	return s
}
