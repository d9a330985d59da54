// Package shape turns YAML into typed values, and says of everything that is wrong with it what is wrong, where, and what to
// write instead. Whatever people write for Mayfly is read by it: definitions, and the settings of operators.
//
// A file is read in one pass over its YAML nodes, guided by a [Shape]: a table of fields for each mapping. The same tables make
// the JSON Schema, so that an editor and the reader agree. Files may be anybody's: [Bounds] hold before the parser runs.
package shape

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

// Shape is one kind of YAML value: how to read it, and how to describe it in JSON Schema. Reading reports what is wrong
// under the given label, the key or a phrase such as "an entry of ports", and then returns false.
type Shape[V any] struct {
	Schema Schema
	Read   func(d *Decoder, n *yaml.Node, label string) (V, bool)
}

// Field is one key of a mapping that is read into a T. Lists of fields are the one source of what keys exist, what they
// take and what they mean.
type Field[T any] struct {
	Key, Doc string
	required bool
	Schema   Schema
	Read     func(d *Decoder, n *yaml.Node, into *T)
}

// Bind makes a field out of a key, its documentation, a shape and the place where its value goes.
func Bind[T, V any](key, doc string, s Shape[V], place func(*T) *V) Field[T] {
	return Field[T]{Key: key, Doc: doc, Schema: s.Schema, Read: func(d *Decoder, n *yaml.Node, into *T) {
		if v, ok := s.Read(d, n, key); ok {
			*place(into) = v
		}
	}}
}

// Required marks a field as required.
func Required[T any](f Field[T]) Field[T] {
	f.required = true
	return f
}

// Object is a mapping with the given fields and no others. finish, if any, checks what single fields can't, on a value
// whose fields may be missing after problems of their own.
func Object[T any](what string, fields []Field[T], finish func(d *Decoder, n *yaml.Node, v *T)) Shape[T] {
	return ObjectWithHints(what, fields, nil, finish)
}

// ObjectWithHints is an object that knows keys of other formats. A hint that is a key is what the object calls it; another is
// a sentence.
func ObjectWithHints[T any](what string, fields []Field[T], hints func() map[string]string, finish func(d *Decoder, n *yaml.Node, v *T)) Shape[T] {
	props := Schema{}
	var required []string
	keys := make([]string, len(fields))
	for i, f := range fields {
		s := maps.Clone(f.Schema)
		s["description"] = f.Doc
		props[f.Key] = s
		keys[i] = f.Key
		if f.required {
			required = append(required, f.Key)
		}
	}
	sch := Schema{"type": "object", "properties": props, "additionalProperties": false}
	if required != nil {
		sch["required"] = required
	}
	return Shape[T]{Schema: sch, Read: func(d *Decoder, n *yaml.Node, label string) (T, bool) {
		var v T
		n = Resolve(n)
		if n.Kind != yaml.MappingNode {
			d.Report(n, fmt.Sprintf("%s must be a mapping of keys, not %s", label, Describe(n)), "its keys are "+Listing(keys))
			return v, false
		}
		before := d.Count()
		seen, done := map[string]bool{}, map[string]bool{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := Resolve(n.Content[i])
			if key.Kind != yaml.ScalarNode || seen[key.Value] {
				continue // reported by inspect
			}
			seen[key.Value], done[key.Value] = true, true
			at := slices.Index(keys, key.Value)
			if at < 0 {
				done[d.unknownKey(n.Content[i], what, keys, hints)] = true // a required key that is misspelt is not missing too
				continue
			}
			fields[at].Read(d, n.Content[i+1], &v)
		}
		for _, f := range fields {
			if f.required && !done[f.Key] {
				d.Report(n, fmt.Sprintf("%s has no %s", what, f.Key), "add "+f.Key+": …")
			}
		}
		if finish != nil {
			finish(d, n, &v)
		}
		return v, d.Count() == before
	}}
}

// ByKind picks a shape by the kind of node; a nil shape is a kind that isn't taken.
func ByKind[V any](want string, scalar, sequence, mapping *Shape[V]) Shape[V] {
	var any []Schema
	for _, s := range []*Shape[V]{scalar, sequence, mapping} {
		if s != nil {
			any = append(any, s.Schema)
		}
	}
	return Shape[V]{Schema: Schema{"anyOf": any}, Read: func(d *Decoder, n *yaml.Node, label string) (V, bool) {
		n = Resolve(n)
		s := map[yaml.Kind]*Shape[V]{yaml.ScalarNode: scalar, yaml.SequenceNode: sequence, yaml.MappingNode: mapping}[n.Kind]
		if s == nil || n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
			var zero V
			d.Report(n, fmt.Sprintf("%s must be %s, not %s", label, want, Describe(n)), "")
			return zero, false
		}
		return s.Read(d, n, label)
	}}
}

// Convert changes the values of a shape.
func Convert[A, B any](s Shape[A], f func(A) B) Shape[B] {
	return Shape[B]{Schema: s.Schema, Read: func(d *Decoder, n *yaml.Node, label string) (B, bool) {
		a, ok := s.Read(d, n, label)
		return f(a), ok
	}}
}

// Located hands the position of a value to the function that makes the final one.
func Located[A, B any](s Shape[A], f func(A, Position) B) Shape[B] {
	return Shape[B]{Schema: s.Schema, Read: func(d *Decoder, n *yaml.Node, label string) (B, bool) {
		a, ok := s.Read(d, n, label)
		return f(a, d.Position(n)), ok
	}}
}

// Integer is a whole number in a range.
func Integer(least, most int64) Shape[int64] {
	sch := Schema{"type": "integer", "minimum": least, "maximum": most}
	return Unambiguous(Shape[int64]{Schema: sch, Read: func(d *Decoder, n *yaml.Node, label string) (int64, bool) {
		n = Resolve(n)
		v, err := yamlInt(n)
		if errors.Is(err, strconv.ErrSyntax) {
			d.Report(n, fmt.Sprintf("%s must be a whole number, not %s", label, Describe(n)), "")
			return 0, false
		}
		if err != nil || v < least || v > most {
			span := fmt.Sprintf("from %d to %d", least, most)
			if most == math.MaxInt64 {
				span = fmt.Sprintf("%d or more", least)
			}
			d.Report(n, fmt.Sprintf("%s %s is out of range", label, Brief(n.Value)), "it must be "+span)
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

// Unambiguous refuses numbers that the versions of YAML read differently.
func Unambiguous[V any](s Shape[V]) Shape[V] {
	read := s.Read
	s.Read = func(d *Decoder, n *yaml.Node, label string) (V, bool) {
		if r := Resolve(n); numeric(r) {
			if wrong := ambiguous(r.Value); wrong != "" {
				var zero V
				d.Report(r, label+" is ambiguous: "+wrong, "")
				return zero, false
			}
		}
		return read(d, n, label)
	}
	return s
}

// Boolean is true or false.
func Boolean() Shape[bool] {
	return Shape[bool]{Schema: Schema{"type": "boolean"}, Read: func(d *Decoder, n *yaml.Node, label string) (bool, bool) {
		n = Resolve(n)
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" {
			d.Report(n, fmt.Sprintf("%s must be true or false, not %s", label, Describe(n)), "")
			return false, false
		}
		return strings.EqualFold(n.Value, "true"), true
	}}
}

// Pointer is a shape whose value is kept apart from "not given".
func Pointer[V any](s Shape[V]) Shape[*V] {
	return Convert(s, func(v V) *V { return &v })
}
