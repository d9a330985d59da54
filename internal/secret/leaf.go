package secret

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/mayfly-run/mayfly/internal/lazyregexp"
)

// maxYAML is the size up to which YAML is parsed. Of larger values the lines are looked at, which takes less memory.
const maxYAML = 128 << 10

// leaf is a scalar in JSON or YAML.
type leaf struct {
	key    string // that it, or the list that it is in, stands under
	value  string // decoded
	source []byte // it and its key as they are written
}

// keyOfKeys is what keys themselves stand under: they are names, unless they are no words.
const keyOfKeys = "name"

// leavesOf returns the leaves of JSON and of YAML that has a mapping; none if the value is neither.
func leavesOf(value []byte) []leaf {
	trimmed := bytes.TrimSpace(value)
	if len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') && json.Valid(trimmed) {
		return jsonLeaves(trimmed)
	}
	if len(trimmed) > maxYAML || !looksLikeYAML().Match(trimmed) {
		return nil
	}
	decoder, docs := yaml.NewDecoder(bytes.NewReader(trimmed)), &yamlLeaves{lines: bytes.Split(trimmed, []byte("\n"))}
	for {
		var doc yaml.Node
		if err := decoder.Decode(&doc); err != nil {
			if errors.Is(err, io.EOF) && docs.mapped {
				return docs.leaves
			}
			return nil // it is something else, whose lines are masked
		}
		docs.walk("", &doc)
	}
}

// looksLikeYAML matches a flow mapping, and several lines of which the first is a key, an item or the mark of a document.
var looksLikeYAML = lazyregexp.New(`^(\{|(#[^\n]*\n|\s*\n)*(---( [^\n]*)?\n|- [^\n]*\n|["']?[A-Za-z_][\w./-]*["']?:( [^\n]*)?\n))`)

// jsonLeaves returns the scalars of valid JSON, except true, false and null.
func jsonLeaves(value []byte) []leaf {
	var (
		leaves  []leaf
		keys    []string // of the objects and lists around
		objects []bool
		key     string
		keyFrom int
	)
	isKey := func() bool { return len(objects) > 0 && objects[len(objects)-1] }
	wantKey := false
	decoder := json.NewDecoder(bytes.NewReader(value))
	decoder.UseNumber()
	for {
		from := int(decoder.InputOffset())
		token, err := decoder.Token()
		if err != nil {
			return leaves // it is valid: the end
		}
		text, scalar := "", false
		switch token := token.(type) {
		case json.Delim:
			if token == '{' || token == '[' {
				keys, objects = append(keys, key), append(objects, token == '{')
				wantKey = token == '{'
				continue
			}
			key = keys[len(keys)-1]
			keys, objects = keys[:len(keys)-1], objects[:len(objects)-1]
			wantKey = isKey()
			continue
		case string:
			text, scalar = token, true
		case json.Number:
			text, scalar = token.String(), true
		}
		if wantKey {
			key, keyFrom, wantKey = text, from, false
			leaves = append(leaves, leaf{key: keyOfKeys, value: text})
			continue
		}
		if !isKey() {
			keyFrom = from
		}
		if scalar {
			source := value[keyFrom:decoder.InputOffset()]
			leaves = append(leaves, leaf{key, text, bytes.TrimLeft(source, ", \t\r\n:")})
		}
		wantKey = isKey()
	}
}

type yamlLeaves struct {
	lines  [][]byte
	leaves []leaf
	mapped bool // there is a mapping
}

func (y *yamlLeaves) walk(key string, n *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		y.mapped = true
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, v := n.Content[i], n.Content[i+1]
			if k.Kind != yaml.ScalarNode {
				y.walk(key, k)
				y.walk(key, v)
				continue
			}
			y.leaves = append(y.leaves, leaf{key: keyOfKeys, value: k.Value})
			if v.Kind == yaml.ScalarNode {
				y.scalar(k.Value, k, v)
			} else {
				y.walk(k.Value, v)
			}
		}
	case yaml.ScalarNode:
		y.scalar(key, n, n)
	default: // documents and lists; an alias stands for what is walked elsewhere
		for _, child := range n.Content {
			y.walk(key, child)
		}
	}
}

// scalar adds a leaf, written from one node on.
func (y *yamlLeaves) scalar(key string, from, n *yaml.Node) {
	if n.Tag == "!!null" || n.Tag == "!!bool" {
		return
	}
	source := y.source(from, n)
	if source == nil { // written over several lines, say
		source = bytes.TrimSpace(y.lines[min(n.Line, len(y.lines))-1])
		source = bytes.TrimSpace(bytes.TrimPrefix(source, []byte("- ")))
	}
	y.leaves = append(y.leaves, leaf{key, n.Value, source})
}

// source is a line from one node to the end of another, where that is written as
// it is. A flow mapping has many on a line.
func (y *yamlLeaves) source(from, to *yaml.Node) []byte {
	if from.Line != to.Line || to.Line > len(y.lines) {
		return nil
	}
	line := y.lines[to.Line-1]
	begin, at := column(line, from), column(line, to)
	for _, quote := range []string{"", `'`, `"`} {
		if text := quote + to.Value + quote; begin >= 0 && at >= begin && bytes.HasPrefix(line[at:], []byte(text)) {
			return line[begin : at+len(text)]
		}
	}
	return nil
}

// column is where in a line a node begins, or -1: columns are of characters.
func column(line []byte, n *yaml.Node) int {
	at := 0
	for range n.Column - 1 {
		if at >= len(line) {
			return -1
		}
		_, size := utf8.DecodeRune(line[at:])
		at += size
	}
	return at
}
