// Package textsafe makes text that somebody else chose safe to print: a name, an argument, what a registry or a tool says. None
// of it can steer a terminal, change the direction of what follows, or be taken for a line of Mayfly's own.
//
// A character is graphic as in [unicode.IsPrint]: letters, marks, numbers, punctuation, symbols and the ASCII space.
package textsafe

import (
	"strconv"
	"strings"
	"unicode"
)

// Replace puts U+FFFD in the place of each character that is neither graphic nor in keep.
func Replace(s, keep string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || strings.ContainsRune(keep, r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// Escape writes each character that isn't graphic as Go's source does, such as \x1b and \u202e.
func Escape(s string) string {
	var b strings.Builder
	for _, r := range s { // bytes that aren't UTF-8 are U+FFFD, which is graphic
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}

// maxLine bounds what [Line] looks at, in bytes.
const maxLine = 4096

// Line is a line that a program printed, as a terminal would end up showing it: without escape sequences and controls, and of a
// progress bar what it shows last. It is cut to 4,096 bytes.
func Line(line []byte) string {
	text := string(line[:min(len(line), maxLine)])
	if i := strings.LastIndexByte(strings.TrimRight(text, "\r"), '\r'); i >= 0 {
		text = text[i+1:]
	}
	var b strings.Builder
	escaped := false
	for _, r := range text {
		switch {
		case r == '\x1b':
			escaped = true
		case escaped:
			// A sequence ends with a letter (ECMA-48, 5.4); "[" begins its parameters.
			escaped = !(unicode.IsLetter(r) || r == '~' || r == '\\')
		case r == '\t':
			b.WriteByte(' ')
		case unicode.IsPrint(r):
			b.WriteRune(r)
		}
	}
	return b.String()
}
