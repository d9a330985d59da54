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

// Decode reads a node that is in no file, such as one of [Plain]. The error is the first problem, without its position.
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

// Plain is a scalar as YAML reads it without quotes.
func Plain(value string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Value: value}
	n.Tag = n.ShortTag()
	return n
}

// Decoder collects the problems of one file.
type Decoder struct {
	file     string
	format   Format
	lines    []string // of the file, which no position is beyond; none for a part of another file
	problems []Problem
	listed   map[string]bool     // kinds of object whose keys were listed; see unknownKey
	lost     map[*yaml.Node]bool // values that YAML took for something else, so that any other problem of theirs follows
}

// Err is everything that is wrong, as an *[Error], or nil.
func (d *Decoder) Err() error {
	if len(d.problems) == 0 {
		return nil
	}
	return NewError(d.problems)
}

// Count is how many problems there are.
func (d *Decoder) Count() int { return len(d.problems) }

// Position is where a node begins.
func (d *Decoder) Position(n *yaml.Node) Position {
	p := Position{File: d.file, Line: max(n.Line, 1), Column: max(n.Column, 1)}
	if len(d.lines) > 0 {
		p.Line = min(p.Line, len(d.lines))
	}
	return p
}

// maxKeptProblems bounds what a hostile file makes of its problems; it is wrong with the first of them.
const maxKeptProblems = 1000

// Report says what is wrong with a node, and what to write instead, or "".
func (d *Decoder) Report(n *yaml.Node, text, hint string) {
	if !d.lost[n] {
		d.ReportAt(d.Position(n), text, hint)
	}
}

// ReportAt is [Decoder.Report] for a place.
func (d *Decoder) ReportAt(p Position, text, hint string) {
	if len(d.problems) < maxKeptProblems {
		d.problems = append(d.problems, Problem{Position: p, Text: text, Hint: hint})
	}
}

// document parses data into its only YAML document, checked against the limits; nil after a problem that stops reading.
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

// jsonEscape is an escape of JSON; the first group are those that the YAML parser doesn't know (RFC 8259 section 7).
var jsonEscape = lazyregexp.New(`\\(?:(/|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|.)`)

// fromJSON makes YAML of JSON: a file that is JSON gets its slashes and its pairs of surrogates without an escape, and any
// other stays as it is.
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
			return escape // can't be: the expression has just matched it
		}
		return []byte(text)
	})
}

// parseYAML parses up to two documents. A panic of the parser becomes an error: definitions come from strangers, and
// one must not take down a process that serves others.
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

// find puts n where index first finds something in a line.
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

// aliasIn returns where an alias of a name is in a line, or -1.
func aliasIn(line, name string) int {
	for _, at := range alias().FindAllStringSubmatchIndex(line, -1) {
		if line[at[2]:at[3]] == name {
			return at[2] - 1
		}
	}
	return -1
}

// commentMark matches what begins a comment, except in quotes.
var commentMark = lazyregexp.New(`(?:^|\s)#`)

func withoutComment(line string) string {
	if at := commentMark().FindStringIndex(line); at != nil {
		return line[:at[0]]
	}
	return line
}

// isControl reports whether a character can't be in YAML as it is (YAML 1.2.2, chapter 5.1).
func isControl(r rune) bool {
	return r == '\ufffe' || r == '\uffff' || unicode.IsControl(r) && !strings.ContainsRune("\t\r\u0085", r)
}

// Resolve follows an alias to its node.
func Resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// Describe says in a few words what a node is, for "must be text, not …".
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
