package tooltest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// WantExit fails the test unless the run has this exit status.
func (r *Result) WantExit(code int) *Result {
	r.t.Helper()
	if r.ExitCode != code {
		r.t.Errorf("exit status %d, want %d\n%s", r.ExitCode, code, r.Report())
	}
	return r
}

// WantStatus fails the test unless the run ended with this status: succeeded, failed, timed_out…
func (r *Result) WantStatus(status string) *Result {
	r.t.Helper()
	if r.Status != status {
		r.t.Errorf("status %s, want %s\n%s", r.Status, status, r.Report())
	}
	return r
}

// WantStdout fails the test unless each of the texts is in what the tool printed to standard output.
func (r *Result) WantStdout(contains ...string) *Result {
	r.t.Helper()
	for _, text := range contains {
		if !strings.Contains(r.Stdout, text) {
			r.t.Errorf("stdout does not contain %q\n%s", text, r.Report())
		}
	}
	return r
}

// WantStderr fails the test unless each of the texts is in what the tool printed to standard error.
func (r *Result) WantStderr(contains ...string) *Result {
	r.t.Helper()
	for _, text := range contains {
		if !strings.Contains(r.Stderr, text) {
			r.t.Errorf("stderr does not contain %q\n%s", text, r.Report())
		}
	}
	return r
}

// WantOutput fails the test unless the run has the output with this value.
func (r *Result) WantOutput(name, value string) *Result {
	r.t.Helper()
	switch got, ok := r.Outputs[name]; {
	case !ok:
		r.t.Errorf("there is no output %s; there are %q\n%s", name, slices.Sorted(maps.Keys(r.Outputs)), r.Report())
	case got != value:
		r.t.Errorf("output %s is %q, want %q\n%s", name, got, value, r.Report())
	}
	return r
}

// WantStep fails the test unless the workflow's step ended with this status.
func (r *Result) WantStep(name, status string) *Result {
	r.t.Helper()
	switch step, ok := r.Steps[name]; {
	case !ok:
		r.t.Errorf("there is no step %s; there are %q\n%s", name, slices.Sorted(maps.Keys(r.Steps)), r.Report())
	case step.Status != status:
		r.t.Errorf("step %s ended as %s, want %s\n%s", name, step.Status, status, r.Report())
	}
	return r
}

// WantRequest fails the test unless the tool made requests that match q: exactly q.Times, or at least one if q.Times is 0.
// It returns them.
func (r *Result) WantRequest(q Request) []RecordedRequest {
	r.t.Helper()
	return r.wantRequests(q, q.Times, false)
}

// NoRequest fails the test if the tool made a request that matches q. The zero Request matches any.
func (r *Result) NoRequest(q Request) *Result {
	r.t.Helper()
	r.wantRequests(q, 0, true)
	return r
}

func (r *Result) wantRequests(q Request, times int, none bool) []RecordedRequest {
	r.t.Helper()
	var found []RecordedRequest
	var near *RecordedRequest
	var why []string
	for i := range r.Requests {
		switch d := differences(&q, &r.Requests[i]); {
		case len(d) == 0:
			found = append(found, r.Requests[i])
		case near == nil || len(d) < len(why):
			near, why = &r.Requests[i], d
		}
	}
	if enough(len(found), times, none) {
		return found
	}
	text := fmt.Sprintf("%s: %s", q, came(len(found), times, none))
	if len(found) == 0 && near != nil {
		text += fmt.Sprintf("; the nearest, %s, differs in %s", near, strings.Join(why, " and "))
	}
	r.t.Errorf("%s\n%s", text, r.Report())
	return found
}

// WantCall fails the test unless the tool made calls of a mocked command that match c: exactly c.Times, or at least one if
// c.Times is 0. It returns them.
func (r *Result) WantCall(c Call) []RecordedCall {
	r.t.Helper()
	return r.wantCalls(c, c.Times, false)
}

// NoCall fails the test if the tool made a call of a mocked command that matches c.
func (r *Result) NoCall(c Call) *Result {
	r.t.Helper()
	r.wantCalls(c, 0, true)
	return r
}

func (r *Result) wantCalls(c Call, times int, none bool) []RecordedCall {
	r.t.Helper()
	var found []RecordedCall
	var near *RecordedCall
	why := ""
	for i := range r.Calls {
		got := &r.Calls[i]
		if got.Command != c.Command {
			continue
		}
		switch d := callDifference(&c, got); {
		case d == "":
			found = append(found, *got)
		case near == nil:
			near, why = got, d
		}
	}
	if enough(len(found), times, none) {
		return found
	}
	text := fmt.Sprintf("%s: %s", c, came(len(found), times, none))
	if len(found) == 0 && near != nil {
		text += fmt.Sprintf("; the nearest, %s, differs in %s", near, why)
	}
	r.t.Errorf("%s\n%s", text, r.Report())
	return found
}

func enough(n, times int, none bool) bool {
	if none || times > 0 {
		return n == times
	}
	return n > 0
}

func came(n, times int, none bool) string {
	want := "at least 1"
	if none {
		want = "none"
	} else if times > 0 {
		want = strconv.Itoa(times)
	}
	if n == 0 {
		return "none came, want " + want
	}
	return fmt.Sprintf("%d came, want %s", n, want)
}

// differences says how a request differs from want. The list is empty if it matches.
func differences(want *Request, got *RecordedRequest) []string {
	at, err := addressOf(want)
	if err != nil {
		return []string{"url: " + err.Error()}
	}
	var out []string
	if want.Method != "" && strings.ToUpper(want.Method) != got.Method {
		out = append(out, "method: want "+strings.ToUpper(want.Method))
	}
	out = append(out, at.differences(got)...)
	if want.PathRegex != "" {
		if re, err := regexp.Compile(`(?s)\A(?:` + want.PathRegex + `)\z`); err != nil || !re.MatchString(got.Path) {
			out = append(out, fmt.Sprintf("path: %q does not match %q", got.Path, want.PathRegex))
		}
	}
	out = append(out, queryDifferences(at.query, want.Query, got)...)
	for _, name := range slices.Sorted(maps.Keys(want.Headers)) {
		have := got.Headers.Values(name)
		if strings.EqualFold(name, "Host") {
			have = []string{got.Host, got.Host + ":" + strconv.Itoa(got.Port)}
		}
		if value := want.Headers[name]; !anyGlob(value, have) {
			out = append(out, fmt.Sprintf("header %s: %q is not %q", name, have, value))
		}
	}
	return append(out, bodyDifferences(want, got)...)
}

// address is the expected address of a request: that of its URL, or of its other fields if it has no URL.
type address struct {
	scheme, host, path, query string
	port                      int
	slashed                   bool // the path is that of a URL, in which encoded slashes differ from others
}

func addressOf(want *Request) (address, error) {
	a := address{host: want.Host, port: want.Port}
	a.path, a.query, _ = strings.Cut(want.Path, "?")
	if want.URL == "" {
		return a, nil
	}
	u, err := url.Parse(want.URL)
	if err != nil {
		return a, err
	}
	a = address{scheme: u.Scheme, host: u.Hostname(), path: slashedPath(u.EscapedPath()), query: u.RawQuery, slashed: true}
	if a.port, err = strconv.Atoi(u.Port()); err != nil { // there is no port, or it isn't a number
		a.port = map[string]int{"https": 443, "http": 80}[u.Scheme]
	}
	if a.path == "" {
		a.path = "/"
	}
	return a, nil
}

func (a *address) differences(got *RecordedRequest) []string {
	var out []string
	if a.scheme != "" && !strings.HasPrefix(got.URL, a.scheme+"://") {
		out = append(out, "scheme: want "+a.scheme)
	}
	if a.host != "" && !anyGlob(unicodeHost(a.host), []string{got.Host, unicodeHost(got.Host)}) {
		out = append(out, fmt.Sprintf("host: %q is not %q", got.Host, a.host))
	}
	if a.port != 0 && a.port != got.Port {
		out = append(out, fmt.Sprintf("port: %d is not %d", got.Port, a.port))
	}
	if a.path != "" && !anyGlob(a.path, got.paths(a.slashed)) {
		out = append(out, fmt.Sprintf("path: %q is not %q", got.Path, a.path))
	}
	return out
}

func queryDifferences(query string, want map[string]string, got *RecordedRequest) []string {
	var out []string
	values, err := url.ParseQuery(query)
	if err != nil {
		out = append(out, "query: "+err.Error())
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		wanted := values[name]
		switch {
		case len(wanted) == 1 && !anyGlob(wanted[0], got.Query[name]):
			out = append(out, fmt.Sprintf("query %s: %q is not %q", name, got.Query[name], wanted[0]))
		case len(wanted) > 1 && !paired(wanted, got.Query[name]): // a repeated parameter must have exactly these values
			out = append(out, fmt.Sprintf("query %s: %q is not %q", name, got.Query[name], wanted))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if !anyGlob(want[name], got.Query[name]) {
			out = append(out, fmt.Sprintf("query %s: %q is not %q", name, got.Query[name], want[name]))
		}
	}
	return out
}

func bodyDifferences(want *Request, got *RecordedRequest) []string {
	var out []string
	if want.Body != "" && want.Body != string(got.Body) && !sameForm(want.Body, got) {
		out = append(out, fmt.Sprintf("body: it is not %q", want.Body))
	}
	if !strings.Contains(string(got.Body), want.BodyContains) {
		out = append(out, fmt.Sprintf("body: it does not contain %q", want.BodyContains))
	}
	if want.JSON != nil {
		if why := jsonDifference(want.JSON, got.Body); why != "" {
			out = append(out, "json: "+why)
		}
	}
	return out
}

func callDifference(want *Call, got *RecordedCall) string {
	if want.Args != nil || want.Prefix {
		for i, word := range want.Args {
			if i >= len(got.Args) {
				return fmt.Sprintf("args: word %d, %q, is missing", i+1, word)
			}
			if !glob(word, got.Args[i]) {
				return fmt.Sprintf("args: word %d: %q is not %q", i+1, got.Args[i], word)
			}
		}
		if !want.Prefix && len(got.Args) > len(want.Args) {
			return fmt.Sprintf("args: word %d, %q, is one too many", len(want.Args)+1, got.Args[len(want.Args)])
		}
	}
	stdin := string(got.Stdin)
	if want.Stdin != "" && strings.TrimSuffix(stdin, "\n") != strings.TrimSuffix(want.Stdin, "\n") {
		return fmt.Sprintf("stdin: it is not %q", want.Stdin)
	}
	if !strings.Contains(stdin, want.StdinContains) {
		return fmt.Sprintf("stdin: it does not contain %q", want.StdinContains)
	}
	return ""
}

func anyGlob(pattern string, values []string) bool {
	return slices.ContainsFunc(values, func(v string) bool { return glob(pattern, v) })
}

// glob reports whether a text matches a pattern in which * stands for any characters.
func glob(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	first, last := parts[0], parts[len(parts)-1]
	if len(text) < len(first)+len(last) || !strings.HasPrefix(text, first) || !strings.HasSuffix(text, last) {
		return false
	}
	text = text[len(first) : len(text)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		at := strings.Index(text, part)
		if at < 0 {
			return false
		}
		text = text[at+len(part):]
	}
	return true
}

// jsonDifference says where a body lacks something that want has, or "". Objects in the body may have more keys.
func jsonDifference(want any, body []byte) string {
	data, err := json.Marshal(want)
	if err != nil {
		return err.Error()
	}
	w, err := decode(data)
	if err != nil {
		return err.Error()
	}
	g, err := decode(body)
	if err != nil {
		return "the body isn't JSON"
	}
	return part(w, g, "")
}

// decode returns the value of a JSON document. Its numbers keep all of their digits.
func decode(data []byte) (any, error) {
	var v any
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is something after it")
	}
	return v, nil
}

// part says where got lacks something that want has, or "". at is the path of both in the document.
func part(want, got any, at string) string {
	where := at
	if where == "" {
		where = "the body"
	}
	differ := fmt.Sprintf("%s is %s, not %s", where, brief(got), brief(want))
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok {
			return differ
		}
		for _, key := range slices.Sorted(maps.Keys(want)) {
			value, ok := object[key]
			if !ok {
				return fmt.Sprintf("%s has no %q", where, key)
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
			return fmt.Sprintf("%s has %d items, not %d", where, len(array), len(want))
		}
		for i := range want {
			if why := part(want[i], array[i], fmt.Sprintf("%s[%d]", at, i)); why != "" {
				return why
			}
		}
		return ""
	case json.Number:
		if number, ok := got.(json.Number); !ok || !equalNumbers(want.String(), number.String()) {
			return differ
		}
		return ""
	}
	if want != got {
		return differ
	}
	return ""
}

func brief(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	if r := []rune(string(text)); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return string(text)
}
