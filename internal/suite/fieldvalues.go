package suite

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/shape"
	"go.yaml.in/yaml/v3"
)

// Field says what the values of a query parameter or header must be. Without any field except Name it requires any value.
type Field struct {
	Name string
	// Value must match one of the values.
	Value *Matcher
	// All must match all the values, one each, in any order.
	All []*Matcher
	// Absent requires that there is no value.
	Absent bool
}

// Match reports whether the values of a parameter or header are as required.
func (f *Field) Match(values []string) bool {
	switch {
	case f.Absent:
		return len(values) == 0
	case f.All != nil:
		return len(f.All) == len(values) && pairs(f.All, values)
	}
	return slices.ContainsFunc(values, f.Value.Match)
}

// pairs reports whether each matcher can have its own value. It uses augmenting paths: a value that is already used moves to
// another matcher if that makes room.
func pairs(matchers []*Matcher, values []string) bool {
	takenBy := make([]int, len(values))
	for i := range takenBy {
		takenBy[i] = -1
	}
	for i := range matchers {
		if !take(i, matchers, values, takenBy, make([]bool, len(values))) {
			return false
		}
	}
	return true
}

func take(i int, matchers []*Matcher, values []string, takenBy []int, tried []bool) bool {
	for j, value := range values {
		if tried[j] || !matchers[i].Match(value) {
			continue
		}
		tried[j] = true
		if takenBy[j] < 0 || take(takenBy[j], matchers, values, takenBy, tried) {
			takenBy[j] = i
			return true
		}
	}
	return false
}

// String returns the requirement, for messages.
func (f *Field) String() string {
	switch {
	case f.Absent:
		return "absent"
	case f.All != nil:
		words := make([]string, len(f.All))
		for i, m := range f.All {
			words[i] = orEmpty(m.String())
		}
		return strings.Join(words, " and ")
	}
	return orEmpty(f.Value.String())
}

// orEmpty writes an empty text as "", so that it is visible.
func orEmpty(s string) string { return cmp.Or(s, `""`) }

// maxValues bounds a list of values: comparing takes time in proportion to its square.
const maxValues = 100

// valuesShape returns the shape of query parameters or headers by name: one with null must be present, one with a list must
// have all of these values and no others, and one with {absent: true} must be missing.
func valuesShape(what string, check func(string) (wrong, hint string)) shape.Shape[[]Field] {
	word := matcherShape(word)
	one := shape.Convert(word, func(m *Matcher) Field { return Field{Value: m} })
	list := shape.List("a value", word)
	list.Schema["minItems"], list.Schema["maxItems"] = 1, maxValues
	absent := shape.Object("a comparison with absent", []shape.Field[Field]{
		shape.Bind("absent", "Whether there is no such parameter or header.", shape.Boolean(), func(f *Field) *bool { return &f.Absent }),
	}, nil)
	value := shape.Shape[Field]{
		Schema: shape.Schema{"anyOf": append(slices.Clone(word.Schema["anyOf"].([]shape.Schema)), list.Schema, absent.Schema, shape.Schema{"type": "null"})},
		Read: func(d *shape.Decoder, n *yaml.Node, label string) (Field, bool) {
			switch r := shape.Resolve(n); {
			case r.Kind == yaml.ScalarNode && r.ShortTag() == "!!null":
				return Field{}, true
			case r.Kind == yaml.MappingNode && shape.Has(r, "absent"):
				return absent.Read(d, n, label)
			case r.Kind == yaml.SequenceNode && (len(r.Content) == 0 || len(r.Content) > maxValues):
				d.Report(n, fmt.Sprintf("%s has a list of %d values", label, len(r.Content)), fmt.Sprintf("write 1 to %d, or {absent: true} for none", maxValues))
				return Field{}, false
			case r.Kind == yaml.SequenceNode:
				all, ok := list.Read(d, n, label)
				return Field{All: all}, ok
			}
			return one.Read(d, n, label)
		},
	}
	return shape.Mapping(value, nil, check, what, func(all []Field, name string, f Field) []Field {
		f.Name = name
		return append(all, f)
	}, func() []Field { return nil })
}
