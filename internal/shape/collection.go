package shape

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// This file has the shapes of lists, of mappings, and of values of any kind.

// List returns the shape of a sequence whose items have the shape s. what names an item in messages. Reading returns the
// items that it could read even if others are wrong.
func List[V any](what string, s Shape[V]) Shape[[]V] {
	return Shape[[]V]{Schema: Schema{"type": "array", "items": s.Schema}, Read: func(d *Decoder, n *yaml.Node, label string) ([]V, bool) {
		n = Resolve(n)
		if n.Kind != yaml.SequenceNode {
			d.Report(n, fmt.Sprintf("%s must be a list, not %s", label, Describe(n)), listHint(n, s.Schema))
			return nil, false
		}
		out := make([]V, 0, len(n.Content))
		for _, c := range n.Content {
			if d.Count() >= maxKeptProblems {
				return out, false
			}
			// A list keeps its length if an item is wrong, so that later checks can refer to items by index.
			v, _ := s.Read(d, c, what)
			out = append(out, v)
		}
		return out, true
	}}
}

// listHint says how to write a value as a list: a scalar or a mapping as its only item, or the keys of a mapping as its items.
func listHint(n *yaml.Node, item Schema) string {
	if n.Kind == yaml.MappingNode && len(n.Content) > 0 {
		return listOfKeys(n, item)
	}
	if value := asItem(n); value != "" && isScalar(item) {
		return "write [" + value + "]"
	}
	return ""
}

func listOfKeys(n *yaml.Node, item Schema) string {
	of, _ := item["properties"].(Schema)
	isItem := len(n.Content) > 2 || Resolve(n.Content[1]).Kind != yaml.MappingNode // a single mapping may be under a name that is also a key
	for i := 0; i < len(n.Content); i += 2 {
		isItem = isItem && of[Resolve(n.Content[i]).Value] != nil
	}
	first := asItem(Resolve(n.Content[0]))
	switch {
	case first == "":
		return ""
	case isItem:
		return fmt.Sprintf("write [{%s: …}]", first)
	case of["name"] != nil:
		return fmt.Sprintf("write [{name: %s, …}]", first)
	case isScalar(item):
		return "write [" + first + ", …]"
	}
	return ""
}

// asItem writes a scalar as an item of a list, in quotes if it needs them. It returns "" for a node that isn't text or a number.
func asItem(n *yaml.Node) string {
	value := Brief(n.Value)
	switch {
	case n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" || value == "":
		return ""
	case n.ShortTag() != "!!str":
		return value
	case strings.ContainsAny(value, ":,[]{}#*&!|>'\"%@`") || value[:1] == "-" || (&yaml.Node{Kind: yaml.ScalarNode, Value: value}).ShortTag() != "!!str":
		return Quote(value)
	}
	return value
}

// isScalar reports whether a schema accepts only scalars.
func isScalar(s Schema) bool {
	if kinds, several := s["anyOf"].([]Schema); several {
		return !slices.ContainsFunc(kinds, func(s Schema) bool { return !isScalar(s) })
	}
	return s["enum"] != nil || s["type"] != nil && s["type"] != "object" && s["type"] != "array"
}

// OneOrMore returns the shape of one value or a list of values that isn't empty.
func OneOrMore[V any](what string, s Shape[V]) Shape[[]V] {
	one := Convert(s, func(v V) []V { return []V{v} })
	more := List(what, s)
	read := more.Read
	more.Read = func(d *Decoder, n *yaml.Node, label string) ([]V, bool) {
		v, ok := read(d, n, label)
		if ok && len(v) == 0 {
			d.Report(n, label+" is an empty list", "leave it out")
			return nil, false
		}
		return v, ok
	}
	more.Schema["minItems"] = 1
	return ByKind("a text or a list of them", &one, &more, nil)
}

// Mapping returns the shape of a mapping with free keys. keys is the schema of a key and check checks one; either may be nil.
// begin returns an empty M, and add is called for each pair in the order of the file. what names a key in messages.
func Mapping[V, M any](value Shape[V], keys Schema, check func(string) (wrong, hint string), what string, add func(M, string, V) M, begin func() M) Shape[M] {
	sch := Schema{"type": "object", "additionalProperties": value.Schema}
	if keys != nil {
		sch["propertyNames"] = keys
	}
	return Shape[M]{Schema: sch, Read: func(d *Decoder, n *yaml.Node, label string) (M, bool) {
		before := d.Count()
		out := begin()
		ok := d.EachPair(n, label, func(key string, at, v *yaml.Node) {
			if check != nil && !d.Accept(at, what, key, check) {
				return
			}
			if value, ok := value.Read(d, v, what+" "+Quote(key)); ok {
				out = add(out, key, value)
			}
		})
		return out, ok && d.Count() == before
	}}
}

// Map returns the shape of a mapping with free keys that is read into a map. See [Mapping].
func Map[V any](value Shape[V], keys Schema, check func(string) (wrong, hint string), what string) Shape[map[string]V] {
	return Mapping(value, keys, check, what, func(m map[string]V, k string, v V) map[string]V {
		m[k] = v
		return m
	}, func() map[string]V { return map[string]V{} })
}

// AnyJSON returns the shape of any value that JSON can represent.
func AnyJSON() Shape[any] { return anyShape(nodeWritten) }

// Any returns the shape of any value. Each value without quotes that isn't text becomes a [Scalar], which keeps how it is written.
func Any() Shape[any] { return anyShape(nodeValues) }

func anyShape(decode func(*yaml.Node) (any, *valueError)) Shape[any] {
	return Shape[any]{Schema: Schema{}, Read: func(d *Decoder, n *yaml.Node, label string) (any, bool) {
		v, bad := decode(n)
		if bad != nil {
			d.Report(bad.node, label+" "+bad.in(n), bad.hint)
			return nil, false
		}
		return v, true
	}}
}

// Node returns a shape that accepts any node unread, for values whose meaning depends on other keys.
func Node() Shape[*yaml.Node] {
	return Shape[*yaml.Node]{Schema: Schema{}, Read: func(_ *Decoder, n *yaml.Node, _ string) (*yaml.Node, bool) {
		return n, true
	}}
}
