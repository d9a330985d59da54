package secret

import (
	"bytes"
	"strings"

	"github.com/mayfly-run/mayfly/internal/lazyregexp"
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

// textUnits returns the units of a text: the whole, less what only gives it form at its ends, with its lines if it has
// several. A line that is a pair is one by itself, since what is around it may be readable: of it, that is the value if
// that is masked alone (see classify). In larger texts it is a part of the whole like any line, which takes less memory.
func textUnits(value []byte) []unit {
	value = bytes.Trim(value, space)
	if len(value) < MinMasked {
		return nil
	}
	whole := unit{value, []segment{{to: len(value)}}}
	if bytes.IndexByte(value, '\n') < 0 {
		return []unit{whole}
	}
	var (
		found  []unit
		lines  []segment // since the last pair
		apart  = len(value) <= maxYAML
		paired = apart && hasPair().Match(value)
	)
	end := func() {
		if len(lines) > 0 {
			found = append(found, linesUnit(value, lines))
		}
		lines = nil
	}
	at := 0
	for line := range bytes.SplitSeq(value, []byte("\n")) {
		from := at + len(line) - len(bytes.TrimLeft(line, space))
		at += len(line) + 1
		part, isPair := lineSegment(string(bytes.Trim(line, space)), paired)
		isPair = isPair && apart
		if isPair {
			end()
		}
		if part.to > 0 {
			lines = append(lines, segment{from: from + part.from, to: from + part.to})
		}
		if isPair {
			end()
		}
	}
	end()
	if len(found) == 0 {
		return []unit{whole}
	}
	return found
}

// linesUnit is the unit of lines. It is found by what it has to hide, not by a boundary or a heading that others have too.
func linesUnit(value []byte, lines []segment) unit {
	from, to := lines[0].from, lines[len(lines)-1].to
	parts := []segment{{to: to - from, edges: len(lines) > 1}}
	if len(lines) > 1 {
		for _, l := range lines {
			parts = append(parts, l.scaled(l.from-from, l.to-from))
		}
	}
	return unit{value[from:to], parts}
}

const (
	space       = " \t\r\n\v\f"
	pemBoundary = "-----BEGIN "
)

// lineSegment is the part of a line to mask, which is empty if it has none, and whether the line is a pair. Among pairs
// one with a value that is too short to be masked is readable.
func lineSegment(line string, paired bool) (part segment, isPair bool) {
	if paired && shortPair().MatchString(line) {
		return segment{}, true
	}
	if len(line) < MinMasked || isForm(line) {
		return segment{}, false
	}
	key, value, isPair := pairOf(line)
	if isPair {
		switch classify(key, line[value.from:value.to]) {
		case alone:
			return value, true
		case readable:
			if isWords(key) {
				return segment{}, true
			}
		case withKey:
		}
	}
	return segment{to: len(line)}, isPair
}

var (
	hasPair   = lazyregexp.New(`(?m)^\s*(?:export )?[A-Za-z_][\w.-]{0,63}\s*=\s*[^\s=][^\n]{3}`)
	shortPair = lazyregexp.New(`^(?:export )?[A-Za-z_]{1,63}\s*=\s*["']?[^\s="']{1,3}["']?$`)
)

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

var pair = lazyregexp.New(`^(?:- |export )?["']?([A-Za-z_][\w.-]{0,63})["']?(?:: |\s*=)\s*`)

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
