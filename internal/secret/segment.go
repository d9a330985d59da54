package secret

import (
	"bytes"
	"strings"
)

// segment is a part of a value, or of an encoding of it, that is masked by itself.
type segment struct {
	from, to int
	// edges says that the parts of this one are parts of other segments too, so that what is between its first and
	// its last window is found by those.
	edges bool
}

// scaled is the segment with other places.
func (s segment) scaled(from, to int) segment { return segment{from, to, s.edges} }

// minEncodedLine is the length of a line from which it is looked for in base64 and hexadecimal, which for a shorter one
// are a few letters that may well stand somewhere else.
const minEncodedLine = 8

// segments returns the parts of a text to mask: the whole first, less what only gives it form at its ends, then its
// lines if it has several. Of a line that is a pair it is the value if that is masked alone (see classify).
func segments(value []byte) []segment {
	trim := func(s segment) segment {
		part := value[s.from:s.to]
		s.from += len(part) - len(bytes.TrimLeft(part, space))
		s.to -= len(part) - len(bytes.TrimRight(part, space))
		return s.scaled(s.from, max(s.from, s.to))
	}
	whole := trim(segment{to: len(value)})
	if whole.to-whole.from < MinMasked {
		return nil
	}
	if bytes.IndexByte(value[whole.from:whole.to], '\n') < 0 {
		return []segment{whole}
	}
	var lines []segment
	for at := whole.from; at < whole.to; {
		end := whole.to
		if i := bytes.IndexByte(value[at:whole.to], '\n'); i >= 0 {
			end = at + i
		}
		line := trim(segment{from: at, to: end})
		if part, ok := lineSegment(string(value[line.from:line.to])); ok {
			lines = append(lines, segment{from: line.from + part.from, to: line.from + part.to})
		}
		at = end + 1
	}
	// It is found by what it has to hide, not by a boundary or a heading that others have too.
	if n := len(lines); n > 0 {
		whole = segment{lines[0].from, lines[n-1].to, true}
	}
	return append([]segment{whole}, lines...)
}

const (
	space       = " \t\r\n\v\f"
	pemBoundary = "-----BEGIN "
)

// lineSegment is the part of a line to mask, if it has one.
func lineSegment(line string) (segment, bool) {
	if len(line) < MinMasked || isForm(line) {
		return segment{}, false
	}
	if key, value, ok := pairOf(line); ok {
		switch classify(key, line[value.from:value.to]) {
		case alone:
			return value, true
		case readable:
			if isWords(key) {
				return segment{}, false
			}
		case withKey:
		}
	}
	return segment{to: len(line)}, true
}

// isForm says that a line of a value has nothing to hide: a PEM boundary, brackets, the heading of a section, or a key
// whose value begins below it or is too short to be masked, as in `users:`, `"auth": {` and `apiVersion: v1`. A key
// with a digit or a sign in it could be something else.
func isForm(line string) bool {
	if strings.HasPrefix(line, pemBoundary) || strings.HasPrefix(line, "-----END ") {
		return true
	}
	if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") && isWords(line[1:len(line)-1]) {
		return true
	}
	const brackets = "{}[](),; "
	line = strings.TrimPrefix(strings.Trim(line, brackets), "- ")
	if key, value, ok := strings.Cut(line+" ", ": "); ok && len(strings.TrimSpace(value)) < MinMasked {
		line = strings.Trim(key, `"'_-abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ`)
	}
	return line == ""
}

var pair = pattern(`^(?:- |export )?["']?([A-Za-z_][\w.-]{0,63})["']?(?:: |\s*=)\s*`)

// pairOf finds the key and the value in a line such as `token: abc`, `"token": "abc",` and `export TOKEN='abc'`.
func pairOf(line string) (key string, value segment, ok bool) {
	m := pair().FindStringSubmatchIndex(line)
	if m == nil {
		return "", segment{}, false
	}
	const around = " \t\"'"
	rest := strings.TrimLeft(line[m[1]:], around)
	from := len(line) - len(rest)
	rest = strings.TrimRight(strings.TrimRight(rest, ",; "), around)
	return line[m[2]:m[3]], segment{from: from, to: from + len(rest)}, len(rest) >= MinMasked
}
