package secret

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"slices"
)

// encoder encodes a text.
//
// Each encoder is applied to a value, and the outer encoders are applied once more to the results: a registry's secret in the output
// of kubectl is base64 in base64, an event in a log is JSON in JSON, and a redirection has a URL in a URL.
type encoder struct {
	kind   textKind // of the encoding
	bits   int      // for base64 and base32: bits of a character
	offset int      // for base64 and base32: bytes before the text in what a program encodes
	limit  int      // size in bytes of the largest value that it is applied to, to keep the index small
	outer  bool     // it is also applied to texts in another encoding
	// sibling says that the encoder before this one differs in few characters, so that most windows are the same.
	sibling bool
	// encode appends the encoding of s to dst. It returns the places that the parts of s have in the encoding.
	encode func(dst, s []byte, parts []segment) ([]byte, []segment)
}

// kindOf returns the kind of the encoding of n bytes.
func (e encoder) kindOf(n int) textKind {
	if e.bits > 0 && 8*(e.offset+n)%e.bits != 0 {
		return partialText
	}
	return e.kind
}

// encoders returns all encoders. Those that are likeliest as outer encodings come first.
func encoders() []encoder {
	list := []encoder{bytewise(unchanged, MaxValueBytes, false)}
	for offset := range 3 {
		list = append(list,
			bitwise(base64.RawStdEncoding, 6, offset, MaxValueBytes),
			sibling(bitwise(base64.RawURLEncoding, 6, offset, MaxValueBytes)))
	}
	list = append(list,
		bytewise(jsonStyle{}.escape, MaxValueBytes, true),
		bytewise(jsonStyle{html: true}.escape, MaxValueBytes, true),
		bytewise(jsonStyle{ascii: true}.escape, largeValue, true),
		bytewise(urlStyle{keep: "-_.~", upper: true}.escape, MaxValueBytes, true),
		bytewise(urlStyle{keep: "-_.~", upper: true, plus: true}.escape, MaxValueBytes, true),
		bytewise(urlStyle{keep: "-_.~"}.escape, largeValue, true),
		bytewise(urlStyle{keep: "-_.~", plus: true}.escape, largeValue, true),
		bytewise(urlStyle{keep: "-_.!~*'()", upper: true}.escape, largeValue, true),
		hexadecimal(false), sibling(hexadecimal(true)))
	for _, q := range quotings() {
		list = append(list, bytewise(q.escape, largeValue, q.outer))
	}
	for _, upper := range []bool{false, true} {
		for _, j := range []jsonStyle{{}, {html: true}, {slash: true}, {del: true}, {ascii: true}, {ascii: true, slash: true}} {
			j.upper = upper
			list = append(list, bytewise(j.escape, largeValue, false))
		}
		for _, keep := range []string{
			"-_.~/",                   // Python's quote
			"-_.!~*'()",               // JavaScript's encodeURIComponent
			"-_.~$&+:=@",              // Go's PathEscape
			"-_.!~*'();/?:@&=+$,#[]|", // JavaScript's encodeURI, for a whole URL
		} {
			list = append(list, bytewise(urlStyle{keep: keep, upper: upper}.escape, largeValue, false))
		}
		list = append(list, bytewise(urlStyle{keep: "-_.*", plus: true, upper: upper}.escape, largeValue, false)) // JavaScript's URLSearchParams, Java
	}
	for _, j := range []jsonStyle{
		{html: true, ascii: true},                              // Ruby on Rails
		{html: true, ascii: true, signs: "'"},                  // Python's Flask
		{html: true, ascii: true, signs: "\"'+`", upper: true}, // .NET
	} {
		list = append(list, bytewise(j.escape, largeValue, false))
	}
	list = append(list, bytewise(percent("%%%02x"), mediumValue, false), bytewise(percent("%%%02X"), mediumValue, false))
	for offset := range 5 {
		for _, alphabet := range []*base32.Encoding{base32.StdEncoding, lowerBase32} {
			list = append(list, bitwise(alphabet.WithPadding(base32.NoPadding), 5, offset, mediumValue))
		}
	}
	for _, group := range []int{1, 2} {
		for first := range group {
			list = append(list, dump(group, group-first))
		}
	}
	return list
}

var lowerBase32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567")

func sibling(e encoder) encoder {
	e.sibling = true
	return e
}

// bytewise returns the encoder of an escape. The encoding of a part of a text is a part of the encoding of the text.
func bytewise(escape escape, limit int, outer bool) encoder {
	return encoder{kind: plainText, limit: limit, outer: outer, encode: func(dst, s []byte, parts []segment) ([]byte, []segment) {
		// The places in the text at which a part begins or ends, and their places in the encoding.
		marks := []int{0, len(s)}
		for _, p := range parts {
			marks = append(marks, p.from, p.to)
		}
		slices.Sort(marks)
		marks = slices.Compact(marks)
		from, places := len(dst), make([]int, len(marks))
		for i := 1; i < len(marks); i++ {
			dst = escape(dst, string(s[marks[i-1]:marks[i]]))
			places[i] = len(dst) - from
		}
		encoded := make([]segment, len(parts))
		for i, p := range parts {
			from, _ := slices.BinarySearch(marks, p.from)
			to, _ := slices.BinarySearch(marks, p.to)
			encoded[i] = p.scaled(places[from], places[to])
		}
		return dst, encoded
	}}
}

func hexadecimal(upper bool) encoder {
	return encoder{kind: hexText, limit: MaxValueBytes, outer: !upper, encode: func(dst, s []byte, parts []segment) ([]byte, []segment) {
		from := len(dst)
		dst = hex.AppendEncode(dst, s)
		if upper {
			copy(dst[from:], bytes.ToUpper(dst[from:]))
		}
		encoded := make([]segment, len(parts))
		for i, p := range parts {
			encoded[i] = p.scaled(2*p.from, 2*p.to)
		}
		return dst, encoded
	}}
}

// bitEncoding is base64 or base32.
type bitEncoding interface {
	AppendEncode(dst, src []byte) []byte
}

// bitwise returns an encoder of base64 (6 bits per character) or base32 (5 bits) for a text in the middle of something larger. The
// number of bytes before the text is offset, modulo the bytes of a group (3 or 5). The encoding has only those characters that
// have no bits of the bytes around the text.
func bitwise(enc bitEncoding, bits, offset int, limit int) encoder {
	return encoder{kind: base64Text, bits: bits, offset: offset, limit: limit, outer: limit == MaxValueBytes, encode: func(dst, s []byte, parts []segment) ([]byte, []segment) {
		padded := append(make([]byte, offset, offset+len(s)), s...)
		defer clear(padded)
		skip, end := (8*offset+bits-1)/bits, 8*len(padded)/bits
		from := len(dst)
		dst = enc.AppendEncode(dst, padded)
		dst = append(dst[:from], dst[from+skip:from+end]...)
		encoded := make([]segment, len(parts))
		for i, p := range parts {
			encoded[i] = p.scaled((8*(offset+p.from)+bits-1)/bits-skip, 8*(offset+p.to)/bits-skip)
		}
		return dst, encoded
	}}
}

// dump returns an encoder for the numbers that xxd(1), hexdump(1) and od(1) print: bytes in groups, with first bytes in the first
// group.
func dump(group, first int) encoder {
	return encoder{kind: dumpText, limit: mediumValue, encode: func(dst, s []byte, parts []segment) ([]byte, []segment) {
		from := len(dst)
		for i := range s {
			if i > 0 && (i-first)%group == 0 {
				dst = append(dst, ' ')
			}
			dst = hex.AppendEncode(dst, s[i:i+1])
		}
		return dst, []segment{{from: 0, to: len(dst) - from}}
	}}
}
