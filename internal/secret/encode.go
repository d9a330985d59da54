package secret

import (
	"fmt"
	"html"
	"strings"
	"unicode/utf8"
)

// escape is an encoding of text that goes character by character, so that the encoding of a line is a part of the
// encoding of the whole.
type escape func(dst []byte, s string) []byte

// escapes lists the character-wise encodings that are looked for. Most values come out of most of them unchanged and
// are then looked for once.
func escapes() []escape {
	list := []escape{
		func(dst []byte, s string) []byte { return append(dst, s...) },
		func(dst []byte, s string) []byte { return append(dst, strings.ReplaceAll(s, `'`, `'\''`)...) }, // sh -x, shlex.quote
		backslashed,
		func(dst []byte, s string) []byte { return append(dst, html.EscapeString(s)...) },
	}
	for _, upper := range []bool{false, true} {
		for _, j := range []jsonStyle{
			{},                         // JavaScript
			{html: true},               // Go
			{slash: true},              // some C and Java libraries
			{ascii: true},              // Python
			{ascii: true, slash: true}, // PHP
		} {
			j.upper = upper
			list = append(list, j.escape)
		}
		for _, u := range []urlStyle{
			{keep: "-_.~", plus: true},        // forms: Go's QueryEscape, Python's quote_plus
			{keep: "-_.~"},                    // RFC 3986: curl --data-urlencode, jq @uri
			{keep: "-_.~/"},                   // Python's quote
			{keep: "-_.!~*'()"},               // JavaScript's encodeURIComponent
			{keep: "-_.*", plus: true},        // JavaScript's URLSearchParams, Java
			{keep: "-_.~$&+:=@"},              // Go's PathEscape
			{keep: "-_.!~*'();/?:@&=+$,#[]|"}, // JavaScript's encodeURI, a URL as a whole
		} {
			u.upper = upper
			list = append(list, u.escape)
		}
	}
	return list
}

// commonEscapes lists those for large values.
func commonEscapes() []escape {
	return []escape{
		func(dst []byte, s string) []byte { return append(dst, s...) },
		jsonStyle{}.escape,
		jsonStyle{html: true}.escape,
		urlStyle{keep: "-_.~", upper: true}.escape,
		urlStyle{keep: "-_.~", upper: true, plus: true}.escape,
	}
}

// backslashed is the quoting of bash's printf %q and Python's re.escape, of what has no line breaks.
func backslashed(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c > ' ' && c < utf8.RuneSelf && !isAlnum(c) && strings.IndexByte("%+,-./:=@_", c) < 0 || c == ' ' {
			dst = append(dst, '\\')
		}
		dst = append(dst, s[i])
	}
	return dst
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// jsonStyle is what a JSON library escapes beside what it must.
type jsonStyle struct {
	html, slash, ascii, upper bool
}

func (j jsonStyle) escape(dst []byte, s string) []byte {
	unit := "\\u%04x"
	if j.upper {
		unit = "\\u%04X"
	}
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		short := strings.IndexRune("\"\\\b\f\n\r\t", r)
		switch {
		case r == utf8.RuneError && size == 1:
			dst = append(dst, s[i])
		case short >= 0:
			dst = append(dst, '\\', `"\bfnrt`[short])
		case r == '/' && j.slash:
			dst = append(dst, `\/`...)
		case r < ' ', j.html && (r == '<' || r == '>' || r == '&' || r == '\u2028' || r == '\u2029'), j.ascii && r >= 0x7f && r <= 0xffff:
			dst = fmt.Appendf(dst, unit, r)
		case j.ascii && r > 0xffff:
			high, low := 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff
			dst = fmt.Appendf(fmt.Appendf(dst, unit, high), unit, low)
		default:
			dst = append(dst, s[i:i+size]...)
		}
		i += size
	}
	return dst
}

// urlStyle is what a URL library leaves as it is beside letters and digits.
type urlStyle struct {
	keep        string
	plus, upper bool // a space is "+"; the digits after "%" are upper case
}

func (u urlStyle) escape(dst []byte, s string) []byte {
	digits := "0123456789abcdef"
	if u.upper {
		digits = "0123456789ABCDEF"
	}
	for i := range len(s) {
		switch c := s[i]; {
		case isAlnum(c), strings.IndexByte(u.keep, c) >= 0:
			dst = append(dst, c)
		case c == ' ' && u.plus:
			dst = append(dst, '+')
		default:
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		}
	}
	return dst
}
