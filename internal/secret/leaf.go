package secret

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"go.yaml.in/yaml/v3"
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
var looksLikeYAML = pattern(`^(\{|(#[^\n]*\n|\s*\n)*(---( [^\n]*)?\n|- [^\n]*\n|["']?[A-Za-z_][\w./-]*["']?:( [^\n]*)?\n))`)

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
			if k := n.Content[i]; k.Kind == yaml.ScalarNode {
				y.leaves = append(y.leaves, leaf{key: keyOfKeys, value: k.Value})
				y.walk(k.Value, n.Content[i+1])
			} else {
				y.walk(key, k)
				y.walk(key, n.Content[i+1])
			}
		}
	case yaml.ScalarNode:
		if n.Tag == "!!null" || n.Tag == "!!bool" {
			return
		}
		source := bytes.TrimSpace(y.lines[min(n.Line, len(y.lines))-1])
		y.leaves = append(y.leaves, leaf{key, n.Value, bytes.TrimSpace(bytes.TrimPrefix(source, []byte("- ")))})
	default: // documents and lists; an alias stands for what is walked elsewhere
		for _, child := range n.Content {
			y.walk(key, child)
		}
	}
}
