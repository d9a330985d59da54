package tool

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// schema is a JSON Schema under construction.
type schema map[string]any

// shape is one kind of YAML value: how to read it, and how to describe it in JSON Schema. Reading reports what is wrong
// under the given label, the key or a phrase such as "an entry of ports", and then returns false.
type shape[V any] struct {
	schema schema
	read   func(d *decoder, n *yaml.Node, label string) (V, bool)
}

// field is one key of a mapping that is read into a T. Lists of fields are the one source of what keys exist, what they
// take and what they mean.
type field[T any] struct {
	key, doc string
	required bool
	schema   schema
	read     func(d *decoder, n *yaml.Node, into *T)
}

// bind makes a field out of a key, its documentation, a shape and the place where its value goes.
func bind[T, V any](key, doc string, s shape[V], place func(*T) *V) field[T] {
	return field[T]{key: key, doc: doc, schema: s.schema, read: func(d *decoder, n *yaml.Node, into *T) {
		if v, ok := s.read(d, n, key); ok {
			*place(into) = v
		}
	}}
}

// needed marks a field as required.
func needed[T any](f field[T]) field[T] {
	f.required = true
	return f
}

// object is a mapping with the given fields and no others. finish, if any, checks what single fields can't, on a value
// whose fields may be missing after problems of their own.
func object[T any](what string, fields []field[T], finish func(d *decoder, n *yaml.Node, v *T)) shape[T] {
	props := schema{}
	var required []string
	keys := make([]string, len(fields))
	for i, f := range fields {
		s := maps.Clone(f.schema)
		s["description"] = f.doc
		props[f.key] = s
		keys[i] = f.key
		if f.required {
			required = append(required, f.key)
		}
	}
	sch := schema{"type": "object", "properties": props, "additionalProperties": false}
	if required != nil {
		sch["required"] = required
	}
	return shape[T]{schema: sch, read: func(d *decoder, n *yaml.Node, label string) (T, bool) {
		var v T
		n = resolve(n)
		if n.Kind != yaml.MappingNode {
			d.report(n, fmt.Sprintf("%s must be a mapping of keys, not %s", label, describe(n)), "its keys are "+listing(keys))
			return v, false
		}
		before := len(d.problems)
		seen, done := map[string]bool{}, map[string]bool{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := resolve(n.Content[i])
			if key.Kind != yaml.ScalarNode || seen[key.Value] {
				continue // reported by inspect
			}
			seen[key.Value], done[key.Value] = true, true
			at := slices.Index(keys, key.Value)
			if at < 0 {
				done[d.unknownKey(n.Content[i], what, keys)] = true // a required key that is misspelt is not missing too
				continue
			}
			fields[at].read(d, n.Content[i+1], &v)
		}
		for _, f := range fields {
			if f.required && !done[f.key] {
				d.report(n, fmt.Sprintf("%s has no %s", what, f.key), "add "+f.key+": …")
			}
		}
		if finish != nil {
			finish(d, n, &v)
		}
		return v, len(d.problems) == before
	}}
}

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
			if len(d.problems) >= maxKeptProblems {
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

// byKind picks a shape by the kind of node; a nil shape is a kind that isn't taken.
func byKind[V any](want string, scalar, sequence, mapping *shape[V]) shape[V] {
	var any []schema
	for _, s := range []*shape[V]{scalar, sequence, mapping} {
		if s != nil {
			any = append(any, s.schema)
		}
	}
	return shape[V]{schema: schema{"anyOf": any}, read: func(d *decoder, n *yaml.Node, label string) (V, bool) {
		n = resolve(n)
		s := map[yaml.Kind]*shape[V]{yaml.ScalarNode: scalar, yaml.SequenceNode: sequence, yaml.MappingNode: mapping}[n.Kind]
		if s == nil || n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
			var zero V
			d.report(n, fmt.Sprintf("%s must be %s, not %s", label, want, describe(n)), "")
			return zero, false
		}
		return s.read(d, n, label)
	}}
}

// convert changes the values of a shape.
func convert[A, B any](s shape[A], f func(A) B) shape[B] {
	return shape[B]{schema: s.schema, read: func(d *decoder, n *yaml.Node, label string) (B, bool) {
		a, ok := s.read(d, n, label)
		return f(a), ok
	}}
}

// located hands the position of a value to the function that makes the final one.
func located[A, B any](s shape[A], f func(A, Position) B) shape[B] {
	return shape[B]{schema: s.schema, read: func(d *decoder, n *yaml.Node, label string) (B, bool) {
		a, ok := s.read(d, n, label)
		return f(a, d.position(n)), ok
	}}
}

// text is a string that check, if any, accepts. check returns what is wrong ("is not a name") and a hint.
func text(extra schema, check func(string) (wrong, hint string)) shape[string] {
	sch := schema{"type": "string"}
	maps.Copy(sch, extra)
	return shape[string]{schema: sch, read: func(d *decoder, n *yaml.Node, label string) (string, bool) {
		n = resolve(n)
		// A plain date is text to everybody but YAML 1.1.
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" && n.ShortTag() != "!!timestamp" {
			hint := pairHint(n)
			if n.Kind == yaml.ScalarNode && n.ShortTag() != "!!null" {
				hint = quoteHint(n)
			}
			d.report(n, fmt.Sprintf("%s must be text, not %s", label, describe(n)), hint)
			return "", false
		}
		return n.Value, d.accept(n, label, n.Value, check)
	}}
}

// loose is text in which numbers and true or false stand for themselves as written: "1.10" stays 1.10.
func loose(check func(string) (wrong, hint string)) shape[string] {
	sch := schema{"type": []string{"string", "number", "boolean"}}
	return shape[string]{schema: sch, read: func(d *decoder, n *yaml.Node, label string) (string, bool) {
		n = resolve(n)
		if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
			d.report(n, fmt.Sprintf("%s must be text or a number, not %s", label, describe(n)), pairHint(n))
			return "", false
		}
		return n.Value, d.accept(n, label, n.Value, check)
	}}
}

// pairHint helps where text has a ": " in it, by which it is a mapping.
func pairHint(n *yaml.Node) string {
	if n.Kind != yaml.MappingNode || len(n.Content) != 2 || n.Content[0].Kind != yaml.ScalarNode || n.Content[1].Kind != yaml.ScalarNode {
		return ""
	}
	return "if it is text, put it in quotes: " + singleQuoted(n.Content[0].Value+": "+n.Content[1].Value)
}

func (d *decoder) accept(n *yaml.Node, label, value string, check func(string) (wrong, hint string)) bool {
	if check == nil {
		return true
	}
	wrong, hint := check(value)
	if wrong == "" {
		return true
	}
	d.report(n, fmt.Sprintf("%s %s %s", label, quote(value), wrong), hint)
	return false
}

// quantity is a number with a unit, which parse turns into a whole number of the smallest unit.
func quantity[N int64 | int](types []string, parse func(string) (v N, wrong, hint string)) shape[N] {
	return unambiguous(shape[N]{schema: schema{"type": types}, read: func(d *decoder, n *yaml.Node, label string) (N, bool) {
		n = resolve(n)
		tag := n.ShortTag()
		if n.Kind != yaml.ScalarNode || tag != "!!str" && tag != "!!int" && tag != "!!float" {
			_, _, hint := parse("")
			d.report(n, fmt.Sprintf("%s must be a number with a unit, not %s", label, describe(n)), hint)
			return 0, false
		}
		v, wrong, hint := parse(n.Value)
		if wrong != "" {
			d.report(n, fmt.Sprintf("%s %s %s", label, quote(n.Value), wrong), hint)
			return 0, false
		}
		return v, true
	}})
}

// integer is a whole number in a range.
func integer(least, most int64) shape[int64] {
	sch := schema{"type": "integer", "minimum": least, "maximum": most}
	return unambiguous(shape[int64]{schema: sch, read: func(d *decoder, n *yaml.Node, label string) (int64, bool) {
		n = resolve(n)
		v, err := yamlInt(n)
		if errors.Is(err, strconv.ErrSyntax) {
			d.report(n, fmt.Sprintf("%s must be a whole number, not %s", label, describe(n)), "")
			return 0, false
		}
		if err != nil || v < least || v > most {
			span := fmt.Sprintf("from %d to %d", least, most)
			if most == math.MaxInt64 {
				span = fmt.Sprintf("%d or more", least)
			}
			d.report(n, fmt.Sprintf("%s %s is out of range", label, brief(n.Value)), "it must be "+span)
			return 0, false
		}
		return v, true
	}})
}

// yamlInt reads the ways in which YAML writes whole numbers: decimal, 0x, 0o and 0b, with underscores. What isn't one is
// a syntax error of strconv, and what is too large a range error.
func yamlInt(n *yaml.Node) (int64, error) {
	if !numeric(n) {
		return 0, strconv.ErrSyntax
	}
	s := strings.ReplaceAll(n.Value, "_", "")
	if _, wrong := decimal(s); wrong == tooLarge {
		return 0, strconv.ErrRange // which the parser takes for a float, or for text
	}
	return strconv.ParseInt(s, 0, 64)
}

// unambiguous refuses numbers that the versions of YAML read differently.
func unambiguous[V any](s shape[V]) shape[V] {
	read := s.read
	s.read = func(d *decoder, n *yaml.Node, label string) (V, bool) {
		if r := resolve(n); numeric(r) {
			if wrong := ambiguous(r.Value); wrong != "" {
				var zero V
				d.report(r, label+" is ambiguous: "+wrong, "")
				return zero, false
			}
		}
		return read(d, n, label)
	}
	return s
}

// boolean is true or false.
func boolean() shape[bool] {
	return shape[bool]{schema: schema{"type": "boolean"}, read: func(d *decoder, n *yaml.Node, label string) (bool, bool) {
		n = resolve(n)
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" {
			d.report(n, fmt.Sprintf("%s must be true or false, not %s", label, describe(n)), "")
			return false, false
		}
		return strings.EqualFold(n.Value, "true"), true
	}}
}

// choice is text out of a few words.
func choice(what string, words ...string) shape[string] {
	s := loose(func(s string) (string, string) {
		if slices.Contains(words, s) {
			return "", ""
		}
		return "is not " + article(what), didYouMean(s, words, "write ")
	})
	s.schema = schema{"enum": words}
	return s
}

// pointer is a shape whose value is kept apart from "not given".
func pointer[V any](s shape[V]) shape[*V] {
	return convert(s, func(v V) *V { return &v })
}
