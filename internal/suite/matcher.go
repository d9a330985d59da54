package suite

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/mayfly-run/mayfly/internal/shape"
)

// Match reports whether the text meets the matcher's conditions. A nil Matcher accepts any text.
func (m *Matcher) Match(s string) bool { return m.Mismatch(s) == "" }

// Mismatch returns the first condition that the text doesn't meet, such as "does not contain \"healthy\"", or "".
func (m *Matcher) Mismatch(s string) string {
	if m == nil {
		return ""
	}
	if len(m.Equals) > 0 && !slices.ContainsFunc(m.Equals, func(want string) bool { return m.equal(s, want) }) {
		return "is not " + alternatives(m.Equals)
	}
	whole := func(patterns []Pattern, word string) string {
		holds := func(p Pattern) bool { return p.Match(s) || m.Line && p.Match(strings.TrimSuffix(s, "\n")) }
		if len(patterns) > 0 && !slices.ContainsFunc(patterns, holds) {
			return "does not match the " + word + " " + alternatives(texts(patterns))
		}
		return ""
	}
	if why := whole(m.Glob, "glob"); why != "" {
		return why
	}
	if why := whole(m.Regex, "regex"); why != "" {
		return why
	}
	for _, part := range m.Contains {
		if !strings.Contains(s, part) {
			return "does not contain " + shape.Quote(part)
		}
	}
	for _, part := range m.NotContains {
		if strings.Contains(s, part) {
			return "contains " + shape.Quote(part)
		}
	}
	for _, p := range m.Matches {
		if !p.Match(s) {
			return "does not match " + shape.Quote(p.Text)
		}
	}
	return ""
}

func (m *Matcher) equal(s, want string) bool {
	if m.Line {
		return strings.TrimSuffix(s, "\n") == strings.TrimSuffix(want, "\n")
	}
	return s == want
}

// Exact returns the only text that the matcher accepts, if it has only one.
func (m *Matcher) Exact() (string, bool) {
	if m != nil && len(m.Equals) == 1 && m.Glob == nil && m.Regex == nil && m.Contains == nil && m.NotContains == nil && m.Matches == nil {
		return m.Equals[0], true
	}
	return "", false
}

// Wanted returns the texts and patterns that a text must match, as they are written in the file.
func (m *Matcher) Wanted() []string {
	return slices.Concat(m.Equals, m.Contains, texts(m.Glob), texts(m.Regex))
}

// String returns the matcher for messages: the text that it accepts, or its conditions.
func (m *Matcher) String() string {
	if m == nil {
		return "any"
	}
	if s, ok := m.Exact(); ok {
		return shape.Brief(s)
	}
	if len(m.Glob) == 1 && m.Equals == nil && m.Regex == nil && m.Contains == nil && m.NotContains == nil && m.Matches == nil {
		return shape.Brief(m.Glob[0].Text)
	}
	var parts []string
	add := func(key string, words []string) {
		if len(words) > 0 {
			parts = append(parts, key+" "+alternatives(words))
		}
	}
	add("equals", m.Equals)
	add("glob", texts(m.Glob))
	add("regex", texts(m.Regex))
	add("contains", m.Contains)
	add("not_contains", m.NotContains)
	add("matches", texts(m.Matches))
	return strings.Join(parts, ", ")
}

func texts(patterns []Pattern) []string {
	out := make([]string, len(patterns))
	for i, p := range patterns {
		out[i] = p.Text
	}
	return out
}

func alternatives(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = shape.Quote(w)
	}
	return shape.Listing(quoted)
}

// Equal returns a matcher that accepts one text.
func Equal(s string) *Matcher { return &Matcher{Equals: []string{s}} }

// Glob returns a matcher of a pattern in which * stands for any characters, or none.
func Glob(s string) *Matcher { return &Matcher{Glob: []Pattern{globPattern(s)}} }

// globPattern compiles a glob. Every character except * stands for itself.
func globPattern(s string) Pattern { return globOf(strings.Split(s, "*")) }

// globOf compiles a glob from the parts between its asterisks.
func globOf(parts []string) Pattern {
	quoted := make([]string, len(parts))
	for i := range parts {
		quoted[i] = regexp.QuoteMeta(parts[i])
	}
	// Quoted text and .* always compile.
	return Pattern{Text: strings.Join(parts, "*"), re: regexp.MustCompile(`(?s)\A` + strings.Join(quoted, ".*") + `\z`)}
}

// maxPattern is the largest length of a pattern in bytes: matching takes time in proportion to it.
const maxPattern = 1000

// regexPattern compiles a regular expression for a whole text or for a part of it. It is RE2, so that no text makes it slow.
func regexPattern(s string, whole bool) (Pattern, error) {
	if len(s) > maxPattern {
		return Pattern{}, fmt.Errorf("is longer than %s bytes", strconv.Itoa(maxPattern))
	}
	if _, err := regexp.Compile(s); err != nil {
		return Pattern{}, fmt.Errorf("is not a regular expression: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	text := `(?m)` + s
	if whole {
		text = `(?s)\A(?:` + s + `)\z`
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return Pattern{}, fmt.Errorf("is not a regular expression: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return Pattern{Text: s, re: re}, nil
}
