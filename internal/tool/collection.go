package tool

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// This file has the shapes of lists and mappings, and of values that may be anything.

// list is a sequence of one shape. The items that could be read are returned even where others could not.
func list[V any](what string, s shape[V]) shape[[]V] {
	return shape[[]V]{schema: schema{"type": "array", "items": s.schema}, read: func(d *decoder, n *yaml.Node, label string) ([]V, bool) {
		n = resolve(n)
		if n.Kind != yaml.SequenceNode {
			d.report(n, fmt.Sprintf("%s must be a list, not %s", label, describe(n)), listHint(n, s.schema))
			return nil, false
		}
		out := make([]V, 0, len(n.Content))
		for _, c := range n.Content {
			if d.Count() >= maxKeptProblems {
				return out, false
			}
			// A list keeps its length where an item is wrong, so that later checks can point at items by index.
			v, _ := s.read(d, c, what)
			out = append(out, v)
		}
		return out, true
	}}
}

// listHint writes a value as a list of it: a scalar that is an item, a mapping that is one, or names that are keys.
func listHint(n *yaml.Node, item schema) string {
	if n.Kind == yaml.MappingNode && len(n.Content) > 0 {
		return listOfKeys(n, item)
	}
	if value := asItem(n); value != "" && isScalar(item) {
		return "write [" + value + "]"
	}
	return ""
}

func listOfKeys(n *yaml.Node, item schema) string {
	of, _ := item["properties"].(schema)
	isItem := len(n.Content) > 2 || resolve(n.Content[1]).Kind != yaml.MappingNode // one mapping by a name that is also a key
	for i := 0; i < len(n.Content); i += 2 {
		isItem = isItem && of[resolve(n.Content[i]).Value] != nil
	}
	first := asItem(resolve(n.Content[0]))
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
	value := brief(n.Value)
	switch {
	case n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" || value == "":
		return ""
	case n.ShortTag() != "!!str":
		return value
	case strings.ContainsAny(value, ":,[]{}#*&!|>'\"%@`") || value[:1] == "-" || (&yaml.Node{Kind: yaml.ScalarNode, Value: value}).ShortTag() != "!!str":
		return quote(value)
	}
	return value
}

// isScalar reports whether a schema takes only scalars.
func isScalar(s schema) bool {
	if kinds, several := s["anyOf"].([]schema); several {
		return !slices.ContainsFunc(kinds, func(s schema) bool { return !isScalar(s) })
	}
	return s["enum"] != nil || s["type"] != nil && s["type"] != "object" && s["type"] != "array"
}

// oneOrMore is one value or a list of them.
func oneOrMore[V any](what string, s shape[V]) shape[[]V] {
	one := convert(s, func(v V) []V { return []V{v} })
	more := list(what, s)
	read := more.read
	more.read = func(d *decoder, n *yaml.Node, label string) ([]V, bool) {
		v, ok := read(d, n, label)
		if ok && len(v) == 0 {
			d.report(n, label+" is an empty list", "leave it out")
			return nil, false
		}
		return v, ok
	}
	more.schema["minItems"] = 1
	return byKind("a text or a list of them", &one, &more, nil)
}

// mapping is a mapping with free keys, in the order of the file.
func mapping[V, M any](value shape[V], keys schema, check func(string) (wrong, hint string), what string, add func(M, string, V) M, begin func() M) shape[M] {
	sch := schema{"type": "object", "additionalProperties": value.schema}
	if keys != nil {
		sch["propertyNames"] = keys
	}
	return shape[M]{schema: sch, read: func(d *decoder, n *yaml.Node, label string) (M, bool) {
		before := d.Count()
		out := begin()
		ok := d.eachPair(n, label, func(key string, at, v *yaml.Node) {
			if check != nil && !d.accept(at, what, key, check) {
				return
			}
			if value, ok := value.read(d, v, what+" "+quote(key)); ok {
				out = add(out, key, value)
			}
		})
		return out, ok && d.Count() == before
	}}
}

// byName is a mapping with free keys as a map.
func byName[V any](value shape[V], keys schema, check func(string) (wrong, hint string), what string) shape[map[string]V] {
	return mapping(value, keys, check, what, func(m map[string]V, k string, v V) map[string]V {
		m[k] = v
		return m
	}, func() map[string]V { return map[string]V{} })
}

// jsonShape is any value that JSON has too.
func jsonShape() shape[any] { return anyShape(nodeWritten) }

// valueShape is any value, in which those without quotes that aren't text stay what they are written as: see [Scalar].
func valueShape() shape[any] { return anyShape(nodeValues) }

func anyShape(decode func(*yaml.Node) (any, *valueError)) shape[any] {
	return shape[any]{schema: schema{}, read: func(d *decoder, n *yaml.Node, label string) (any, bool) {
		v, bad := decode(n)
		if bad != nil {
			d.report(bad.node, label+" "+bad.in(n), bad.hint)
			return nil, false
		}
		return v, true
	}}
}

// node takes any value as it stands, for what depends on other keys.
func node() shape[*yaml.Node] {
	return shape[*yaml.Node]{schema: schema{}, read: func(_ *decoder, n *yaml.Node, _ string) (*yaml.Node, bool) {
		return n, true
	}}
}
