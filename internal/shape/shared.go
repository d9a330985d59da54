package shape

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// This file reads the two ways to share parts of a file: merge keys (https://yaml.org/type/merge.html), and top-level keys
// that begin with "x-", which are ignored and are a place for anchors.

// sharedPrefix is the prefix of top-level keys that are ignored.
const sharedPrefix = "x-"

// dropShared removes the top-level keys that are ignored. Aliases keep their targets.
func dropShared(root *yaml.Node) {
	if root.Kind != yaml.MappingNode {
		return
	}
	kept := root.Content[:0:0]
	for i := 0; i+1 < len(root.Content); i += 2 {
		if !strings.HasPrefix(Resolve(root.Content[i]).Value, sharedPrefix) {
			kept = append(kept, root.Content[i], root.Content[i+1])
		}
	}
	root.Content = kept
}

func isMerge(key *yaml.Node) bool { return key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge" }

// checkMerge reports the value of a merge key that isn't a mapping or a list of mappings.
func (w *walker) checkMerge(n *yaml.Node) {
	sources := []*yaml.Node{n}
	if r := Resolve(n); r.Kind == yaml.SequenceNode {
		sources = r.Content
	}
	for _, s := range sources {
		if Resolve(s).Kind != yaml.MappingNode {
			w.Report(s, fmt.Sprintf(`"<<" takes a mapping or a list of mappings, not %s`, Describe(s)), "write <<: *NAME or <<: [*NAME, *OTHER]")
		}
	}
}

// merge replaces merge keys by the keys that they stand for, in the whole tree. A mapping's own keys come first, then those
// of the merged mappings in their order. inspect has already bounded the nodes, with each alias counted as often as it is
// used.
func merge(n *yaml.Node, done map[*yaml.Node]bool) {
	n = Resolve(n)
	if done[n] {
		return
	}
	done[n] = true
	for _, c := range n.Content {
		merge(c, done)
	}
	if n.Kind != yaml.MappingNode {
		return
	}
	var sources []*yaml.Node
	own := n.Content[:0:0]
	has := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if !isMerge(key) {
			own, has[Resolve(key).Value] = append(own, key, value), true
			continue
		}
		if r := Resolve(value); r.Kind == yaml.SequenceNode {
			sources = append(sources, r.Content...)
		} else {
			sources = append(sources, r)
		}
	}
	for _, s := range sources {
		s = Resolve(s)
		if s.Kind != yaml.MappingNode {
			continue // checkMerge has reported it
		}
		for i := 0; i+1 < len(s.Content); i += 2 {
			if key := Resolve(s.Content[i]).Value; !has[key] {
				own, has[key] = append(own, s.Content[i], s.Content[i+1]), true
			}
		}
	}
	n.Content = own
}
