package httpmock

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/mayfly-run/mayfly/internal/suite"
)

// This file describes what a request had where a mock differs: decoded, and also as sent where that differs.

// maxShown is the largest text that a message shows: whole, since a part of a secret isn't masked.
const maxShown = 1000

func came(body string) string {
	if len(body) > maxShown {
		return fmt.Sprintf("; it came with %d bytes", len(body))
	}
	return "; it came as " + strconv.Quote(body)
}

// cameValues are the values of a parameter or header; nothing where there are none, or too much.
func cameValues(decoded []string, sent ...string) string {
	size := 0
	quoted := make([]string, len(decoded))
	for i, v := range decoded {
		size += len(v)
		quoted[i] = strconv.Quote(v)
	}
	if len(decoded) == 0 || size > maxShown {
		return ""
	}
	text := "; it came as " + strings.Join(quoted, " and ")
	if raw := strings.Join(sent, " and "); len(sent) > 0 && !slices.Equal(sent, decoded) && len(raw) <= maxShown {
		text += ", sent as " + raw
	}
	return text
}

// cameQuery are the values of a query's parameter.
func (r *Request) cameQuery(name string) string {
	_, query, _ := strings.Cut(r.URL, "?")
	var sent []string
	for pair := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(pair, "=")
		if suite.ParseQuery(key).Has(name) {
			sent = append(sent, value)
		}
	}
	return cameValues(r.Query[name], sent...)
}

// camePath is the path where it was sent in another form; the request's own text has that one.
func (r *Request) camePath() string {
	if r.escaped == r.Path {
		return ""
	}
	return cameValues([]string{r.Path}, r.escaped)
}

// cameHost likewise.
func (r *Request) cameHost() string {
	if text := suite.UnicodeHost(r.Host); text != r.Host {
		return cameValues([]string{text}, r.Host)
	}
	return ""
}
