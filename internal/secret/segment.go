package secret

import (
	"bytes"
	"strings"

	"github.com/mayfly-run/mayfly/internal/lazyregexp"
)

// segment is a part of a value, or of an encoding of it, that is masked by itself.
type segment struct {
	from, to int
	// edges says that other segments cover this one too, so that it needs only its first and last window.
	edges bool
}

// scaled returns the segment with other places.
func (s segment) scaled(from, to int) segment { return segment{from, to, s.edges} }

// minEncodedLine is the length in bytes from which a line is masked in base64 and hexadecimal. The encoding of a shorter line has
// only a few letters, which may occur elsewhere by accident.
const minEncodedLine = 8

// textUnits returns the units of a text. The unit is the whole text without lines of form at its ends (see isForm), and its parts
// are its lines. But a line that is a pair is a unit by itself, since the lines around it may stay readable; if classify says
// alone, the unit is only the value of the pair. In texts over maxYAML a pair is a part like any line, which takes less memory.
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

// linesUnit returns the unit of the lines. It begins and ends with lines that have something to hide, and not with a boundary or
// heading that other texts have too.
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

// lineSegment returns the part of a line that is masked, which may be empty, and whether the line is a pair. If the text has pairs
// (paired), a pair whose value is too short to be masked stays readable.
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

// isForm reports whether a line of a value has nothing to hide: it is a PEM boundary, brackets, the heading of a section, or a key
// whose value begins on the next line or is too short to be masked, such as `users:`, `"auth": {` and `apiVersion: v1`. A key
// with a digit or another character could be a secret.
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

// pairOf returns the key and the value of a line such as `token: abcd`, `"token": "abcd",` or `export TOKEN='abcd'`. ok is false if
// the line isn't a pair or its value is shorter than MinMasked.
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
