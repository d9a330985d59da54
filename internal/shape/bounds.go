package shape

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// This file keeps hostile files from the YAML parser, which builds a node of some 170 bytes for as little as two bytes of
// text, and expands aliases without end. It works in three steps. Each is cheap because of what the step before it refuses:
//
//  1. admit looks at the bytes: the size, and the number of characters that could separate two nodes, which bounds what the
//     parser builds. Scripts are long and full of such characters, so the lines of block scalars don't count. readLine finds
//     those lines without a parser, as long as there is no doubt about where a block scalar begins and ends.
//  2. The parser runs.
//  3. inspect walks the document, counts its nodes with each alias replaced by its target, and checks what applies to every
//     node.

// Bounds limit what a file can make its reader do. They apply before and in addition to every other check, so that a hostile
// file costs less than a second and 64 MB (attack S05).
type Bounds struct {
	FileSize int64 // bytes
	// Nodes is the largest number of values and keys, counted with each alias replaced by its target.
	Nodes int
	// Separators is the largest number of characters outside block scalars that could separate two nodes.
	Separators int
}

// maxDepth bounds how deep values are nested.
const maxDepth = 64

var errTooDeep = fmt.Errorf("its values are nested more than %d deep", maxDepth)

// CheckDepth returns an error if a value, of the types of decoded JSON, is nested more than maxDepth deep. Readers of JSON have bounds too (10,000 for
// encoding/json): without ours, a value could be read here, and not where it is sent to within another one.
func CheckDepth(v any) error {
	if !within(v, maxDepth) {
		return errTooDeep
	}
	return nil
}

func within(v any, depth int) bool {
	switch v := v.(type) {
	case []any:
		return depth > 0 && !slices.ContainsFunc(v, func(item any) bool { return !within(item, depth-1) })
	case map[string]any:
		for _, item := range v {
			if !within(item, depth-1) {
				return false
			}
		}
		return depth > 0
	}
	return true
}

// SmallBounds returns the bounds of a file that one person writes.
func SmallBounds() Bounds { return Bounds{FileSize: 1 << 20, Nodes: 10_000, Separators: 40_000} }

// LargeBounds returns the bounds of a file that a program may have written, with thousands of parts. No format has larger bounds.
func LargeBounds() Bounds { return Bounds{FileSize: 2 << 20, Nodes: 200_000, Separators: 200_000} }

// admit refuses data that must not reach the YAML parser. text is empty if the parser may read it.
func (f Format) admit(data []byte) (text, hint string) {
	l := f.Bounds
	switch {
	case int64(len(data)) > l.FileSize:
		return fmt.Sprintf("the file is larger than %d bytes", l.FileSize), f.TooLarge
	case !utf8.Valid(data):
		return "the file is not UTF-8 text", ""
	case bytes.IndexByte(data, 0) >= 0:
		return "the file contains a NUL byte, so it is not text", ""
	case separators(data) > l.Separators:
		return "the file has too many parts to be a definition", f.TooManyParts
	}
	return "", ""
}

// separators counts the characters that could separate two YAML nodes. A document has at most twice as many nodes. The lines
// of block scalars, which contain scripts, don't count as long as it is certain where block scalars begin and end. From the
// first line that can't be read for certain without a real parser, everything counts.
func separators(data []byte) int {
	text := string(data)
	// Line breaks of YAML 1.1 other than "\n" and "\r\n" would let lines hide inside what looks like one line of a block.
	blocks := blockFinder{block: -1, lost: strings.ContainsAny(strings.ReplaceAll(text, "\r\n", "\n"), "\r\u0085\u2028\u2029\ufeff")}
	count := 0
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if blocks.inside(line) {
			continue
		}
		count++
		for i := range len(line) {
			if strings.IndexByte(",[]{}:-?&*!", line[i]) >= 0 {
				count++
			}
		}
	}
	return count
}

// blockFinder finds the lines of block scalars in a text that is read line by line.
type blockFinder struct {
	block int  // column of the key or dash whose block scalar the lines are in; -1 outside
	lost  bool // it is no longer certain where block scalars begin
}

// inside reports whether the next line belongs to a block scalar.
func (b *blockFinder) inside(line string) bool {
	if b.block >= 0 {
		body := strings.TrimLeft(line, " ")
		if body == "" || len(line)-len(body) > b.block {
			return true
		}
		b.block = -1
	}
	if !b.lost {
		block, certain := readLine(line)
		b.block, b.lost = block, !certain
	}
	return false
}

// readLine reads one line in block context. certain reports whether the line certainly ends outside quotes and flow
// collections. block is the column that the lines of a block scalar are indented beyond if the line opens one, and otherwise
// -1.
func readLine(line string) (block int, certain bool) {
	rest := strings.TrimLeft(line, " ")
	if rest == "" || rest[0] == '#' || rest == "---" {
		return -1, true
	}
	if strings.Contains(line, "\t") {
		return -1, false
	}
	column := len(line) - len(rest)
	parent := -1
	for rest == "-" || strings.HasPrefix(rest, "- ") {
		parent = column
		rest = strings.TrimLeft(rest[1:], " ")
		column = len(line) - len(rest)
	}
	if key := keyLength(rest); key > 0 {
		parent = column
		rest = strings.TrimLeft(rest[key+1:], " ")
	}
	if rest == "" || rest[0] == '#' {
		return -1, true
	}
	switch rest[0] {
	case '|', '>':
		header := strings.TrimLeft(rest[1:], "+-0123456789")
		tail := strings.TrimLeft(header, " ")
		if parent < 0 || tail != "" && (tail[0] != '#' || tail == header) {
			return -1, false
		}
		return parent, true
	case '"', '\'':
		end := quotedLength(rest)
		tail := strings.TrimLeft(rest[max(end, 0):], " ")
		return -1, end > 0 && (tail == "" || tail[0] == '#')
	case '[', '{':
		return -1, flowCloses(rest)
	case '&', '*', '!', '%', '@', '`', '?', ']', '}', ',', ':', '-':
		// A hyphen also starts a plain scalar ("-5"), but "--- |" begins a document with a block scalar.
		return -1, rest[0] == '-' && !strings.HasPrefix(rest, "---") && !strings.ContainsAny(rest, "\"'[{:")
	}
	// This is a plain scalar. With a colon it may also be a key with an unusual name, and anything can follow.
	colon := strings.Contains(rest, ": ") || strings.HasSuffix(rest, ":")
	return -1, !colon || !strings.ContainsAny(rest, "\"'[{|>&*!")
}

// keyLength returns the length of the simple plain key that s starts with, or 0.
func keyLength(s string) int {
	n := 0
	for n < len(s) && (s[n] == '_' || s[n] == '.' || s[n] == '/' || s[n] == '-' && n > 0 ||
		s[n] >= '0' && s[n] <= '9' || s[n]|0x20 >= 'a' && s[n]|0x20 <= 'z') {
		n++
	}
	if n < len(s) && s[n] == ':' && (n+1 == len(s) || s[n+1] == ' ') {
		return n
	}
	return 0
}

// quotedLength returns the length of the quoted scalar that s starts with, or -1 if the scalar doesn't end in s.
func quotedLength(s string) int {
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && s[0] == '"':
			i++
		case s[i] == '\'' && s[0] == '\'' && i+1 < len(s) && s[i+1] == '\'':
			i++
		case s[i] == s[0]:
			return i + 1
		}
	}
	return -1
}

// flowCloses reports whether s is one flow collection that is closed at the end of s, and in which each quote certainly
// starts a quoted scalar.
func flowCloses(s string) bool {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '[', '{':
			depth++
		case ']', '}':
			if depth--; depth == 0 {
				return strings.TrimSpace(s[i+1:]) == ""
			}
		case '#':
			return false
		case '"', '\'':
			before := strings.TrimRight(s[:i], " ")
			last := before[len(before)-1]
			if strings.IndexByte("[{,:", last) < 0 || last == ':' && len(before) == i {
				return false
			}
			n := quotedLength(s[i:])
			if n < 0 {
				return false
			}
			after := strings.TrimLeft(s[i+n:], " ")
			if after == "" || strings.IndexByte(",]}:", after[0]) < 0 {
				return false
			}
			i += n - 1
		}
	}
	return false
}

// inspect walks the whole document once and follows each alias. It checks what applies to every node: the bounds, duplicate
// keys, the values of merge keys, tags and NUL characters. It returns false if a bound stopped it; such a document must not
// be read.
func (d *Decoder) inspect(root *yaml.Node) bool {
	w := &walker{Decoder: d, seen: map[*yaml.Node]bool{}, bangs: bangs(d.lines)}
	return w.walk(root, 1)
}

type walker struct {
	*Decoder
	nodes int
	bangs map[place]bool      // where a node with a tag may begin
	seen  map[*yaml.Node]bool // nodes whose problems are reported; aliases visit a node more than once
}

func (w *walker) walk(n *yaml.Node, depth int) bool {
	if w.nodes++; w.nodes > w.format.Bounds.Nodes {
		w.Report(n, fmt.Sprintf("the definition has more than %d values", w.format.Bounds.Nodes), "an alias counts each time that it is used")
		return false
	}
	if depth > maxDepth {
		w.Report(n, fmt.Sprintf("values are nested more than %d deep", maxDepth), "")
		return false
	}
	if n.Kind == yaml.AliasNode {
		// An alias to a node that contains it never ends; the limit on depth stops that too.
		return w.walk(n.Alias, depth+1)
	}
	if !w.seen[n] {
		w.seen[n] = true
		w.inspectNode(n)
	}
	for _, c := range n.Content {
		if !w.walk(c, depth+1) {
			return false
		}
	}
	return true
}

func (w *walker) inspectNode(n *yaml.Node) {
	w.checkTag(n)
	if n.Kind == yaml.ScalarNode && strings.IndexByte(n.Value, 0) >= 0 {
		w.Report(n, "the value contains a NUL character, which a variable, an argument or a path can't hold", "")
	}
	if n.Kind != yaml.MappingNode {
		return
	}
	first := make(map[string]*yaml.Node, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := Resolve(n.Content[i])
		if key.Kind != yaml.ScalarNode {
			w.Report(n.Content[i], "a key must be text, not "+Describe(key), w.template(key))
			continue
		}
		w.checkEmpty(n, i)
		if isMerge(n.Content[i]) {
			w.checkMerge(n.Content[i+1])
			continue // a mapping may have several merge keys
		}
		if f, ok := first[key.Value]; ok {
			w.Report(n.Content[i], fmt.Sprintf("key %s is given twice", Quote(key.Value)),
				fmt.Sprintf("it is first given at line %d, column %d", f.Line, f.Column))
			continue
		}
		first[key.Value] = n.Content[i]
	}
}
