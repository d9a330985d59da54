package shape

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// This file says what is wrong in a text in quotes (YAML 1.2.2, chapters 7.3.1 and 7.3.2).

// quotes is what there is to say of a text in quotes.
type quotes struct {
	end   int    // the line where it ends; that after the last where it doesn't
	after string // what follows it in that line
	wrong int    // the line that hint is about
	hint  string
}

// readQuotes reads the quoted text that rest, the end of a line, begins with, and says what is wrong with it. Only the given
// characters may follow it.
func readQuotes(lines []string, line int, rest, followers string) quotes {
	mark := rest[:1]
	q := quotes{end: line, wrong: line}
	for {
		if hint := badEscape(rest); hint != "" && q.hint == "" {
			q.wrong, q.hint = q.end, hint
		}
		if n := quotedLength(rest); n > 0 {
			q.after = strings.TrimLeft(strings.TrimRight(rest[n:], " \t\r"), " ")
			break
		}
		if q.end++; q.end == len(lines) {
			break
		}
		rest = mark + lines[q.end]
	}
	follows := q.after != "" && strings.IndexByte(followers, q.after[0]) < 0
	switch {
	case q.end == len(lines), follows && q.end > line:
		q.wrong, q.hint = line, "the quotes aren't closed; end the text with "+mark
	case follows && q.hint == "":
		q.hint = quotesEnd
	}
	return q
}

// quotesIn is the text in quotes that begins in a line, as the value of a key or an item.
func quotesIn(line string) (value string) {
	if m := keyed().FindStringSubmatch(line); m != nil && m[1] != "" && strings.IndexByte("\"'", m[1][0]) >= 0 {
		return m[1]
	}
	return ""
}

// badEscape says what to write for an escape in double quotes that YAML doesn't have (YAML 1.2.2, chapter 5.7).
func badEscape(s string) (hint string) {
	if !strings.HasPrefix(s, `"`) {
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

// isEscape reports whether s, what stands after a backslash, begins with an escape of YAML, or the single quote that the
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
