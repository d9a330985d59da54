package suite

import "unicode/utf8"

// JSONLength is how many bytes a text takes in JSON at most, without its quotes. Whoever bounds what a tool can make a
// report hold has to count so: a zero byte takes six.
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
