package secret

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"sort"
)

// An index finds texts in a stream; see masking.go.

// textKind says what may be inside and after a text in a stream.
type textKind uint8

const (
	plainText   textKind = iota
	hexText              // may be wrapped into lines
	base64Text           // may be wrapped, and padding may follow
	partialText          // the same, and first one more character may follow, with the last bits of the value and other bits
	dumpText             // hexadecimal in groups and rows
)

// The sizes of windows in bytes.
const (
	maxWindow     = 32
	encodedWindow = 16 // for base64 and hexadecimal, which other texts rarely look like
	rowBytes      = 4  // bytes of the value in a window of a dump
)

func (k textKind) window() int {
	if k == plainText {
		return maxWindow
	}
	return encodedWindow
}

// wraps reports whether a text of the kind may be wrapped into lines.
func (k textKind) wraps() bool { return k != plainText && k != dumpText }

// window is a piece of a text.
type window struct {
	key  uint64 // its first eight bytes, big-endian and padded with zeros: keys sort as the bytes do
	at   uint32 // its place in the array
	n    uint8  // its length in bytes, from MinMasked to maxWindow
	same uint8  // how many windows before this one have the same bytes
	kind textKind
}

// maxSame is how many windows with the same bytes are kept. Different text follows them.
const maxSame = 4

type index struct {
	array   []byte
	ends    []uint32 // the ends of the texts in the array
	windows []window
	four    bitmap // the first four bytes of each window
	full    bitmap // the first eight, or four of a shorter window
}

func (ix *index) bytes(w *window) []byte { return ix.array[w.at:][:w.n] }

// end returns the end of the text at a place in the array.
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

// find returns the longest window that is a prefix of d, and the last one of several with the same bytes; -1 if there is none. more
// says that d is a prefix of a longer window, so that more bytes are needed to tell.
func (ix *index) find(d []byte) (found int, more bool) {
	d = d[:min(len(d), maxWindow)]
	i := ix.above(d)
	more = i < len(ix.windows) && bytes.HasPrefix(ix.bytes(&ix.windows[i]), d)
	// Everything that sorts between a prefix of d and d begins with that prefix. So the window before d is either the
	// answer, or its common prefix with d includes every window that is a prefix of d.
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

// mayBegin reports whether a window may begin with the first four bytes of d. If it returns false, no window begins with d,
// whatever bytes follow d.
func (ix *index) mayBegin(d []byte) bool {
	return len(d) < MinMasked || ix.four.has(hash4(binary.LittleEndian.Uint32(d)))
}

// mayBe does the same for the first eight bytes.
func (ix *index) mayBe(d []byte) bool {
	return len(d) < 8 || ix.full.has(hash8(binary.LittleEndian.Uint64(d))) || ix.full.has(hash4(binary.LittleEndian.Uint32(d)))
}

// skip returns the first place in b, from i on, at which a window may begin or fewer than maxWindow bytes are left.
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

// The hashes are multiplications by odd constants with well-mixed bits (2^64 and 2^32 divided by the golden ratio). The upper half
// of the product is the hash.
func hash4(v uint32) uint32 { return v * 0x9e3779b1 }
func hash8(v uint64) uint32 { return uint32(v * 0x9e3779b97f4a7c15 >> 32) }

// bitmap is a set of the upper bits of hashes.
type bitmap struct {
	words []uint64
	shift uint8
}

// newBitmap makes a bitmap for n hashes. If n is less than 2^17, at most one in 32 other hashes seems to be in it. A bitmap for
// more hashes would no longer fit into a processor's cache.
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
