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

// maxYAML is the size in bytes up to which YAML is parsed. Larger values are masked by their lines, which takes less memory.
const maxYAML = 128 << 10

// leaf is a scalar in JSON or YAML.
type leaf struct {
	key    string // the key of the leaf, or of the list that contains it
	value  string // decoded
	source []byte // the leaf and its key as they are written
}

// keyOfKeys is the key of the leaves that are keys themselves: classify keeps them readable if they are words.
const keyOfKeys = "name"

// leavesOf returns the leaves of JSON, or of YAML with a mapping. It returns nil for any other value.
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
			return nil // it isn't YAML, so its lines are masked
		}
		docs.walk("", &doc)
	}
}

// looksLikeYAML matches a flow mapping, and several lines that begin with a key, an item or the start of a document.
var looksLikeYAML = lazyregexp.New(`^(\{|(#[^\n]*\n|\s*\n)*(---( [^\n]*)?\n|- [^\n]*\n|["']?[A-Za-z_][\w./-]*["']?:( [^\n]*)?\n))`)

// jsonLeaves returns the scalars of valid JSON, except true, false and null.
func jsonLeaves(value []byte) []leaf {
	var (
		leaves  []leaf
		keys    []string // the keys of the objects and lists around the token
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
			return leaves // the JSON is valid, so this is its end
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
	mapped bool // it has a mapping
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
	default: // documents and lists; the target of an alias is walked elsewhere
		for _, child := range n.Content {
			y.walk(key, child)
		}
	}
}

// scalar adds a leaf, whose source begins at the node from.
func (y *yamlLeaves) scalar(key string, from, n *yaml.Node) {
	if n.Tag == "!!null" || n.Tag == "!!bool" {
		return
	}
	source := y.source(from, n)
	if source == nil { // for example if it has several lines
		source = bytes.TrimSpace(y.lines[min(n.Line, len(y.lines))-1])
		source = bytes.TrimSpace(bytes.TrimPrefix(source, []byte("- ")))
	}
	y.leaves = append(y.leaves, leaf{key, n.Value, source})
}

// source returns the part of a line from one node to the end of another. It returns nil if they are on different lines, or if
// the second node has escapes.
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

// column returns the byte at which a node begins in a line, or -1. YAML counts columns in characters.
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
