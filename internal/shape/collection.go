package shape

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// This file has the shapes of lists and mappings, and of values that may be anything.

// List is a sequence of one shape. The items that could be read are returned even where others could not.
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
			// A list keeps its length where an item is wrong, so that later checks can point at items by index.
			v, _ := s.Read(d, c, what)
			out = append(out, v)
		}
		return out, true
	}}
}

// listHint writes a value as a list of it: a scalar that is an item, a mapping that is one, or names that are keys.
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
	isItem := len(n.Content) > 2 || Resolve(n.Content[1]).Kind != yaml.MappingNode // one mapping by a name that is also a key
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

// asItem writes a scalar as an item of a list, in quotes where it needs them; "" for one that isn't text or a number.
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

// isScalar reports whether a schema takes only scalars.
func isScalar(s Schema) bool {
	if kinds, several := s["anyOf"].([]Schema); several {
		return !slices.ContainsFunc(kinds, func(s Schema) bool { return !isScalar(s) })
	}
	return s["enum"] != nil || s["type"] != nil && s["type"] != "object" && s["type"] != "array"
}

// OneOrMore is one value or a list of them.
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

// Mapping is a mapping with free keys, in the order of the file.
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

// Map is a mapping with free keys as a map.
func Map[V any](value Shape[V], keys Schema, check func(string) (wrong, hint string), what string) Shape[map[string]V] {
	return Mapping(value, keys, check, what, func(m map[string]V, k string, v V) map[string]V {
		m[k] = v
		return m
	}, func() map[string]V { return map[string]V{} })
}

// AnyJSON is any value that JSON has too.
func AnyJSON() Shape[any] { return anyShape(nodeWritten) }

// Any is any value, in which those without quotes that aren't text stay what they are written as: see [Scalar].
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

// Node takes any value as it stands, for what depends on other keys.
func Node() Shape[*yaml.Node] {
	return Shape[*yaml.Node]{Schema: Schema{}, Read: func(_ *Decoder, n *yaml.Node, _ string) (*yaml.Node, bool) {
		return n, true
	}}
}
