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
	return objectWithHints(what, fields, nil, finish)
}

// objectWithHints is an object that knows keys of other formats. A hint that is a key is what the object calls it; another is
// a sentence.
func objectWithHints[T any](what string, fields []field[T], hints func() map[string]string, finish func(d *decoder, n *yaml.Node, v *T)) shape[T] {
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
		before := d.Count()
		seen, done := map[string]bool{}, map[string]bool{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := resolve(n.Content[i])
			if key.Kind != yaml.ScalarNode || seen[key.Value] {
				continue // reported by inspect
			}
			seen[key.Value], done[key.Value] = true, true
			at := slices.Index(keys, key.Value)
			if at < 0 {
				done[d.unknownKey(n.Content[i], what, keys, hints)] = true // a required key that is misspelt is not missing too
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
		return v, d.Count() == before
	}}
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

// pointer is a shape whose value is kept apart from "not given".
func pointer[V any](s shape[V]) shape[*V] {
	return convert(s, func(v V) *V { return &v })
}
