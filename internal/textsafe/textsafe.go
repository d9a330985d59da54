// Package textsafe makes untrusted text safe to print: a name, an argument, the message of a registry or the output of a tool. The
// result can't control a terminal, change the direction of the text after it, or look like one of Mayfly's own lines.
//
// A graphic character is one for which [unicode.IsPrint] is true: letters, marks, numbers, punctuation, symbols and the ASCII space.
package textsafe

import (
	"strconv"
	"strings"
	"unicode"
)

// Replace replaces each character that is neither graphic nor in keep with U+FFFD.
func Replace(s, keep string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || strings.ContainsRune(keep, r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// Escape replaces each character that isn't graphic with its Go escape sequence, such as \x1b and \u202e.
func Escape(s string) string {
	var b strings.Builder
	for _, r := range s { // an invalid byte yields U+FFFD, which is graphic
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}

// maxLine is the number of bytes that [Line] reads.
const maxLine = 4096

// Line returns a line of a program's output as a terminal finally shows it: without escape sequences and control characters, and
// only the last state of a progress bar. It reads the first 4,096 bytes.
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
