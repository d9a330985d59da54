package suite

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/mayfly-run/mayfly/internal/shape"
	"go.yaml.in/yaml/v3"
	"golang.org/x/net/idna"
)

// This file has the shapes of the conditions for requests, calls and outputs.

// patternShape returns the shape of a pattern that compile accepts.
func patternShape(compile func(string) (Pattern, error)) shape.Shape[Pattern] {
	return shape.Convert(shape.Loose(func(s string) (string, string) {
		if _, err := compile(s); err != nil {
			return err.Error(), ""
		}
		return "", ""
	}), func(s string) Pattern {
		p, _ := compile(s) // checked above; the zero pattern of a problem is never used
		return p
	})
}

// conditionsShape returns the shape of a matcher that is a mapping of conditions.
func conditionsShape() shape.Shape[*Matcher] {
	words := shape.OneOrMore("a text", shape.Loose(nil))
	regex := func(whole bool) shape.Shape[[]Pattern] {
		return shape.OneOrMore("a pattern", patternShape(func(s string) (Pattern, error) { return regexPattern(s, whole) }))
	}
	globs := shape.OneOrMore("a pattern", patternShape(func(s string) (Pattern, error) { return globPattern(s), nil }))
	return shape.Pointer(shape.Object("a comparison", []shape.Field[Matcher]{
		shape.Bind("equals", "The text, or a list that contains it.", words,
			func(m *Matcher) *[]string { return &m.Equals }),
		shape.Bind("glob", "A pattern for the whole text, in which * stands for any characters; or a list of patterns, of which one must match.", globs,
			func(m *Matcher) *[]Pattern { return &m.Glob }),
		shape.Bind("regex", "A regular expression (RE2) for the whole text; or a list of expressions, of which one must match.", regex(true),
			func(m *Matcher) *[]Pattern { return &m.Regex }),
		shape.Bind("contains", "A text, or a list of texts, that it must contain.", words,
			func(m *Matcher) *[]string { return &m.Contains }),
		shape.Bind("not_contains", "A text, or a list of texts, that it must not contain.", words,
			func(m *Matcher) *[]string { return &m.NotContains }),
		shape.Bind("matches", "A regular expression, or a list of them, that must each match a part of it; ^ and $ are the ends of a line.", regex(false),
			func(m *Matcher) *[]Pattern { return &m.Matches }),
	}, func(d *shape.Decoder, n *yaml.Node, _ *Matcher) {
		if len(n.Content) == 0 {
			d.Report(n, "a comparison has no condition", "add one of equals, glob, regex, contains, not_contains or matches")
		}
	}))
}

// matcherShape returns the shape of a matcher: a text, which scalar converts, or a mapping of conditions.
func matcherShape(scalar func(string) *Matcher) shape.Shape[*Matcher] {
	plain := shape.Convert(shape.Loose(nil), scalar)
	keyed := conditionsShape()
	return shape.ByKind("a text or a comparison", &plain, nil, &keyed)
}

// word returns a matcher of a text in which * stands for any characters.
func word(s string) *Matcher {
	if strings.Contains(s, "*") {
		return Glob(s)
	}
	return Equal(s)
}

// escapedWord is [word] for an escaped part of a URL. A * that is written as %2A stands for itself.
func escapedWord(s string, decode func(string) string) *Matcher {
	parts := strings.Split(s, "*")
	if len(parts) == 1 {
		return Equal(decode(s))
	}
	for i := range parts {
		parts[i] = decode(parts[i])
	}
	return &Matcher{Glob: []Pattern{globOf(parts)}}
}

// output returns a matcher of what a program printed, without regard to a last line break, which people forget.
func output(s string) *Matcher { return &Matcher{Equals: []string{s}, Line: true} }

// outputShape returns the shape of a matcher of what a program printed.
func outputShape() shape.Shape[*Matcher] {
	return shape.Convert(matcherShape(output), func(m *Matcher) *Matcher {
		if m != nil {
			m.Line = true
		}
		return m
	})
}

// methodShape returns the shape of an HTTP method in upper or lower case.
func methodShape() shape.Shape[string] {
	return shape.Convert(shape.Text(shape.Schema{"pattern": "^[A-Za-z-]{1,32}$"}, func(s string) (string, string) {
		if s == "" || len(s) > 32 || strings.Trim(strings.ToUpper(s), "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") != "" {
			return "is not an HTTP method", "write GET, POST, or leave it out for any"
		}
		return "", ""
	}), strings.ToUpper)
}

// hostShape returns the shape of a matcher of a host, in upper or lower case and in any script.
func hostShape() shape.Shape[*Matcher] {
	return shape.Convert(matcherShape(func(s string) *Matcher { return word(UnicodeHost(strings.Trim(s, "[]"))) }), func(m *Matcher) *Matcher {
		if m != nil {
			for i, s := range m.Equals {
				m.Equals[i] = UnicodeHost(s)
			}
		}
		return m
	})
}

// UnicodeHost returns a host in the form that is compared: in lower case and in its own script (RFC 5891 section 5). It
// converts label by label, since a pattern has labels that aren't names.
func UnicodeHost(s string) string {
	labels := strings.Split(strings.ToLower(s), ".")
	for i, label := range labels {
		if text, err := idna.Lookup.ToUnicode(label); err == nil && !strings.Contains(label, "*") {
			labels[i] = text
		}
	}
	return strings.Join(labels, ".")
}

func pathShape() shape.Shape[*Matcher] {
	s := matcherShape(word)
	read := s.Read
	s.Read = func(d *shape.Decoder, n *yaml.Node, label string) (*Matcher, bool) {
		if r := shape.Resolve(n); r.Kind == yaml.ScalarNode && r.ShortTag() == "!!str" && !strings.HasPrefix(r.Value, "/") && !strings.HasPrefix(r.Value, "*") {
			hint := `it must start with "/"`
			if strings.Contains(r.Value, "://") {
				hint = "write url: " + shape.Brief(r.Value)
			}
			d.Report(n, fmt.Sprintf("%s is not a path", shape.Quote(r.Value)), hint)
			return nil, false
		}
		return read(d, n, label)
	}
	return s
}

// matchFields returns the keys that select requests by their address.
func matchFields[T any](of func(*T) *RequestMatch) []shape.Field[T] {
	return []shape.Field[T]{
		shape.Bind("method", "The method of the request; any by default.", methodShape(),
			func(t *T) *string { return &of(t).Method }),
		{
			Key: "url", Doc: "Short for scheme, host, port, path and query: https://api.example.com/v1/users?page=1.",
			Schema: shape.Schema{"type": "string", "pattern": "^https?://."},
			Read:   func(d *shape.Decoder, n *yaml.Node, t *T) { readURL(d, n, of(t)) },
		},
		shape.Bind("host", "The host, by its name or address, as the request, TLS or the lookup names it; * stands for any characters.", hostShape(),
			func(t *T) **Matcher { return &of(t).Host }),
		shape.Bind("port", "The port that the tool connects to.", shape.Convert(shape.Integer(1, math.MaxUint16), func(v int64) uint16 { return uint16(v) }),
			func(t *T) *uint16 { return &of(t).Port }),
		shape.Bind("path", "The path; * stands for any characters.", pathShape(),
			func(t *T) **Matcher { return &of(t).Path }),
		shape.Bind("query", "Parameters that the query has, by name: a value, a list of all its values, null for any, or {absent: true}; it may have more.", valuesShape("parameter", nil),
			func(t *T) *[]Field { return &of(t).Query }),
	}
}

// contentFields returns the keys that select requests by their content.
func contentFields[T any](of func(*T) *RequestMatch) []shape.Field[T] {
	return []shape.Field[T]{
		shape.Bind("headers", "Headers that the request has, by name: a value, a list of all its values, null for any, or {absent: true}; it may have more.", valuesShape("header", checkHeaderName),
			func(t *T) *[]Field { return &of(t).Headers }),
		shape.Bind("body", "The text of the body.", matcherShape(Equal),
			func(t *T) **Matcher { return &of(t).Body }),
		{
			Key: "json", Doc: "A part of the body as JSON: its objects may have more keys.", Schema: shape.Schema{},
			Read: func(d *shape.Decoder, n *yaml.Node, t *T) {
				m := of(t)
				m.JSON, m.HasJSON = shape.AnyJSON().Read(d, n, "json")
			},
		},
	}
}

// checkMatch reports contradictions between the keys of a request, and moves a query in its path to its parameters.
func checkMatch(d *shape.Decoder, n *yaml.Node, m *RequestMatch) {
	if shape.Has(n, "url") {
		for _, key := range []string{"host", "port", "path"} {
			if shape.Has(n, key) {
				d.Report(shape.Child(n, key), key+" and url are both given", "keep one of them")
			}
		}
		return
	}
	if p := shape.Resolve(shape.Child(n, "path")); shape.Has(n, "path") && p.Kind == yaml.ScalarNode {
		if path, query, found := strings.Cut(p.Value, "?"); found {
			m.Path = word(path)
			m.addQuery(query)
		}
	}
}

// addQuery adds the parameters of a written query, each with all of its values.
func (m *RequestMatch) addQuery(query string) {
	values := escapedQuery(query)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		f := Field{Name: name}
		if all := values[name]; len(all) == 1 {
			f.Value = escapedWord(all[0], unescapeForm)
		} else {
			for _, value := range all {
				f.All = append(f.All, escapedWord(value, unescapeForm))
			}
		}
		m.Query = append(m.Query, f)
	}
}

func readURL(d *shape.Decoder, n *yaml.Node, m *RequestMatch) {
	s, ok := shape.Text(nil, nil).Read(d, n, "url")
	if !ok {
		return
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		d.Report(n, fmt.Sprintf("url %s is not an HTTP URL", shape.Quote(s)), "write it as https://api.example.com/v1/users")
		return
	}
	m.Scheme = u.Scheme
	m.Host = word(UnicodeHost(u.Hostname()))
	m.Port = map[string]uint16{"http": 80, "https": 443}[u.Scheme]
	if p := u.Port(); p != "" {
		port, err := strconv.ParseUint(p, 10, 16)
		if err != nil || port == 0 {
			d.Report(n, fmt.Sprintf("the port of url %s is out of range", shape.Quote(s)), "ports go from 1 to 65535")
			return
		}
		m.Port = uint16(port)
	}
	m.Path, m.Slashed = escapedWord(cmp.Or(writtenPath(s), "/"), SlashedPath), true
	if u.RawQuery != "" {
		m.addQuery(u.RawQuery)
	}
}

// writtenPath returns the path of a URL as it is written. url.URL escapes the whole path if it would escape one of its characters.
func writtenPath(s string) string {
	_, s, _ = strings.Cut(s, "://")
	s, _, _ = strings.Cut(s, "?")
	if i := strings.IndexByte(s, '/'); i >= 0 {
		return s[i:]
	}
	return ""
}

// checkHeaderName accepts tokens of RFC 9110 section 5.6.2.
func checkHeaderName(s string) (wrong, hint string) {
	if s == "" || len(s) > 256 || !shape.MadeOf(s, "!#$%&'*+-.^_`|~") {
		return "is not the name of a header", "use letters, digits and \"-\""
	}
	return "", ""
}
