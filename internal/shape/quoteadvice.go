package shape

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// This file says what is wrong in a quoted text (YAML 1.2.2, chapters 7.3.1 and 7.3.2).

// quotes describes a quoted text.
type quotes struct {
	end   int    // the line where it ends, or the number of lines if it doesn't end
	after string // the text after it in that line
	wrong int    // the line that hint is about
	hint  string
}

// readQuotes reads the quoted text at the beginning of rest, which is the end of a line, and says what is wrong with it. Only
// one of followers may come after it.
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

// quotesIn returns the quoted text that begins in a line, as the value of a key or an item, or "".
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

// hexEscapes are the escapes that are followed by digits, and the number of digits.
var hexEscapes = map[byte]int{'x': 2, 'u': 4, 'U': 8}

// isEscape reports whether s, the text after a backslash, begins with an escape of YAML, or with the single quote, which the
// parser accepts too. The parser doesn't accept the slash, an escape of JSON; see [fromJSON].
func isEscape(s string) bool {
	digits := hexEscapes[s[0]]
	if digits == 0 {
		return strings.IndexByte("0abt\tnvfre \"'/\\N_LP", s[0]) >= 0
	}
	return len(s) > digits && strings.Trim(s[1:digits+1], "0123456789abcdefABCDEF") == ""
}

// escapesIn returns the character after the first backslash that doesn't begin an escape. others reports whether other
// backslashes begin escapes, whose meaning single quotes would change.
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
