package shape

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mayfly-run/mayfly/internal/lazyregexp"
	"go.yaml.in/yaml/v3"
)

// Decode reads a node that is not part of a file, such as one from [Plain]. The error is the first problem, without its position.
func Decode[V any](s Shape[V], n *yaml.Node, label string) (V, error) {
	d := &Decoder{}
	v, _ := s.Read(d, n, label)
	if len(d.problems) == 0 {
		return v, nil
	}
	p := d.problems[0]
	if p.Hint != "" {
		return v, fmt.Errorf("%s; %s", p.Text, p.Hint)
	}
	return v, errors.New(p.Text)
}

// Plain returns the scalar that YAML reads from value without quotes.
func Plain(value string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Value: value}
	n.Tag = n.ShortTag()
	return n
}

// Decoder collects the problems of one file.
type Decoder struct {
	file     string
	format   Format
	lines    []string // of the file, to which positions are limited; none for a part of another file
	problems []Problem
	listed   map[string]bool     // kinds of object whose keys were listed already; see unknownKey
	lost     map[*yaml.Node]bool // values that YAML read as something else; further problems with them only follow from that
}

// Err returns everything that is wrong with the file, as an *[Error], or nil.
func (d *Decoder) Err() error {
	if len(d.problems) == 0 {
		return nil
	}
	return NewError(d.problems)
}

// Count returns the number of problems.
func (d *Decoder) Count() int { return len(d.problems) }

// Position returns where a node begins.
func (d *Decoder) Position(n *yaml.Node) Position {
	p := Position{File: d.file, Line: max(n.Line, 1), Column: max(n.Column, 1)}
	if len(d.lines) > 0 {
		p.Line = min(p.Line, len(d.lines))
	}
	return p
}

// maxKeptProblems bounds the memory that the problems of a hostile file take. The first of them already make the file invalid.
const maxKeptProblems = 1000

// Report records what is wrong with a node, and a hint that says what to write instead, or "".
func (d *Decoder) Report(n *yaml.Node, text, hint string) {
	if !d.lost[n] {
		d.ReportAt(d.Position(n), text, hint)
	}
}

// ReportAt is [Decoder.Report] for a position.
func (d *Decoder) ReportAt(p Position, text, hint string) {
	if len(d.problems) < maxKeptProblems {
		d.problems = append(d.problems, Problem{Position: p, Text: text, Hint: hint})
	}
}

// document parses data into its only YAML document and checks it against the bounds. It returns nil after a problem that stops reading.
func (d *Decoder) document(data []byte) *yaml.Node {
	if text, hint := d.format.admit(data); text != "" {
		d.ReportAt(Position{File: d.file}, text, hint)
		return nil
	}
	d.lines = strings.Split(string(data), "\n")
	var docs [2]yaml.Node
	found, err := parseYAML(fromJSON(data), &docs)
	var first *yaml.Node
	if found > 0 && len(docs[0].Content) > 0 {
		first = docs[0].Content[0]
	}
	if d.format.Foreign != nil {
		if text, hint := d.format.Foreign(d.lines, first); text != "" {
			d.ReportAt(Position{File: d.file}, text, hint)
			return nil
		}
	}
	if found == 2 {
		d.Report(&docs[1], "the file holds more than one YAML document", "a definition is one document; put each in its own file")
		return nil
	}
	if err != nil {
		d.syntax(err)
		return nil
	}
	if d.format.MayBeEmpty && (found == 0 || len(docs[0].Content) == 0 || docs[0].Content[0].ShortTag() == "!!null") {
		return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	}
	if found == 0 || len(docs[0].Content) == 0 {
		d.Report(&yaml.Node{}, "the file is empty", d.format.Empty)
		return nil
	}
	root := docs[0].Content[0]
	if !d.inspect(root) {
		return nil
	}
	merge(root, map[*yaml.Node]bool{})
	dropShared(root)
	return root
}

// jsonEscape matches an escape of JSON. Its first group matches those that the YAML parser doesn't know (RFC 8259 section 7).
var jsonEscape = lazyregexp.New(`\\(?:(/|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|.)`)

// fromJSON makes JSON readable for the YAML parser: if data is JSON, its escaped slashes and surrogate pairs become the
// characters that they stand for. It returns any other data unchanged.
func fromJSON(data []byte) []byte {
	if !bytes.Contains(data, []byte(`\/`)) && !bytes.Contains(data, []byte(`\ud`)) && !bytes.Contains(data, []byte(`\uD`)) || !json.Valid(data) {
		return data
	}
	return jsonEscape().ReplaceAllFunc(data, func(escape []byte) []byte {
		if jsonEscape().FindSubmatchIndex(escape)[2] < 0 {
			return escape
		}
		var text string
		if err := json.Unmarshal(fmt.Appendf(nil, `"%s"`, escape), &text); err != nil {
			return escape // can't happen: the expression has just matched it
		}
		return []byte(text)
	})
}

// parseYAML parses up to two documents. It turns a panic of the parser into an error: definitions come from strangers, and
// none of them may end a process that serves others.
func parseYAML(data []byte, docs *[2]yaml.Node) (found int, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("yaml: %v", r)
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for found < len(docs) {
		err := dec.Decode(&docs[found])
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return found, err
		}
		found++
	}
	return found, nil
}

// syntax turns an error of the YAML parser, "yaml: line 3: what is wrong", into a problem. The parser gives no column.
func (d *Decoder) syntax(err error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	n := &yaml.Node{}
	if m := regexp.MustCompile(`^line (\d+): `).FindStringSubmatch(text); m != nil {
		text = text[len(m[0]):]
		n.Line, _ = strconv.Atoi(m[1]) // a number that doesn't fit stays 0 and is shown as line 1
	}
	var hint string
	name, anchor := strings.CutPrefix(text, "unknown anchor '")
	switch {
	case anchor:
		name, _, _ = strings.Cut(name, "' referenced")
		d.find(n, func(line string) int { return aliasIn(withoutComment(line), name) })
		if n.Line == 0 { // what looked like a comment was in quotes
			d.find(n, func(line string) int { return aliasIn(line, name) })
		}
		hint = mustBeQuoted("*"+name) + "; if it stands for another value, that value must begin with &" + Brief(name)
	case text == "control characters are not allowed":
		d.find(n, func(line string) int { return strings.IndexFunc(line, isControl) })
		hint = `write it as an escape in double quotes, such as "\e" or "\x07"`
	default:
		n.Line, hint = advise(d.lines, n.Line)
	}
	d.Report(n, "this is not valid YAML: "+text[:min(len(text), 200)], hint)
}

// find sets the position of n to the first line and column where index finds something.
func (d *Decoder) find(n *yaml.Node, index func(line string) int) {
	for i, line := range d.lines {
		if at := index(line); at >= 0 {
			n.Line, n.Column = i+1, utf8.RuneCountInString(line[:at])+1
			return
		}
	}
}

// alias matches where a value or a key may be an alias; its group is the name, whose characters the parser limits.
var alias = lazyregexp.New(`(?:^\s*|[-:?]\s+|[\[{,]\s*)\*([A-Za-z0-9_-]+)`)

// aliasIn returns the index of an alias of the given name in a line, or -1.
func aliasIn(line, name string) int {
	for _, at := range alias().FindAllStringSubmatchIndex(line, -1) {
		if line[at[2]:at[3]] == name {
			return at[2] - 1
		}
	}
	return -1
}

// commentMark matches the start of a comment; inside quotes it matches text.
var commentMark = lazyregexp.New(`(?:^|\s)#`)

func withoutComment(line string) string {
	if at := commentMark().FindStringIndex(line); at != nil {
		return line[:at[0]]
	}
	return line
}

// isControl reports whether YAML allows a character only as an escape (YAML 1.2.2, chapter 5.1).
func isControl(r rune) bool {
	return r == '\ufffe' || r == '\uffff' || unicode.IsControl(r) && !strings.ContainsRune("\t\r\u0085", r)
}

// Resolve returns the node that n stands for: the target of an alias, and otherwise n.
func Resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// Describe returns a few words about a node, for messages such as "must be text, not …".
func Describe(n *yaml.Node) string {
	n = Resolve(n)
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!null":
		return "empty"
	case "!!bool":
		return n.Value
	}
	if numeric(n) {
		return "the number " + Brief(n.Value)
	}
	if tag := n.ShortTag(); tag != "!!str" && tag != "!!timestamp" {
		return "a value with the tag " + Brief(tag)
	}
	return "the text " + Quote(n.Value)
}
