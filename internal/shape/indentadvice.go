package shape

import (
	"fmt"
	"strings"

	"github.com/mayfly-run/mayfly/internal/lazyregexp"
)

// indents holds the columns of the block collections that a line is in (YAML 1.2.2, chapter 8.2), to find the line whose
// indentation is wrong: the parser names the line before it, or the line where the collection begins.
type indents struct {
	levels []level
	opened bool // the line before has a key or dash without a value, so that a deeper collection may follow
	// colonless is the line before, if it may be a key without a space after its colon.
	colonless struct {
		line int
		hint string
	}
}

type level struct {
	column, line int
	item         bool // of a list
}

// check looks at a line outside block scalars and flow collections, and says how to write it, or the line before, if one of
// them is wrong.
func (d *indents) check(line int, text string) (wrong int, hint string) {
	rest := strings.TrimLeft(text, " ")
	switch {
	case rest == "" || rest[0] == '#' || rest[0] == '\t':
		return line, ""
	case rest == "---":
		*d = indents{}
		return line, ""
	}
	before := d.colonless
	d.colonless.hint = ""
	column := len(text) - len(rest)
	if isText(rest) {
		return line, d.text(level{column: column, line: line}, rest)
	}
	first := len(d.levels) == 0
	hint = d.enter(level{column, line, isDash(rest)})
	if before.hint != "" && (hint != "" || first) {
		return before.line, before.hint
	}
	if hint != "" {
		return line, hint
	}
	for isDash(rest) && len(d.levels) <= maxDepth { // a valid file is never deeper
		after := strings.TrimLeft(rest[1:], " ")
		column += len(rest) - len(after)
		rest = after
		if isDash(rest) || keyEnd(rest) >= 0 {
			d.levels = append(d.levels, level{column, line, isDash(rest)})
		}
	}
	value := rest
	if end := keyEnd(rest); end >= 0 {
		value = strings.TrimLeft(rest[end+1:], " ")
	} else {
		d.colonless.line, d.colonless.hint = line, noSpace(rest)
	}
	d.opened = value == "" || strings.IndexByte("#&!", value[0]) >= 0
	return line, ""
}

// text looks at a line that is neither a key nor an item, and so continues the text before it if it is indented enough.
func (d *indents) text(l level, rest string) (hint string) {
	switch n := len(d.levels); {
	case n == 0:
		d.colonless.line, d.colonless.hint = l.line, noSpace(rest)
		return ""
	case strings.IndexByte("[{]}&!*", rest[0]) >= 0 || l.column > d.levels[n-1].column:
		return ""
	}
	if hint := noSpace(rest); hint != "" {
		return hint
	}
	if strings.IndexByte(`"'`, rest[0]) >= 0 {
		return quotedKey(rest)
	}
	if mergeMark(rest) {
		return "this is a merge conflict marker; keep one side"
	}
	return noColon
}

// mergeMark reports whether a line is a conflict marker of git.
func mergeMark(rest string) bool {
	return strings.HasPrefix(rest, "<<<<<<<") || strings.HasPrefix(rest, "=======") || strings.HasPrefix(rest, ">>>>>>>")
}

const noColon = `a key needs ": " after it; indent the line further if it continues the text before it`

// quotedKey says what is wrong after a key in quotes.
func quotedKey(rest string) (hint string) {
	if hint := badEscape(rest); hint != "" {
		return hint
	}
	n := quotedLength(rest)
	if n < 0 {
		return ""
	}
	after, colon := strings.CutPrefix(strings.TrimLeft(rest[n:], " "), ":")
	switch {
	case !colon:
		return noColon
	case after == "" || after[0] == ' ':
		return ""
	}
	return "write a space after the colon: " + Brief(rest[:n]+": "+after)
}

// unspaced matches a key without a space after its colon, except in a URL.
var unspaced = lazyregexp.New(`^([A-Za-z_][A-Za-z0-9_.-]*):([^ /].*)$`)

// noSpace says how to write a key without a space after its colon.
func noSpace(text string) (hint string) {
	m := unspaced().FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	return "write a space after the colon: " + Brief(m[1]+": "+m[2])
}

// enter leaves the collections that the line is no longer in, or begins a new one.
func (d *indents) enter(l level) (hint string) {
	var left *level
	for n := len(d.levels); n > 0 && d.levels[n-1].column > l.column; n-- {
		left = &d.levels[n-1]
		d.levels = d.levels[:n-1]
	}
	switch n := len(d.levels); {
	case n == 0 && left == nil:
		d.levels = []level{l}
		return ""
	case n > 0 && d.levels[n-1].column == l.column:
		return d.resume(l)
	case left != nil:
		return like(*left)
	case d.opened:
		d.levels = append(d.levels, l)
		return ""
	}
	return like(d.levels[len(d.levels)-1])
}

// resume continues the collection at the line's column, or the one around it: a list may be at the column of its key.
func (d *indents) resume(l level) (hint string) {
	n := len(d.levels) - 1
	top := &d.levels[n]
	switch {
	case top.item == l.item:
		top.line = l.line
	case l.item && d.opened:
		d.levels = append(d.levels, l)
	case !l.item && n > 0 && d.levels[n-1].column == l.column:
		d.levels = d.levels[:n]
		d.levels[n-1].line = l.line
	case l.item:
		return fmt.Sprintf(`line %d is a key and this is an item of a list; begin both with "- " or neither`, top.line+1)
	default:
		return fmt.Sprintf(`line %d is an item of a list and this is a key; begin both with "- " or neither`, top.line+1)
	}
	return ""
}

func like(l level) string {
	return fmt.Sprintf("indent it like line %d, %s", l.line+1, withSpaces(l.column))
}

func withSpaces(n int) string {
	switch n {
	case 0:
		return "with no spaces"
	case 1:
		return "with one space"
	}
	return fmt.Sprintf("with %d spaces", n)
}

// blockLines follows the lines of block scalars, such as those of a script (YAML 1.2.2, chapter 8.1). The first line of a
// block scalar sets the indentation of all.
type blockLines struct {
	blockFinder
	indent int  // of the block's lines; 0 before the first
	left   bool // the line before was part of a block scalar, and this one isn't
}

// check reports whether the next line is in a block scalar, and says how to indent it if it is wrong.
func (b *blockLines) check(text string) (inside bool, hint string) {
	before := b.block >= 0
	inside = b.inside(text)
	b.left = before && !inside
	rest := strings.TrimLeft(text, " ")
	column := len(text) - len(rest)
	switch {
	case inside && rest == "":
		return true, ""
	case inside && b.indent == 0:
		b.indent = column
	case inside && column < b.indent && rest[0] != '#', b.left && b.indent > 0 && isText(rest) && !meantForKey(rest):
		return inside, "indent it like the other lines of the block, " + withSpaces(b.indent) + " or more"
	}
	if !inside && b.block >= 0 {
		b.indent = 0
		if m := blockHeader().FindStringSubmatch(text); m != nil && m[1] != "" {
			b.indent = b.block + int(m[1][0]-'0')
		}
	}
	return inside, ""
}

// blockHeader matches the header of a block scalar. Its group is how much further than their key the lines are indented.
var blockHeader = lazyregexp.New(`(?:^|[ \t])[|>][+-]?([1-9])?[+-]?(?: +#.*)?$`)

// meantForKey reports whether a text after a block scalar is more likely a key or a conflict marker than a line of the block:
// advice to indent it like the block would silently make it part of the block.
func meantForKey(rest string) bool {
	return bareKey().MatchString(rest) || noSpace(rest) != "" || mergeMark(rest)
}

// bareKey matches what may be a key without its colon.
var bareKey = lazyregexp.New(`^[A-Za-z_][A-Za-z0-9_.-]*$`)

// isText reports whether a line is not a key, an item, a comment or a document marker, and isn't indented by a tab.
func isText(rest string) bool {
	return rest != "" && strings.IndexByte("#\t?:", rest[0]) < 0 && rest != "---" && rest != "..." && !isDash(rest) && keyEnd(rest) < 0
}

func isDash(s string) bool { return s == "-" || strings.HasPrefix(s, "- ") }

// keyEnd returns the index of the colon after the plain key that s begins with, or -1.
func keyEnd(s string) int {
	end := strings.Index(s, ": ")
	if end < 0 && strings.HasSuffix(s, ":") {
		end = len(s) - 1
	}
	if end < 0 || strings.Contains(s[:end], " #") {
		return -1
	}
	return end
}
