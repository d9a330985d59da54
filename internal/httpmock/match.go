package httpmock

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/suite"
)

// Verdict says which mock answers a request.
type Verdict struct {
	// Mock is the index of that mock, or -1 if none answers.
	Mock int
	// Nearest is the index of the mock that differs least from the request, or -1 if there are no mocks. Differences says
	// what keeps it from answering.
	Nearest     int
	Differences []string
}

// Match finds the first mock that answers a request. used has the number of requests that each mock has answered.
func Match(mocks []suite.HTTPMock, used []int, req *Request) Verdict {
	v := Verdict{Mock: -1, Nearest: -1}
	best := 0.0
	for i := range mocks {
		m := &mocks[i]
		d := compare(&m.RequestMatch, req)
		if m.Times != nil && used[i] >= *m.Times {
			d.add(0.5, "its times: it has answered "+plural(*m.Times, "request"))
		}
		if len(d.texts) == 0 {
			return Verdict{Mock: i, Nearest: i}
		}
		if v.Nearest < 0 || d.weight < best {
			v.Nearest, v.Differences, best = i, d.texts, d.weight
		}
	}
	return v
}

// Problem says that a request has no mock, and how the nearest one differs.
func (v Verdict) Problem(mocks []suite.HTTPMock, req *Request) string {
	text := req.String() + " has no mock"
	if v.Nearest < 0 {
		return text + "; there are none"
	}
	return fmt.Sprintf("%s; the nearest, %s, differs in %s", text, mocks[v.Nearest].Label, strings.Join(v.Differences, " and "))
}

// Differences says how a request differs from m. The list is empty if the request matches.
func Differences(m *suite.RequestMatch, req *Request) []string { return compare(m, req).texts }

// differences are the texts of what keeps a request from matching, and the sum of their weights.
type differences struct {
	texts  []string
	weight float64
}

func (d *differences) add(weight float64, text string) {
	d.texts = append(d.texts, text)
	d.weight += weight
}

func compare(m *suite.RequestMatch, req *Request) *differences {
	d := &differences{}
	if m.Method != "" && m.Method != req.Method {
		d.add(1.5, "method: "+m.Method)
	}
	if m.Scheme != "" && m.Scheme != req.scheme {
		d.add(1, "scheme: "+m.Scheme)
	}
	if m.Host != nil && !slices.ContainsFunc(req.hosts, m.Host.Match) {
		d.add(3, "host: "+m.Host.String()+req.cameHost())
	}
	if m.Port != 0 && m.Port != req.Port {
		d.add(2, "port: "+strconv.Itoa(int(m.Port)))
	}
	if !slices.ContainsFunc(req.paths(m.Slashed), m.Path.Match) {
		d.add(1+3*distance(m.Path, req.Path), "path: "+m.Path.String()+req.camePath())
	}
	for i := range m.Query {
		f := &m.Query[i]
		if !f.Match(req.Query[f.Name]) {
			d.add(1, fmt.Sprintf("query %s: %s%s", f.Name, f, req.cameQuery(f.Name)))
		}
	}
	for i := range m.Headers {
		f := &m.Headers[i]
		values := req.Headers[http.CanonicalHeaderKey(f.Name)]
		if strings.EqualFold(f.Name, "Host") {
			values = []string{req.Host, req.authority()} // net/http doesn't keep it among the headers
		}
		if !f.Match(values) {
			d.add(1, fmt.Sprintf("header %s: %s%s", f.Name, f, cameValues(values)))
		}
	}
	if why := m.Body.Mismatch(req.Content()); why != "" && !sameForm(m.Body, req) {
		d.add(1, "body: it "+why+came(req.Content()))
	}
	if m.HasJSON {
		if why := compareJSON(m.JSON, req); why != "" {
			d.add(1, "json: "+why)
		}
	}
	return d
}

func sorted(values []string) []string { return slices.Sorted(slices.Values(values)) }

// paths returns the forms of a request's path; one of them must match. If slashed, for the path of a URL, that is only the
// form that keeps encoded slashes and percent signs. Otherwise it is also the path as it was sent and, unless a slash in it
// was encoded twice, the decoded path.
func (r *Request) paths(slashed bool) []string {
	kept := suite.SlashedPath(r.escaped)
	if slashed {
		return []string{kept}
	}
	if strings.Contains(strings.ToUpper(r.Path), "%2F") {
		return []string{kept, r.escaped}
	}
	return []string{r.Path, kept, r.escaped}
}

// sameForm reports whether the body is a form with the same fields as m, in any order and encoding: clients differ in them.
func sameForm(m *suite.Matcher, req *Request) bool {
	want, exact := m.Exact()
	form := strings.HasPrefix(http.Header(req.Headers).Get("Content-Type"), "application/x-www-form-urlencoded")
	if !exact || !form {
		return false
	}
	wanted, got := suite.ParseQuery(want), suite.ParseQuery(req.Content())
	if len(wanted) != len(got) {
		return false
	}
	for name, values := range wanted {
		if !slices.Equal(sorted(values), sorted(got[name])) {
			return false
		}
	}
	return true
}

// distance returns how much a path differs from m, from 0 to 1.
func distance(m *suite.Matcher, path string) float64 {
	want, ok := m.Exact()
	if !ok {
		return 0.5
	}
	n := min(len(want), len(path))
	common := 0
	for common < n && want[common] == path[common] {
		common++
	}
	for common < n && want[len(want)-1-(n-1-common)] == path[len(path)-1-(n-1-common)] {
		common++
	}
	return 1 - float64(common)/float64(max(len(want), len(path), 1))
}

// compareJSON says where the body differs from want, or "".
func compareJSON(want any, req *Request) string {
	if req.BodyTruncated {
		return fmt.Sprintf("the body is larger than the %d bytes that are kept", maxBodyKept)
	}
	var got any
	dec := json.NewDecoder(bytes.NewReader([]byte(req.Content())))
	dec.UseNumber()
	if err := dec.Decode(&got); err != nil {
		return "the body isn't JSON"
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return "the body has something after its JSON"
	}
	return part(want, got, "")
}

// part says where got lacks something that want has, or "". Objects in got may have more keys.
func part(want, got any, at string) string {
	where := at
	if where == "" {
		where = "the body"
	}
	differ := fmt.Sprintf("%s is %s, not %s", where, inBrief(got), inBrief(want))
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok {
			return differ
		}
		for _, key := range slices.Sorted(maps.Keys(want)) {
			value, ok := object[key]
			if !ok {
				return fmt.Sprintf("%s has no %s", where, strconv.Quote(key))
			}
			if why := part(want[key], value, at+"."+key); why != "" {
				return why
			}
		}
		return ""
	case []any:
		array, ok := got.([]any)
		if !ok {
			return differ
		}
		if len(array) != len(want) {
			return fmt.Sprintf("%s has %s, not %d", where, plural(len(array), "item"), len(want))
		}
		for i := range want {
			if why := part(want[i], array[i], fmt.Sprintf("%s[%d]", at, i)); why != "" {
				return why
			}
		}
		return ""
	case json.Number:
		number, ok := got.(json.Number)
		if !ok || !shape.EqualNumbers(want, number) {
			return differ
		}
		return ""
	}
	if want != got {
		return differ
	}
	return ""
}

// maxShownJSON is the longest JSON value that a message shows.
const maxShownJSON = 200

// inBrief returns a JSON value as text for a message.
func inBrief(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return brief(string(text), maxShownJSON)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
