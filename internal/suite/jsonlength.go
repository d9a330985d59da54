package suite

import "unicode/utf8"

// JSONLength returns an upper bound of the bytes that a text takes in JSON, without its quotes. Code that bounds what a tool
// can put into a report must count this way: a zero byte takes six.
func JSONLength(s string) int {
	n := len(s)
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c < ' ':
			n += 5 // \u0000
		case c == '"', c == '\\':
			n++
		case c >= utf8.RuneSelf:
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError || r == '\u2028' || r == '\u2029' {
				n += 5 // \ufffd
			}
			i += size
			continue
		}
		i++
	}
	return n
}
