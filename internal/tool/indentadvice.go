package tool

import (
	"fmt"
	"strings"
)

// indents are the columns of the block collections that a line is in (YAML 1.2.2, chapter 8.2), to find the line whose
// indentation is wrong: the parser names the line before it, or the one where the collection begins.
type indents struct {
	levels []level
	opened bool // the line before has a key or dash without a value, so that a deeper collection may follow
}

type level struct{ column, line int }

// check looks at a line outside of block scalars and flow collections, and says how it should be indented if it is wrong.
func (d *indents) check(line int, text string) (hint string) {
	rest := strings.TrimLeft(text, " ")
	switch {
	case rest == "" || rest[0] == '#':
		return ""
	case rest == "---":
		*d = indents{}
		return ""
	}
	column := len(text) - len(rest)
	if !isDash(rest) && keyEnd(rest) < 0 {
		return "" // a text goes on, or it isn't a collection
	}
	if hint := d.enter(level{column, line}); hint != "" {
		return hint
	}
	for isDash(rest) {
		after := strings.TrimLeft(rest[1:], " ")
		column += len(rest) - len(after)
		rest = after
		if isDash(rest) || keyEnd(rest) >= 0 {
			d.levels = append(d.levels, level{column, line})
		}
	}
	value := rest
	if end := keyEnd(rest); end >= 0 {
		value = strings.TrimLeft(rest[end+1:], " ")
	}
	d.opened = value == "" || strings.IndexByte("#&!", value[0]) >= 0
	return ""
}

// enter leaves the collections that a line is not in any more, or begins one.
func (d *indents) enter(l level) (hint string) {
	var left *level
	for n := len(d.levels); n > 0 && d.levels[n-1].column > l.column; n-- {
		left = &d.levels[n-1]
		d.levels = d.levels[:n-1]
	}
	if len(d.levels) == 0 && left == nil {
		d.levels = []level{l}
		return ""
	}
	switch n := len(d.levels); {
	case n > 0 && d.levels[n-1].column == l.column:
		d.levels[n-1].line = l.line
		return ""
	case left != nil:
		return like(*left)
	case d.opened:
		d.levels = append(d.levels, l)
		return ""
	}
	return like(d.levels[len(d.levels)-1])
}

func like(l level) string {
	spaces := fmt.Sprintf("with %d spaces", l.column)
	switch l.column {
	case 0:
		spaces = "with no spaces"
	case 1:
		spaces = "with one space"
	}
	return fmt.Sprintf("indent it like line %d, %s", l.line+1, spaces)
}

func isDash(s string) bool { return s == "-" || strings.HasPrefix(s, "- ") }

// keyEnd is where the key without quotes ends that s begins with, at its colon, or -1.
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
