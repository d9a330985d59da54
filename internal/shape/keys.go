package shape

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// This file has functions for the keys of mappings and for the lists under them.

// Child returns the value of a key of the mapping n. Without that key it returns n itself, the best position for a message.
func Child(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if Resolve(n.Content[i]).Value == key {
			return n.Content[i+1]
		}
	}
	return n
}

// Item returns the i-th value of the list under a key of the mapping n, or the node nearest to it.
func Item(n *yaml.Node, key string, i int) *yaml.Node {
	list := Resolve(Child(n, key))
	if list.Kind == yaml.SequenceNode && i < len(list.Content) {
		return list.Content[i]
	}
	return list
}

// Has reports whether the mapping n has a key.
func Has(n *yaml.Node, key string) bool { return Child(n, key) != n }

// KeyOf returns the first key of the mapping root that has one of these names, or nil.
func KeyOf(root *yaml.Node, names ...string) *yaml.Node {
	if root.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		if slices.Contains(names, Resolve(root.Content[i]).Value) {
			return root.Content[i]
		}
	}
	return nil
}

// EachPair calls f for every key and value of a mapping with free keys. It reports false if n isn't a mapping.
func (d *Decoder) EachPair(n *yaml.Node, label string, f func(key string, at, value *yaml.Node)) bool {
	n = Resolve(n)
	if n.Kind != yaml.MappingNode {
		d.Report(n, label+" must be a mapping of keys, not "+Describe(n), "")
		return false
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := Resolve(n.Content[i])
		if key.Kind != yaml.ScalarNode || seen[key.Value] {
			continue // reported by inspect
		}
		seen[key.Value] = true
		f(key.Value, n.Content[i], n.Content[i+1])
	}
	return true
}

// Unique reports values that a list has more than once. of returns the text to compare, and "" for a value that doesn't
// count. key is the key of an item that holds the value, for items that are mappings.
func Unique[V any](d *Decoder, n *yaml.Node, list, what string, values []V, of func(V) string, key string) {
	if len(values) == 0 || !Has(n, list) {
		return
	}
	seen := make(map[string]int, len(values))
	place := func(i int) *yaml.Node {
		at := Item(n, list, i)
		if Resolve(at).Kind == yaml.MappingNode && key != "" {
			return Child(Resolve(at), key)
		}
		return at
	}
	for i, v := range values {
		s := of(v)
		if s == "" {
			continue // not given, or invalid and already reported
		}
		if first, ok := seen[s]; ok && Resolve(Child(n, list)).Kind == yaml.SequenceNode {
			p := d.Position(place(first))
			d.Report(place(i), fmt.Sprintf("%s %s is used twice", what, Quote(s)),
				fmt.Sprintf("it is first used at line %d, column %d", p.Line, p.Column))
			continue
		}
		seen[s] = i
	}
}

// NotEmpty reports a list without items.
func NotEmpty(d *Decoder, n *yaml.Node, key string) {
	if l := Resolve(Child(n, key)); l.Kind == yaml.SequenceNode && len(l.Content) == 0 {
		d.Report(l, key+" is an empty list", "leave it out, or add an item")
	}
}

// unknownKey reports an unknown key and returns the key that was probably meant, or "". It lists the known keys only once for
// each kind of object.
func (d *Decoder) unknownKey(at *yaml.Node, what string, keys []string, hints func() map[string]string) (meant string) {
	key := Resolve(at).Value
	text := fmt.Sprintf("unknown key %s in %s", Quote(key), what)
	var here string
	if hints != nil {
		here = hints()[key]
	}
	if here != "" {
		meant, _, _ = strings.Cut(here, ":")
		if !slices.Contains(keys, meant) {
			meant = "" // a sentence
		}
		if meant != "" || !strings.Contains(here, " ") {
			here = "the key here is " + here
		}
		d.Report(at, text, here)
		return meant
	}
	if meant = Nearest(key, keys); meant != "" {
		d.Report(at, text, DidYouMean(key, keys, ""))
		return meant
	}
	if d.listed[what] {
		d.Report(at, text, "")
		return ""
	}
	if d.listed == nil {
		d.listed = map[string]bool{}
	}
	d.listed[what] = true
	d.Report(at, text, "its keys are "+Listing(keys))
	return ""
}
