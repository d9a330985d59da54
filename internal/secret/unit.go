package secret

// unit is a text that is masked wherever it occurs: a value, or a leaf of a value that is JSON, YAML or lines with pairs.
type unit struct {
	text  []byte
	parts []segment // the parts that are masked by themselves; the first is the whole
}

// maxNested is the largest depth of texts in texts, such as a key in a kubeconfig in base64.
const maxNested = 4

// units returns the units of a value: its leaves if it is JSON or YAML, and otherwise the value itself. It leaves out leaves that
// have nothing to hide (see classify). If that leaves no unit, it returns the value itself.
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
			continue // the only line is the value itself
		}
		for _, line := range lines {
			c.addInner(u.text[line.from:line.to], depth)
		}
	}
}

// addLeaves adds the leaves of a value, and reports whether it has any.
func (c *collector) addLeaves(value []byte, depth int) bool {
	leaves := leavesOf(value)
	for _, l := range leaves {
		c.addLeaf(l, depth)
	}
	return len(leaves) > 0
}

func (c *collector) addLeaf(l leaf, depth int) {
	// A password may look like a structure: `{hunter2}` is YAML.
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
