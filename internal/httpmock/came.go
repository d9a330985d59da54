package httpmock

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/mayfly-run/mayfly/internal/suite"
)

// This file describes the parts of a request that differ from a mock: decoded, and also as sent if that is different.

// maxShown is the size of the largest text that a message shows, in bytes. A message shows a text whole or not at all,
// since masking doesn't find a part of a secret.
const maxShown = 1000

func came(body string) string {
	if len(body) > maxShown {
		return fmt.Sprintf("; it came with %d bytes", len(body))
	}
	return "; it came as " + strconv.Quote(body)
}

// cameValues describes the values of a parameter or header. It returns "" if there are none, or if they are too long.
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

// cameQuery describes the values of a query parameter.
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

// camePath describes the path if it was sent in another form than the decoded one. Otherwise it returns "", since the
// message already shows the path.
func (r *Request) camePath() string {
	if r.escaped == r.Path {
		return ""
	}
	return cameValues([]string{r.Path}, r.escaped)
}

// cameHost describes the host if it was sent in another form than that of its script.
func (r *Request) cameHost() string {
	if text := suite.UnicodeHost(r.Host); text != r.Host {
		return cameValues([]string{text}, r.Host)
	}
	return ""
}
