package secret

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"slices"
)

const (
	// maxWindows bounds the windows of a text, except those at the beginnings and ends of lines.
	maxWindows = 2048
	// largeValue is the size from which only the most common encodings are looked for, to keep the index small.
	largeValue = 4 << 10
)

// builder makes an index.
type builder struct {
	array   []byte
	ends    []uint32
	windows []window
}

// encoded is a text at the end of the array.
type encoded struct {
	from  int
	parts []segment // to be found by themselves, from its beginning
}

// add adds the encodings of a value.
func (b *builder) add(value []byte) {
	parts := segments(value)
	if len(parts) == 0 {
		return
	}
	first := len(b.ends)
	if len(value) > largeValue {
		b.array = slices.Grow(b.array, 16*len(value)) // what it comes to, mostly
	}
	b.addEscapes(value, parts, first)
	// From here on the bytes count from the beginning of the whole.
	whole := parts[0]
	value = value[whole.from:whole.to]
	encodable := parts[:0]
	for i, p := range parts {
		if i == 0 || p.to-p.from >= minEncodedLine {
			encodable = append(encodable, p.scaled(p.from-whole.from, p.to-whole.from))
		}
	}
	b.addHex(value, encodable, first)
	for offset := range 3 {
		b.addBase64(value, offset, encodable, first)
	}
}

// addEscapes adds the encodings that go character by character.
func (b *builder) addEscapes(value []byte, parts []segment, first int) {
	list := escapes()
	if len(value) > largeValue {
		list = commonEscapes()
	}
	// The places in the value at which a part begins or ends, and where they come to be in the encoding.
	var marks []int
	for _, p := range parts {
		marks = append(marks, p.from, p.to)
	}
	slices.Sort(marks)
	marks = slices.Compact(marks)
	places := make([]int, len(marks))
	var plain encoded
	for i, escape := range list {
		text := encoded{len(b.array), make([]segment, len(parts))}
		for j := 1; j < len(marks); j++ {
			b.array = escape(b.array, string(value[marks[j-1]:marks[j]]))
			places[j] = len(b.array) - text.from
		}
		for j, p := range parts {
			from, _ := slices.BinarySearch(marks, p.from)
			to, _ := slices.BinarySearch(marks, p.to)
			text.parts[j] = p.scaled(places[from], places[to])
		}
		if i == 0 {
			plain = text
		}
		b.addText(text, plain, plainText, first)
	}
}

func (b *builder) addHex(value []byte, parts []segment, first int) {
	lower := encoded{len(b.array), make([]segment, len(parts))}
	for i, p := range parts {
		lower.parts[i] = p.scaled(2*p.from, 2*p.to)
	}
	b.array = hex.AppendEncode(b.array, value)
	b.addText(lower, lower, hexText, first)
	upper := encoded{len(b.array), lower.parts}
	b.array = append(b.array, bytes.ToUpper(b.array[lower.from:][:2*len(value)])...)
	b.addText(upper, lower, hexText, first)
}

// addBase64 adds the base64 encodings of anything that has value in it after a number of bytes that leaves the
// remainder offset when divided by 3: the characters that have no bits of what stands around.
func (b *builder) addBase64(value []byte, offset int, parts []segment, first int) {
	kind := base64Text
	if (offset+len(value))%3 != 0 {
		kind = partialText
	}
	padded := append(make([]byte, offset, offset+len(value)), value...)
	defer clear(padded)
	skip, end := (8*offset+5)/6, 8*len(padded)/6
	inside := make([]segment, len(parts))
	for i, p := range parts {
		inside[i] = p.scaled((8*(offset+p.from)+5)/6-skip, 8*(offset+p.to)/6-skip)
	}
	var std encoded
	for i, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		text := encoded{len(b.array), inside}
		b.array = enc.AppendEncode(b.array, padded)
		b.array = append(b.array[:text.from], b.array[text.from+skip:text.from+end]...)
		if i == 0 {
			std = text
		}
		b.addText(text, std, kind, first)
	}
}

// addText adds the text that is at the end of the array, or takes it away if it is among those from the first-th on.
// Windows that the other text, one that was added, has at the same place of the same part are in the index by that.
func (b *builder) addText(text, other encoded, kind textKind, first int) {
	content := b.array[text.from:]
	for i := first; i < len(b.ends); i++ {
		from := uint32(0)
		if i > 0 {
			from = b.ends[i-1]
		}
		if bytes.Equal(b.array[from:b.ends[i]], content) {
			b.array = b.array[:text.from]
			return
		}
	}
	b.ends = append(b.ends, uint32(len(b.array)))
	size := kind.window()
	step := max(size, (len(content)+maxWindows-1)/maxWindows)
	for i, p := range text.parts {
		q := other.parts[i]
		alike := text.from != other.from && q.to-q.from == p.to-p.from
		add := func(at, n int) {
			if kind == plainText {
				n = len(bytes.TrimRight(content[at:at+n], space)) // what only goes with what follows
			}
			if n < MinMasked || alike && bytes.Equal(content[at:at+n], b.array[other.from+q.from+at-p.from:][:n]) {
				return
			}
			b.addWindow(text.from+at, n, kind)
		}
		// A line break too near the beginning for join hides the first window, but not this one.
		if rest := p.to - p.from - minJoin; kind != plainText && rest >= minEncodedLine {
			add(p.from+minJoin, min(rest, size))
		}
		at := p.from
		for ; at+size < p.to; at += step {
			add(at, size)
			if p.edges {
				break
			}
		}
		// The last one ends where the part does.
		at = max(p.from, p.to-size)
		add(at, p.to-at)
	}
}

func (b *builder) addWindow(at, n int, kind textKind) {
	b.windows = append(b.windows, window{key: keyOf(b.array[at:][:n]), at: uint32(at), n: uint8(n), kind: kind})
}

// build returns the index of what was added; nil if that is nothing.
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
