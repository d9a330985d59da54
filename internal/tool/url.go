package tool

import (
	"net/url"
	"strings"
)

// SlashedPath decodes the path of a URL except for the slashes that are encoded: "team%2Fapp" is one name, as an id of
// GitLab's is, and "team/app" are two (RFC 3986, section 2.2).
func SlashedPath(escaped string) string {
	var b strings.Builder
	for i := 0; i < len(escaped); i++ {
		if i+2 >= len(escaped) || escaped[i] != '%' {
			b.WriteByte(escaped[i])
			continue
		}
		switch code := strings.ToUpper(escaped[i : i+3]); code {
		case "%2F":
			b.WriteString(code)
			i += 2
		default:
			text, err := url.PathUnescape(code)
			if err != nil {
				b.WriteByte('%')
				continue
			}
			b.WriteString(text)
			i += 2
		}
	}
	return b.String()
}

// ParseQuery reads the parameters of a query as browsers and servers do (WHATWG's URL standard, section 5.1): ";" is a
// part of a value, and so is an escape that isn't one.
func ParseQuery(query string) url.Values {
	values := url.Values{}
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name = unescapeForm(name)
		values[name] = append(values[name], unescapeForm(value))
	}
	return values
}

func unescapeForm(s string) string {
	text, err := url.QueryUnescape(s)
	if err != nil {
		return strings.ReplaceAll(s, "+", " ")
	}
	return text
}
