package secret

// unit is a text that is masked wherever it stands: a value, or a leaf of one that is JSON, YAML or lines with pairs.
type unit struct {
	text  []byte
	parts []segment // that are masked by themselves; the whole is the first
}

// maxNested is how deep texts in texts are looked into, such as a key in a kubeconfig in base64.
const maxNested = 4

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
	if depth <= maxNested && c.addLeaves(value, depth) && len(c.units) > found {
		return
	}
	all := textUnits(value)
	c.units = append(c.units, all...)
	if len(all) == 0 || depth > maxNested {
		return
	}
	c.addInner(value, depth)
	for _, u := range all {
		lines := u.parts
		if len(lines) > 1 {
			lines = lines[1:]
		} else if len(all) == 1 {
			continue // it is the value
		}
		for _, line := range lines {
			c.addInner(u.text[line.from:line.to], depth)
		}
	}
}

// addLeaves adds the leaves of a structure, and says whether the value is one.
func (c *collector) addLeaves(value []byte, depth int) bool {
	leaves := leavesOf(value)
	for _, l := range leaves {
		c.addLeaf(l, depth)
	}
	return len(leaves) > 0
}

func (c *collector) addLeaf(l leaf, depth int) {
	// A password may look like a structure, `{hunter2}` like YAML's.
	found := len(c.units)
	if depth < maxNested && c.addLeaves([]byte(l.value), depth+1) && (len(c.units) > found || !namesSecret(keyWords(l.key))) {
		return
	}
	switch classify(l.key, l.value) {
	case readable:
	case alone:
		c.add([]byte(l.value), depth+1)
	case withKey:
		c.units = append(c.units, textUnits(l.source)...)
		c.addPasswords([]byte(l.value), depth)
	}
}
