package suite

import (
	"net/url"
	"strings"
)

// SlashedPath decodes the path of a URL, except for encoded slashes: "team%2Fapp" is one segment, such as an id in GitLab,
// and "team/app" are two (RFC 3986, section 2.2). It also keeps %25, so that "team%252Fapp" differs from the first (section
// 2.4).
func SlashedPath(escaped string) string { return percentDecode(escaped, true) }

// percentDecode decodes the escapes of a text, except for invalid ones (WHATWG's URL standard, section 1.3). If keep is true,
// it keeps the escapes of slashes and percent signs.
func percentDecode(escaped string, keep bool) string {
	var b strings.Builder
	for i := 0; i < len(escaped); i++ {
		if escaped[i] != '%' {
			b.WriteByte(escaped[i])
			continue
		}
		code := strings.ToUpper(escaped[i:min(i+3, len(escaped))])
		text, err := url.PathUnescape(code)
		switch {
		case err != nil:
			b.WriteByte('%')
			continue
		case keep && (text == "/" || text == "%"):
			text = code
		}
		b.WriteString(text)
		i += 2
	}
	return b.String()
}

// ParseQuery parses the parameters of a query as browsers and servers do (WHATWG's URL standard, section 5.1): ";" is part of
// a value, and so is an invalid escape.
func ParseQuery(query string) url.Values {
	values := escapedQuery(query)
	for _, list := range values {
		for i := range list {
			list[i] = unescapeForm(list[i])
		}
	}
	return values
}

// escapedQuery is [ParseQuery] with the values as they are sent.
func escapedQuery(query string) url.Values {
	values := url.Values{}
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name = unescapeForm(name)
		values[name] = append(values[name], value)
	}
	return values
}

func unescapeForm(s string) string { return percentDecode(strings.ReplaceAll(s, "+", " "), false) }
