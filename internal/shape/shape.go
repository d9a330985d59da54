// Package shape turns YAML into typed values. For everything that is wrong it says what is wrong, where, and what to write
// instead. It reads everything that people write for Mayfly: definitions, and the settings of operators.
//
// A file is read in one pass over its YAML nodes, guided by a [Shape]: a table of fields for each mapping. The JSON Schema
// comes from the same tables, so an editor and the reader agree. Anyone may have written a file: [Bounds] apply before the
// parser runs.
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

// Shape describes one kind of YAML value: how to read it, and its JSON Schema. Read reports what is wrong under the given
// label, which is the key or a phrase such as "an entry of ports", and then returns false.
type Shape[V any] struct {
	Schema Schema
	Read   func(d *Decoder, n *yaml.Node, label string) (V, bool)
}

// Field is one key of a mapping that is read into a T. Lists of fields are the only source of the keys that exist, their
// values and their documentation.
type Field[T any] struct {
	Key, Doc string
	required bool
	Schema   Schema
	Read     func(d *Decoder, n *yaml.Node, into *T)
}

// Bind returns a field with a key, its documentation and a shape. place returns where the value goes.
func Bind[T, V any](key, doc string, s Shape[V], place func(*T) *V) Field[T] {
	return Field[T]{Key: key, Doc: doc, Schema: s.Schema, Read: func(d *Decoder, n *yaml.Node, into *T) {
		if v, ok := s.Read(d, n, key); ok {
			*place(into) = v
		}
	}}
}

// Required returns the field marked as required.
func Required[T any](f Field[T]) Field[T] {
	f.required = true
	return f
}

// Object returns the shape of a mapping with the given fields and no others. finish, if not nil, checks what single fields
// can't. It gets a value in which fields with problems may be missing. what names the object in messages.
func Object[T any](what string, fields []Field[T], finish func(d *Decoder, n *yaml.Node, v *T)) Shape[T] {
	return ObjectWithHints(what, fields, nil, finish)
}

// ObjectWithHints is [Object] with hints for keys of other formats. A hint is either a key of this object or a sentence.
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

// ByKind returns a shape that picks one of three by the kind of node; a nil shape refuses its kind.
func ByKind[V any](want string, scalar, sequence, mapping *Shape[V]) Shape[V] {
	var alternatives []Schema
	for _, s := range []*Shape[V]{scalar, sequence, mapping} {
		if s != nil {
			alternatives = append(alternatives, s.Schema)
		}
	}
	return Shape[V]{Schema: Schema{"anyOf": alternatives}, Read: func(d *Decoder, n *yaml.Node, label string) (V, bool) {
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

// Convert returns a shape whose values are those of s after f.
func Convert[A, B any](s Shape[A], f func(A) B) Shape[B] {
	return Shape[B]{Schema: s.Schema, Read: func(d *Decoder, n *yaml.Node, label string) (B, bool) {
		a, ok := s.Read(d, n, label)
		return f(a), ok
	}}
}

// Located is [Convert] with a function that also gets the position of the value.
func Located[A, B any](s Shape[A], f func(A, Position) B) Shape[B] {
	return Shape[B]{Schema: s.Schema, Read: func(d *Decoder, n *yaml.Node, label string) (B, bool) {
		a, ok := s.Read(d, n, label)
		return f(a, d.Position(n)), ok
	}}
}

// Integer returns the shape of a whole number in a range.
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

// yamlInt reads whole numbers as YAML writes them: decimal, 0x, 0o and 0b, with underscores. It returns strconv.ErrSyntax for
// any other text, and strconv.ErrRange for a number that is too large.
func yamlInt(n *yaml.Node) (int64, error) {
	if !numeric(n) {
		return 0, strconv.ErrSyntax
	}
	s := strings.ReplaceAll(n.Value, "_", "")
	if _, wrong := decimal(s); wrong == tooLarge {
		return 0, strconv.ErrRange // the parser reads it as a float or as text
	}
	return strconv.ParseInt(s, 0, 64)
}

// Unambiguous returns the shape s without numbers that the versions of YAML read differently.
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

// Boolean returns the shape of true and false.
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

// Pointer returns the shape s with pointers as values, so that nil can mean "not given".
func Pointer[V any](s Shape[V]) Shape[*V] {
	return Convert(s, func(v V) *V { return &v })
}
