package secret

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"hash/maphash"
	"slices"
)

const (
	// maxWindows is the largest number of windows of a text, not counting those at the beginnings and ends of lines.
	maxWindows = 2048
	// mediumValue and largeValue are sizes in bytes of the largest values that some encoders are applied to (encoder.limit).
	mediumValue = 4 << 10
	largeValue  = 32 << 10
	// maxComposed is the largest size in bytes of all texts in two encodings together.
	maxComposed = 3 << 20
)

// builder makes an index of values: masking.go has an overview.
type builder struct {
	array   []byte   // all texts, one after another
	ends    []uint32 // where each text ends in it
	windows []window

	// While values are added:
	texts []text
	seen  map[uint64][]int // of texts, by the hash of their bytes and their unit
	sizes map[string]int   // of units: the smallest value that each is of
	units int
}

// text is a unit in one encoding.
type text struct {
	unit     int // its number
	from, to int // its place in the array
	kind     textKind
	plain    bool       // it is the unit without an encoding
	by       encoderSet // the encoders that produce it
	parts    []segment  // the parts that are masked by themselves, relative to from
}

// encoderSet is a set of indexes of encoders.
type encoderSet [2]uint64

const maxEncoders = 128

func (s *encoderSet) add(k int)      { s[k/64] |= 1 << (k % 64) }
func (s *encoderSet) has(k int) bool { return s[k/64]&(1<<(k%64)) != 0 }

var hashSeed = maphash.MakeSeed()

// add adds the values in all their encodings.
func (b *builder) add(values ...[]byte) {
	b.seen, b.sizes = map[uint64][]int{}, map[string]int{}
	list := encoders()
	for _, value := range values {
		if len(value) > largeValue {
			b.array = slices.Grow(b.array, 20*len(value)) // usually enough
		}
		for _, u := range units(value) {
			// A value may have the same leaf thousands of times: add it only once.
			if size, found := b.sizes[string(u.text)]; !found || len(value) < size {
				b.sizes[string(u.text)] = len(value)
				b.addForms(u, list, len(value))
			}
		}
	}
	b.compose(list)
	b.texts, b.seen, b.sizes = nil, nil, nil
}

// addForms adds a unit in each encoding. size is the size of the value that has the unit.
func (b *builder) addForms(u unit, list []encoder, size int) {
	b.units++
	plain := text{unit: b.units, from: len(b.array), to: len(b.array) + len(u.text), parts: u.parts}
	var before *text
	for i, e := range list {
		if size <= e.limit {
			before = b.addText(e, i, u.text, plain, before)
		}
	}
}

// compose adds texts in two encodings: the outer encoders applied to the texts of all encoders, and every escape applied to its
// own texts. It begins with the likeliest encoders and the smallest texts, and stops at maxComposed.
func (b *builder) compose(list []encoder) {
	inner := slices.DeleteFunc(slices.Clone(b.texts), func(t text) bool { return t.plain || t.kind == dumpText || t.to-t.from < minEncodedLine })
	slices.SortStableFunc(inner, func(x, y text) int { return cmp.Compare(x.to-x.from, y.to-y.from) })
	limit := len(b.array) + maxComposed
	before := make([]*text, len(inner))
	for k, e := range list {
		for i, t := range inner {
			if !e.outer && (e.kind != plainText || !t.by.has(k)) {
				continue
			}
			if len(b.array)+2*(t.to-t.from) > limit {
				break
			}
			before[i] = b.addText(e, k, b.array[t.from:t.to], t, before[i])
		}
	}
}

// addText adds what the encoder with the number k makes of a text, with its windows. It returns nil if the unit has that text
// already. source is the bytes of the text of, which aren't in the array yet if it is a plain one. before is what the encoder
// before this one made of it.
func (b *builder) addText(e encoder, k int, source []byte, of text, before *text) *text {
	parts := of.parts
	if e.kind != plainText {
		parts = withoutShortLines(parts)
	}
	t := text{unit: of.unit, from: len(b.array), kind: e.kindOf(len(source)), plain: len(b.array) == of.from}
	t.by.add(k)
	b.array, t.parts = e.encode(b.array, source, parts)
	t.to = len(b.array)
	if !b.addUnlessKnown(t, k) {
		b.array = b.array[:t.from]
		return nil
	}
	b.ends = append(b.ends, uint32(t.to))
	switch like := e.likeness(&of, before); {
	case t.kind == dumpText:
		b.addRows(t)
	case like == nil || t.plain: // a plain text is like itself
		for _, p := range t.parts {
			b.addPart(t, p, segment{})
		}
	default:
		for i, p := range t.parts {
			q := like.parts[i]
			b.addPart(t, p, q.scaled(like.from+q.from, like.from+q.to))
		}
	}
	return &t
}

// withoutShortLines leaves out the segments that are too short to be looked for in an encoding. The first is the whole, and stays.
func withoutShortLines(parts []segment) []segment {
	return slices.DeleteFunc(slices.Clone(parts), func(p segment) bool {
		return p != parts[0] && p.to-p.from < minEncodedLine
	})
}

// addUnlessKnown adds a text, and reports whether it did: if the unit has a text of the same bytes, it only records that the encoder k
// makes that one, too.
func (b *builder) addUnlessKnown(t text, k int) bool {
	content := b.array[t.from:t.to]
	hash := maphash.Bytes(hashSeed, content) + uint64(t.unit)
	for _, i := range b.seen[hash] {
		if o := b.texts[i]; o.unit == t.unit && bytes.Equal(b.array[o.from:o.to], content) {
			b.texts[i].by.add(k)
			return false
		}
	}
	b.seen[hash] = append(b.seen[hash], len(b.texts))
	b.texts = append(b.texts, t)
	return true
}

// likeness is the text from which what the encoder makes of a text differs in few places, segment by segment: for an escape the text
// itself, and for a sibling what the encoder before it made, if that is not nil. Others have none.
func (e encoder) likeness(of, before *text) *text {
	switch {
	case e.sibling:
		return before
	case e.kind == plainText:
		return of
	}
	return nil
}

// addPart adds the windows of a part of a text. other is a part of another text, by its places in the array, that is found in
// any case: windows that it has at the same places are left out.
func (b *builder) addPart(t text, p, other segment) {
	content := b.array[t.from:t.to]
	size := t.kind.window()
	step := max(size, (len(content)+maxWindows-1)/maxWindows)
	alike := other.to-other.from == p.to-p.from
	add := func(at, n int) {
		if t.kind == plainText {
			n = len(bytes.TrimRight(content[at:at+n], space)) // white space at the end is masked only together with the text after it
		}
		if n < MinMasked || alike && bytes.Equal(content[at:at+n], b.array[other.from+at-p.from:][:n]) {
			return
		}
		b.addWindow(t.from+at, n, t.kind)
	}
	// join doesn't find the first window if a line break is within its first minJoin bytes. It finds this window then.
	if rest := p.to - p.from - minJoin; t.kind != plainText && rest >= minEncodedLine {
		add(p.from+minJoin, min(rest, size))
	}
	at := p.from
	for ; at+size < p.to; at += step {
		add(at, size)
		if p.edges {
			break
		}
	}
	// The last window ends where the part ends.
	at = max(p.from, p.to-size)
	add(at, p.to-at)
}

// addRows adds the windows of a dump, whose rows may begin at any byte of the value.
func (b *builder) addRows(t text) {
	content := b.array[t.from:t.to]
	for at := range content {
		if at > 0 && content[at-1] != ' ' {
			continue // not the beginning of a group
		}
		n, digits := 0, 0
		for ; at+n < len(content) && digits < 2*rowBytes; n++ {
			if content[at+n] != ' ' {
				digits++
			}
		}
		if digits == 2*rowBytes {
			b.addWindow(t.from+at, n, dumpText)
		}
	}
}

func (b *builder) addWindow(at, n int, kind textKind) {
	b.windows = append(b.windows, window{key: keyOf(b.array[at:][:n]), at: uint32(at), n: uint8(n), kind: kind})
}

// build returns the index of the added values, or nil if there is nothing to mask.
func (b *builder) build() *index {
	if len(b.windows) == 0 {
		return nil
	}
	ix := &index{array: b.array, ends: b.ends, windows: b.windows}
	slices.SortFunc(ix.windows, func(x, y window) int {
		if c := cmp.Compare(x.key, y.key); c != 0 {
			return c
		}
		if c := bytes.Compare(ix.bytes(&x), ix.bytes(&y)); c != 0 {
			return c
		}
		return int(x.at) - int(y.at)
	})
	kept := ix.windows[:0]
	for _, w := range ix.windows {
		if n := len(kept); n > 0 && bytes.Equal(ix.bytes(&kept[n-1]), ix.bytes(&w)) {
			if w.same = kept[n-1].same + 1; w.same >= maxSame || w.at == kept[n-1].at {
				continue
			}
		}
		kept = append(kept, w)
	}
	ix.windows = slices.Clip(kept)
	ix.four, ix.full = newBitmap(len(kept)), newBitmap(len(kept))
	for i := range kept {
		d := ix.bytes(&kept[i])
		four := hash4(binary.LittleEndian.Uint32(d))
		ix.four.add(four)
		if len(d) >= 8 {
			ix.full.add(hash8(binary.LittleEndian.Uint64(d)))
		} else {
			ix.full.add(four)
		}
	}
	return ix
}
