package tool

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// This file says what is wrong in a text in quotes (YAML 1.2.2, chapters 7.3.1 and 7.3.2).

// endOfQuotes finds where the quoted text ends that rest, the end of a line, begins with: the line, and what follows in it.
func endOfQuotes(lines []string, line int, rest string) (end int, after string, found bool) {
	mark := rest[:1]
	for {
		if n := quotedLength(rest); n > 0 {
			return line, strings.TrimLeft(strings.TrimRight(rest[n:], " \t\r"), " "), true
		}
		if line++; line == len(lines) {
			return line, "", false
		}
		rest = mark + lines[line]
	}
}

// adviseQuotes says what is wrong with the quoted text that rest begins with, where only the given characters may follow
// it. It also returns where the text ends.
func adviseQuotes(lines []string, line int, rest, followers string) (end int, after, hint string) {
	end, after, found := endOfQuotes(lines, line, rest)
	follows := after != "" && strings.IndexByte(followers, after[0]) < 0
	switch hint = badEscape(rest); {
	case hint != "":
	case !found, follows && end > line:
		hint = "the quotes aren't closed; end the text with " + rest[:1]
	case follows:
		hint = quotesEnd
	}
	return end, after, hint
}

// badEscape says what to write for an escape in double quotes that YAML doesn't have (YAML 1.2.2, chapter 5.7).
func badEscape(s string) (hint string) {
	if s[0] != '"' {
		return ""
	}
	text, end := s[1:], quotedLength(s)
	if end > 0 {
		text = s[1 : end-1]
	}
	wrong, others := escapesIn(text)
	if wrong == "" {
		return ""
	}
	hint = "YAML has no escape \\" + wrong
	if digits := hexEscapes[wrong[0]]; digits > 0 {
		hint = fmt.Sprintf("%d hexadecimal digits must follow \\%s", digits, wrong)
	}
	hint += "; write \\\\" + wrong
	if end > 0 && !others {
		hint += ", or use single quotes: " + singleQuoted(text)
	}
	return hint
}

// hexEscapes are the escapes that digits follow, and how many.
var hexEscapes = map[byte]int{'x': 2, 'u': 4, 'U': 8}

// isEscape says whether s, what stands after a backslash, begins with an escape of YAML, or the single quote that the
// parser takes too. It doesn't take the slash, but JSON has it; see [fromJSON].
func isEscape(s string) bool {
	digits := hexEscapes[s[0]]
	if digits == 0 {
		return strings.IndexByte("0abt\tnvfre \"'/\\N_LP", s[0]) >= 0
	}
	return len(s) > digits && strings.Trim(s[1:digits+1], "0123456789abcdefABCDEF") == ""
}

// escapesIn returns what stands after the first backslash that begins no escape, and says whether others begin one, whose
// meaning single quotes would change.
func escapesIn(text string) (wrong string, others bool) {
	for i := 0; i+1 < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		i++
		switch {
		case isEscape(text[i:]):
			others = true
		case wrong == "":
			_, size := utf8.DecodeRuneInString(text[i:])
			wrong = text[i : i+size]
		}
	}
	return wrong, others
}
