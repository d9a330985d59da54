package secret

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// escape appends the encoding of s to dst. It encodes character by character, so that the encoding of a line is a part of the
// encoding of the whole.
type escape func(dst []byte, s string) []byte

func unchanged(dst []byte, s string) []byte { return append(dst, s...) }

// quoting is how a program writes text between quotes.
type quoting struct {
	escape escape
	outer  bool // see encoder
}

// quotings returns the quotings that differ from each other. Most of them leave most values unchanged, and equal texts are in the
// index only once.
func quotings() []quoting {
	list := []quoting{
		{replaced(`'`, `'\''`), true},                                  // bash -x, jq's @sh
		{replaced(`'`, `'"'"'`), true},                                 // set -x of dash and busybox, Python's shlex
		{replaced(`'`, `''`), true},                                    // YAML, SQL
		{replaced(`"`, `""`), false},                                   // CSV
		{replaced(`"`, `\"`, `\`, `\\`, `$`, `\$`, "`", "\\`"), false}, // "…" of bash's declare -p
		{backslashed(isPrintfSign), false},                             // bash's printf %q
		{backslashed(isPatternSign), false},                            // Python's re.escape
		{backslashed(func(c byte) bool { return c != '_' }), false},    // Perl's quotemeta
		{shellEscape(false), false},                                    // printf(1) and ls(1)
		{shellEscape(true), false},                                     // the same in the C locale
	}
	for _, quotes := range [][2]string{
		{"&#34;", "&#39;"},   // Go
		{"&quot;", "&#39;"},  // PHP, jq
		{"&quot;", "&#x27;"}, // Python
		{"&quot;", "&apos;"}, // XML
	} {
		list = append(list, quoting{replaced(`&`, "&amp;", `<`, "&lt;", `>`, "&gt;", `"`, quotes[0], `'`, quotes[1]), false})
	}
	for _, c := range []cStyle{
		{short: python, control: `\x%02x`},                                 // Python's repr; Perl's '…'
		{short: python, control: `\x%02x`, bytes: `\x%02x`},                // the same, of bytes
		{short: python, control: `\x%02x`, latin: `\x%02x`},                // Python's ascii
		{short: "n\nr\rt\tb\bf\f", control: `\x%02X`},                      // JavaScript's inspect
		{short: bash, control: `\%03o`},                                    // bash's $'…'
		{short: bash, control: `\%03o`, bytes: `\%03o`},                    // the same in the C locale
		{quote: `"`, short: "n\nr\rt\tb\bf\fa\av\v", control: `\x%02x`},    // Go's %q
		{quote: `"`, short: yamlShort, control: `\x%02X`},                  // YAML's "…"
		{quote: `"`, short: yamlShort, control: `\x%02X`, latin: `\x%02X`}, // the same in ASCII
	} {
		list = append(list, quoting{c.escape, false})
		if c.quote == "" { // programs choose the quotes that are not in the text
			c.quote = "'"
			list = append(list, quoting{c.escape, false})
		}
	}
	return list
}

// The control characters that have a letter in an escape, each after its letter.
const (
	python    = "n\nr\rt\t"
	bash      = "n\nr\rt\tb\bf\fa\av\vE\x1b"
	yamlShort = "n\nr\rt\tb\bf\fa\av\ve\x1b0\x00"
)

// replaced returns an escape that replaces strings, as [strings.NewReplacer] does.
func replaced(oldnew ...string) escape {
	r := strings.NewReplacer(oldnew...)
	return func(dst []byte, s string) []byte { return append(dst, r.Replace(s)...) }
}

// backslashed returns an escape that writes a backslash before bytes that aren't letters or digits, if which returns true for them.
func backslashed(which func(c byte) bool) escape {
	return func(dst []byte, s string) []byte {
		for i := range len(s) {
			if !isAlnum(s[i]) && which(s[i]) {
				dst = append(dst, '\\')
			}
			dst = append(dst, s[i])
		}
		return dst
	}
}

func isPrintfSign(c byte) bool {
	return c >= ' ' && c < utf8.RuneSelf && strings.IndexByte("%+,-./:=@_", c) < 0
}

func isPatternSign(c byte) bool { return strings.IndexByte("\t\n\v\f\r #$&()*+-.?[\\]^{|}~", c) >= 0 }

// shellEscape returns the quoting of GNU programs: '…', with $'…' for each run of characters that aren't printable.
func shellEscape(ascii bool) escape {
	style := cStyle{short: bash[:len(bash)-2], control: `\%03o`, bytes: `\%03o`}
	return func(dst []byte, s string) []byte {
		for len(s) > 0 {
			n := strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || ascii && r >= utf8.RuneSelf })
			if n < 0 {
				n = len(s)
			}
			dst, s = append(dst, strings.ReplaceAll(s[:n], `'`, `'\''`)...), s[n:]
			if s == "" {
				break
			}
			n = strings.IndexFunc(s, func(r rune) bool { return r >= ' ' && r != 0x7f && (!ascii || r < utf8.RuneSelf) })
			if n < 0 {
				return style.escape(append(dst, `'$'`...), s) // the closing quotes aren't part of the secret
			}
			dst, s = append(style.escape(append(dst, `'$'`...), s[:n]), `''`...), s[n:]
		}
		return dst
	}
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// cStyle is text with the escapes of C.
type cStyle struct {
	quote   string // the quote that gets a backslash
	short   string // the control characters that have a letter, each after its letter
	control string // the format of the other control characters
	bytes   string // the format of each byte that isn't ASCII; if empty, they stay
	latin   string // the format of characters from U+0080 to U+00FF; those above have \u or \U; if empty, they stay
}

func (c cStyle) escape(dst []byte, s string) []byte {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		invalid := r == utf8.RuneError && size == 1
		switch {
		case r == '\\' || c.quote != "" && strings.HasPrefix(s[i:], c.quote):
			dst = append(dst, '\\', s[i])
		case r < ' ' || r == 0x7f:
			if at := strings.IndexRune(c.short, r); at > 0 {
				dst = append(dst, '\\', c.short[at-1])
			} else {
				dst = fmt.Appendf(dst, c.control, r)
			}
		case r >= utf8.RuneSelf && c.bytes != "":
			for _, b := range []byte(s[i : i+size]) {
				dst = fmt.Appendf(dst, c.bytes, b)
			}
		case r >= utf8.RuneSelf && c.latin != "" && !invalid:
			dst = fmt.Appendf(dst, c.unicode(r), r)
		default:
			dst = append(dst, s[i:i+size]...)
		}
		i += size
	}
	return dst
}

func (c cStyle) unicode(r rune) string {
	switch upper := strings.HasSuffix(c.latin, "X"); {
	case r <= 0xff:
		return c.latin
	case r <= 0xffff && upper:
		return `\u%04X`
	case r <= 0xffff:
		return `\u%04x`
	case upper:
		return `\U%08X`
	default:
		return `\U%08x`
	}
}

// jsonStyle says what a JSON library escapes in addition to what it must (RFC 8259 section 7).
type jsonStyle struct {
	html, slash, ascii, del, upper bool
	signs                          string // other characters that are written in hexadecimal
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
		case strings.ContainsRune(j.signs, r):
			dst = fmt.Appendf(dst, unit, r)
		case short >= 0:
			dst = append(dst, '\\', `"\bfnrt`[short])
		case r == '/' && j.slash:
			dst = append(dst, `\/`...)
		case r < ' ', j.del && r == 0x7f, j.html && (r == '<' || r == '>' || r == '&' || r == '\u2028' || r == '\u2029'), j.ascii && r >= 0x7f && r <= 0xffff:
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

// percent returns an escape that writes every byte with a format.
func percent(format string) escape {
	return func(dst []byte, s string) []byte {
		for i := range len(s) {
			dst = fmt.Appendf(dst, format, s[i])
		}
		return dst
	}
}

// urlStyle says how a URL library escapes.
type urlStyle struct {
	keep  string // the characters that it keeps, in addition to letters and digits
	plus  bool   // a space is "+"
	upper bool   // the digits after "%" are upper case
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
