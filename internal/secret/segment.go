package secret

import (
	"bytes"
	"slices"
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

// segments returns the parts of a value to mask: the whole first, less what only gives it form at its ends, then its
// lines if it has several, and the values in lines that are pairs.
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
		if line.to-line.from >= MinMasked && !isForm(string(value[line.from:line.to])) {
			lines = append(lines, line)
			if v, ok := pairValue(string(value[line.from:line.to])); ok {
				lines = append(lines, segment{line.from + v.from, line.from + v.to, true})
			}
		}
		at = end + 1
	}
	// A key is found by what it has, not by a boundary that each key has.
	if len(lines) > 0 && bytes.HasPrefix(value[whole.from:], []byte(pemBoundary)) {
		last := slices.MaxFunc(lines, func(a, b segment) int { return a.to - b.to })
		whole.from, whole.to = lines[0].from, last.to
	}
	whole.edges = len(lines) > 0
	return append([]segment{whole}, lines...)
}

const (
	space       = " \t\r\n\v\f"
	pemBoundary = "-----BEGIN "
)

// isForm says that a line of a value has nothing to hide: a PEM boundary, brackets, or a key whose value begins below
// it or is too short to be masked, as in `users:`, `"auth": {` and `apiVersion: v1`. A key with a digit or a sign in it
// could be something else.
func isForm(line string) bool {
	if strings.HasPrefix(line, pemBoundary) || strings.HasPrefix(line, "-----END ") {
		return true
	}
	const brackets = "{}[](),; "
	line = strings.TrimPrefix(strings.Trim(line, brackets), "- ")
	if key, value, ok := strings.Cut(line+" ", ": "); ok && len(strings.TrimSpace(value)) < MinMasked {
		line = strings.Trim(key, `"'_-abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ`)
	}
	return line == ""
}

// minPairValue is the length of the value of a pair from which it is masked without its key: tokens and keys are that
// long, while a shorter one may be a word that logs are full of.
const minPairValue = 16

// pairValue finds the value in a line such as `token: abc`, `"token": "abc",` and `export TOKEN='abc'`, if it is one
// long word.
func pairValue(line string) (segment, bool) {
	i := strings.IndexAny(line, ":=")
	if i < 1 || i > 64 || strings.ContainsAny(strings.TrimPrefix(strings.TrimPrefix(line[:i], "- "), "export "), " \t") {
		return segment{}, false
	}
	const around = " \t\"'"
	value := strings.TrimLeft(line[i+1:], around)
	from := len(line) - len(value)
	value = strings.TrimRight(strings.TrimRight(value, ",; "), around)
	return segment{from: from, to: from + len(value)}, len(value) >= minPairValue && !strings.ContainsAny(value, " \t")
}
