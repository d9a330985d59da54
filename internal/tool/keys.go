package tool

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// This file looks at the keys of mappings, and at the lists below them.

// child returns the value of a key of the mapping n, or n itself: the best place to point at.
func child(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if resolve(n.Content[i]).Value == key {
			return n.Content[i+1]
		}
	}
	return n
}

// item returns the i-th value of the list under a key of the mapping n, or the nearest thing to it.
func item(n *yaml.Node, key string, i int) *yaml.Node {
	list := resolve(child(n, key))
	if list.Kind == yaml.SequenceNode && i < len(list.Content) {
		return list.Content[i]
	}
	return list
}

// has reports whether the mapping n has a key.
func has(n *yaml.Node, key string) bool { return child(n, key) != n }

// keyOf is the first key of an object that has one of these names, or nil.
func keyOf(root *yaml.Node, names ...string) *yaml.Node {
	if root.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		if slices.Contains(names, resolve(root.Content[i]).Value) {
			return root.Content[i]
		}
	}
	return nil
}

// eachPair calls f for every key of a mapping whose keys are free.
func (d *decoder) eachPair(n *yaml.Node, label string, f func(key string, at, value *yaml.Node)) bool {
	n = resolve(n)
	if n.Kind != yaml.MappingNode {
		d.report(n, label+" must be a mapping of keys, not "+describe(n), "")
		return false
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := resolve(n.Content[i])
		if key.Kind != yaml.ScalarNode || seen[key.Value] {
			continue // reported by inspect
		}
		seen[key.Value] = true
		f(key.Value, n.Content[i], n.Content[i+1])
	}
	return true
}

// unique reports values of a list that were there before. key is the key of an item that holds the value, if it is a
// mapping.
func unique[V any](d *decoder, n *yaml.Node, list, what string, values []V, of func(V) string, key string) {
	if len(values) == 0 || !has(n, list) {
		return
	}
	seen := make(map[string]int, len(values))
	place := func(i int) *yaml.Node {
		at := item(n, list, i)
		if resolve(at).Kind == yaml.MappingNode && key != "" {
			return child(resolve(at), key)
		}
		return at
	}
	for i, v := range values {
		s := of(v)
		if s == "" {
			continue // not given, or not valid and reported
		}
		if first, ok := seen[s]; ok && resolve(child(n, list)).Kind == yaml.SequenceNode {
			p := d.position(place(first))
			d.report(place(i), fmt.Sprintf("%s %s is used twice", what, quote(s)),
				fmt.Sprintf("it is first used at line %d, column %d", p.Line, p.Column))
			continue
		}
		seen[s] = i
	}
}

// notEmpty reports a list without items.
func notEmpty(d *decoder, n *yaml.Node, key string) {
	if l := resolve(child(n, key)); l.Kind == yaml.SequenceNode && len(l.Content) == 0 {
		d.report(l, key+" is an empty list", "leave it out, or add an item")
	}
}

// unknownKey reports an unknown key and returns the key that was probably meant, or "". It lists the known keys once for
// each kind of object.
func (d *decoder) unknownKey(at *yaml.Node, what string, keys []string, hints func() map[string]string) (meant string) {
	key := resolve(at).Value
	text := fmt.Sprintf("unknown key %s in %s", quote(key), what)
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
			here = "its key here is " + here
		}
		d.report(at, text, here)
		return meant
	}
	if meant = Nearest(key, keys); meant != "" {
		d.report(at, text, didYouMean(key, keys, ""))
		return meant
	}
	if d.listed[what] {
		d.report(at, text, "")
		return ""
	}
	if d.listed == nil {
		d.listed = map[string]bool{}
	}
	d.listed[what] = true
	d.report(at, text, "its keys are "+listing(keys))
	return ""
}
