package secret

import (
	"bytes"
	"encoding/base64"
	"strings"
	"unicode"
	"unicode/utf8"
)

// unit is a text that is masked wherever it stands: a value, or a leaf of one that is JSON or YAML.
type unit struct {
	text  []byte
	parts []segment // that are masked by themselves; the whole is the first
}

const (
	// minLeaf is the length of a leaf from which it is masked whatever its key is: tokens and keys are that long, while
	// a shorter one may be a word that logs are full of.
	minLeaf = 16
	// maxNested is how deep leaves in leaves are looked into, such as a kubeconfig that has a key in base64.
	maxNested = 4
)

// units returns what to mask of a value: its leaves if it is JSON or YAML, and otherwise the value itself. Of leaves
// those that have nothing to hide are left out (see classify), and if that is all of them the value is masked itself.
func units(value []byte) []unit {
	var c collector
	c.add(value, 0)
	return c.units
}

type collector struct{ units []unit }

func (c *collector) add(value []byte, depth int) {
	found := len(c.units)
	if depth < maxNested {
		for _, l := range leavesOf(value) {
			c.addLeaf(l, depth)
		}
	}
	if len(c.units) > found {
		return
	}
	if parts := segments(value); len(parts) > 0 {
		c.units = append(c.units, unit{value, parts})
		c.addDecoded(value, depth)
		c.addPairs(value, parts, depth)
	}
}

func (c *collector) addLeaf(l leaf, depth int) {
	switch classify(l.key, l.value) {
	case alone:
		c.add([]byte(l.value), depth+1)
		if password, ok := passwordOf(l.value); ok {
			c.add([]byte(password), maxNested)
		}
	case withKey:
		if parts := segments(l.source); len(parts) > 0 {
			c.units = append(c.units, unit{l.source, parts})
		}
	}
}

// addPairs looks into the values of lines that are pairs, which segments has as parts already.
func (c *collector) addPairs(value []byte, parts []segment, depth int) {
	for _, p := range parts[1:] {
		c.addDecoded(value[p.from:p.to], depth)
	}
}

// addDecoded adds what a text is the base64 of, if that is text too: the user and password of a registry, a PEM of a
// kubeconfig.
func (c *collector) addDecoded(value []byte, depth int) {
	value = bytes.TrimSpace(value)
	if depth >= maxNested || len(value) < minLeaf {
		return
	}
	flat := strings.NewReplacer("\n", "", "\r", "", "-", "+", "_", "/").Replace(string(value))
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(flat, "="))
	if err != nil || len(raw) < minEncodedLine || !isText(raw) {
		return
	}
	c.add(raw, depth+1)
	if _, password, ok := bytes.Cut(raw, []byte(":")); ok && !bytes.ContainsAny(raw, " \n") {
		c.add(password, maxNested)
	}
}

func isText(b []byte) bool {
	return utf8.Valid(b) && bytes.IndexFunc(b, func(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune("\n\r\t", r) }) < 0
}
