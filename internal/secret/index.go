package secret

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"sort"
)

// The texts that are looked for, that is values in their encodings, lie one after another in one array. What is looked
// for of a text are windows: a short text in full, of a long one the pieces that it can be cut into. Windows are sorted,
// so that a binary search tells which one begins at a place of the stream, and whether more bytes could make it one.
// Two bitmaps of hashes keep nearly all places from getting that far.

type textKind uint8

const (
	plainText   textKind = iota
	hexText              // may be wrapped into lines
	base64Text           // the same, and padding may come after it
	partialText          // the same, and before that a character with the last bits and some of what follows
	dumpText             // hexadecimal in groups and rows
)

const (
	maxWindow     = 32
	encodedWindow = 16 // of base64 and hexadecimal, which nothing else looks like
	rowBytes      = 4  // of a dump, in a window
)

func (k textKind) window() int {
	if k == plainText {
		return maxWindow
	}
	return encodedWindow
}

// wraps says that a text may be wrapped into lines.
func (k textKind) wraps() bool { return k != plainText && k != dumpText }

// window is a piece of a text.
type window struct {
	key  uint64 // its first eight bytes, big-endian, zeros behind a shorter one: sorts as the bytes do
	at   uint32 // in the array
	n    uint8  // MinMasked to maxWindow bytes
	same uint8  // how many windows before this one have the same bytes
	kind textKind
}

// maxSame is how many windows of the same bytes are kept. They differ in what follows.
const maxSame = 4

type index struct {
	array   []byte
	ends    []uint32 // of each text
	windows []window
	four    bitmap // the first four bytes of each window
	full    bitmap // the first eight, or four of a shorter window
}

func (ix *index) bytes(w *window) []byte { return ix.array[w.at:][:w.n] }

// end is where the text of a place ends.
func (ix *index) end(at uint32) uint32 {
	return ix.ends[sort.Search(len(ix.ends), func(i int) bool { return ix.ends[i] > at })]
}

// above returns the first window that sorts after d.
func (ix *index) above(d []byte) int {
	key := keyOf(d)
	lo, hi := 0, len(ix.windows)
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		w := &ix.windows[mid]
		if w.key < key || w.key == key && bytes.Compare(ix.bytes(w), d) <= 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// find returns the longest window that d begins with, the last one of its bytes; -1 if there is none. more says that
// d is too short to tell: it is the beginning of a longer window.
func (ix *index) find(d []byte) (found int, more bool) {
	d = d[:min(len(d), maxWindow)]
	i := ix.above(d)
	more = i < len(ix.windows) && bytes.HasPrefix(ix.bytes(&ix.windows[i]), d)
	// Whatever sorts between a beginning of d and d begins with it. So the window before d is the one, or has in
	// common with d all of every window that is.
	for i--; i >= 0; {
		w := ix.bytes(&ix.windows[i])
		common := 0
		for common < len(w) && w[common] == d[common] {
			common++
		}
		if common == len(w) {
			return i, more
		}
		if common < MinMasked {
			break
		}
		i = ix.above(d[:common]) - 1
	}
	return -1, more
}

// mayBegin says whether a window may begin with the first four bytes of d; if not, none does, nor would with more
// bytes behind d.
func (ix *index) mayBegin(d []byte) bool {
	return len(d) < MinMasked || ix.four.has(hash4(binary.LittleEndian.Uint32(d)))
}

// mayBe says the same of the first eight.
func (ix *index) mayBe(d []byte) bool {
	return len(d) < 8 || ix.full.has(hash8(binary.LittleEndian.Uint64(d))) || ix.full.has(hash4(binary.LittleEndian.Uint32(d)))
}

// skip returns the first place from i on that may begin a window, or the first that has less than maxWindow bytes.
func (ix *index) skip(b []byte, i int) int {
	four := ix.four
	for end := len(b) - maxWindow; i <= end; i++ {
		v := binary.LittleEndian.Uint64(b[i:])
		h := hash4(uint32(v))
		if four.has(h) && (ix.full.has(hash8(v)) || ix.full.has(h) || bytes.IndexByte(b[i+minJoin:i+maxJoin], '\n') >= 0) {
			return i
		}
	}
	return i
}

func keyOf(d []byte) uint64 {
	if len(d) >= 8 {
		return binary.BigEndian.Uint64(d)
	}
	var first [8]byte
	copy(first[:], d)
	return binary.BigEndian.Uint64(first[:])
}

// The hashes multiply by odd constants with well-mixed bits (2^64 and 2^32 over the golden ratio); the upper half is
// the hash.
func hash4(v uint32) uint32 { return v * 0x9e3779b1 }
func hash8(v uint64) uint32 { return uint32(v * 0x9e3779b97f4a7c15 >> 32) }

// bitmap is a set of hashes, by their upper bits.
type bitmap struct {
	words []uint64
	shift uint8
}

// newBitmap makes room for n hashes such that one in 32 other ones at most seems to be in it, as long as it has
// fewer than 2^17 of them, which is where it would no longer fit a processor's cache.
func newBitmap(n int) bitmap {
	size := min(max(bits.Len(uint(32*n)), 16), 22)
	return bitmap{words: make([]uint64, 1<<(size-6)), shift: uint8(32 - size)}
}

func (m *bitmap) has(h uint32) bool {
	h >>= m.shift & 31
	return m.words[h>>6]>>(h&63)&1 != 0
}

func (m *bitmap) add(h uint32) {
	h >>= m.shift & 31
	m.words[h>>6] |= 1 << (h & 63)
}
