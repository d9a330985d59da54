package secret

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// escape is an encoding of text that goes character by character, so that the encoding of a line is a part of the
// encoding of the whole.
type escape func(dst []byte, s string) []byte

func unchanged(dst []byte, s string) []byte { return append(dst, s...) }

// quoting is how programs write text between quotes.
type quoting struct {
	escape escape
	outer  bool // see encoder
}

// quotings lists those that differ from each other. Most values come out of most of them unchanged and are then looked
// for once.
func quotings() []quoting {
	return []quoting{
		{replaced(`'`, `'\''`), true},                                  // bash -x, jq's @sh
		{replaced(`'`, `'"'"'`), true},                                 // set -x of dash and busybox, Python's shlex
		{replaced(`'`, `''`), true},                                    // YAML, SQL
		{replaced(`"`, `""`), false},                                   // CSV
		{replaced(`"`, `\"`, `\`, `\\`, `$`, `\$`, "`", "\\`"), false}, // "…" of bash's declare -p
		{replaced(`'`, `\'`, `\`, `\\`), false},                        // '…' of Perl
		{backslashed("%+,-./:=@_"), false},                             // bash's printf %q
		{backslashed("!\"%',/:;<=>@_`"), false},                        // Python's re.escape
		{backslashed("_"), false},                                      // Perl's quotemeta
		{replaced(`&`, "&amp;", `<`, "&lt;", `>`, "&gt;", `"`, "&#34;", `'`, "&#39;"), false},   // Go
		{replaced(`&`, "&amp;", `<`, "&lt;", `>`, "&gt;", `"`, "&quot;", `'`, "&#39;"), false},  // jq, PHP
		{replaced(`&`, "&amp;", `<`, "&lt;", `>`, "&gt;", `"`, "&quot;", `'`, "&#x27;"), false}, // Python
		{replaced(`&`, "&amp;", `<`, "&lt;", `>`, "&gt;", `"`, "&quot;", `'`, "&apos;"), false}, // XML
		{cStyle{quote: `'`, control: `\x%02x`}.escape, false},                                   // Python's repr
		{cStyle{control: `\x%02x`}.escape, false},                                               // the same, between double quotes
		{cStyle{quote: `'`, control: `\x%02x`, bytes: `\x%02x`}.escape, false},                  // the same, of bytes
		{cStyle{quote: `'`, control: `\x%02x`, latin: `\x%02x`}.escape, false},                  // Python's ascii
		{cStyle{quote: `"`, control: `\x%02x`, latin: `\x%02X`}.escape, false},                  // YAML's "…"
		{cStyle{quote: `"`, control: `\x%02x`, short: "\a\v"}.escape, false},                    // Go's %q
		{cStyle{quote: `'`, control: `\%03o`, short: "\a\v\x1b"}.escape, false},                 // $'…' of bash
		{cStyle{quote: `'`, control: `\%03o`, short: "\a\v\x1b", bytes: `\%03o`}.escape, false}, // the same in the C locale
	}
}

// replaced writes strings instead of others.
func replaced(oldnew ...string) escape {
	r := strings.NewReplacer(oldnew...)
	return func(dst []byte, s string) []byte { return append(dst, r.Replace(s)...) }
}

// backslashed writes a backslash before spaces and signs, except some.
func backslashed(keep string) escape {
	return func(dst []byte, s string) []byte {
		for i := range len(s) {
			if c := s[i]; c >= ' ' && c < utf8.RuneSelf && !isAlnum(c) && strings.IndexByte(keep, c) < 0 {
				dst = append(dst, '\\')
			}
			dst = append(dst, s[i])
		}
		return dst
	}
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// cStyle is text with the escapes of C.
type cStyle struct {
	quote   string // the quote that has a backslash before it
	control string // how control characters are written that have no letter
	short   string // those that have one, beside \n, \r and \t
	bytes   string // how the bytes of what isn't ASCII are written; as they are if it is empty
	latin   string // how what isn't ASCII is written up to U+00FF, and \u and \U beyond that
}

func (c cStyle) escape(dst []byte, s string) []byte {
	const control, letters = "\n\r\t\a\v\x1b", "nrtavE"
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		short := strings.IndexRune(control, r)
		switch {
		case r == '\\' || c.quote != "" && strings.HasPrefix(s[i:], c.quote):
			dst = append(dst, '\\', s[i])
		case short >= 0 && (short < 3 || strings.ContainsRune(c.short, r)):
			dst = append(dst, '\\', letters[short])
		case r < ' ' || r == 0x7f:
			dst = fmt.Appendf(dst, c.control, r)
		case r >= utf8.RuneSelf && c.bytes != "":
			for _, b := range []byte(s[i : i+size]) {
				dst = fmt.Appendf(dst, c.bytes, b)
			}
		case r >= utf8.RuneSelf && c.latin != "" && !(r == utf8.RuneError && size == 1):
			format := "\\U%08x"
			if r <= 0xff {
				format = c.latin
			} else if r <= 0xffff {
				format = "\\u%04x"
			}
			dst = fmt.Appendf(dst, format, r)
		default:
			dst = append(dst, s[i:i+size]...)
		}
		i += size
	}
	return dst
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
