package tooltest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Request describes the requests that a mock answers, or that a test expects. A field that isn't set matches anything. In
// URL, Host, Path, Query and Headers, a * stands for any characters, including /.
type Request struct {
	Method string
	// URL gives scheme, host, port, path and query at once.
	URL  string
	Host string
	Port int
	// Path is the decoded path. It may have a query.
	Path string
	// PathRegex is a regular expression that must match the whole path.
	PathRegex string
	// Query and Headers must all be present; a request may have others.
	Query, Headers map[string]string
	// Body is the whole body, and BodyContains a part of it.
	Body, BodyContains string
	// JSON is compared with the body, whose objects may have more keys.
	JSON any
	// Times is how many requests a mock answers, and must answer; 0 means any number. In an expectation it is how many
	// requests must have come; 0 means at least one.
	Times int
}

// Response is the answer to a request. The zero value has status 200 and no body.
type Response struct {
	Status  int
	Headers http.Header
	// At most one of these sets the body: a text, bytes, a value that is sent as JSON, a file in the test's folder, or parts
	// that are sent one after the other.
	Body   string
	Bytes  []byte
	JSON   any
	File   string
	Chunks []Chunk
	// Delay is the time before the answer is sent.
	Delay time.Duration
	// Reset resets the connection instead of answering. Timeout never answers.
	Reset, Timeout bool
}

// Chunk is a part of a body. It is sent after its delay.
type Chunk struct {
	Body  string
	Delay time.Duration
}

// Call describes the calls of a mocked command that a mock answers, or that a test expects.
type Call struct {
	Command string
	// Args are all of the arguments; a * stands for any characters. If it is nil, any arguments match.
	Args []string
	// Prefix says that further arguments may follow.
	Prefix bool
	// Stdin is the whole standard input, except for a last line break, and StdinContains a part of it.
	Stdin, StdinContains string
	// Times is how many calls a mock answers, and must answer; 0 means any number. In an expectation it is how many calls
	// must have come; 0 means at least one.
	Times int
}

// Answer is what a mocked command does.
type Answer struct {
	Stdout, Stderr string
	ExitCode       int
	Delay          time.Duration
}

// Step is how a step of a workflow that doesn't run ends.
type Step struct {
	Outputs map[string]string
	// Status is by default succeeded, or failed if ExitCode isn't 0.
	Status   string
	ExitCode int
	Stdout   string
}

// mock is a registered mock: its definition in a file of tests, and its name in messages.
type mock struct {
	definition map[string]any
	label      string
}

// maxText is the size of the longest body that is sent to mayfly as text, in bytes. A longer one is sent in base64, since a
// file of tests may have only a limited number of commas and colons, and base64 has none.
const maxText = 4096

func (r *Request) mock(answers []Response) (map[string]any, error) {
	m := map[string]any{}
	set(m, "method", r.Method)
	set(m, "url", r.URL)
	set(m, "host", r.Host)
	set(m, "port", r.Port)
	set(m, "path", r.Path)
	if r.PathRegex != "" {
		m["path"] = map[string]string{"regex": r.PathRegex}
	}
	if len(r.Query) > 0 {
		m["query"] = r.Query
	}
	content := map[string]any{}
	if len(r.Headers) > 0 {
		content["headers"] = r.Headers
	}
	if body := texts(r.Body, r.BodyContains); body != nil {
		content["body"] = body
	}
	if r.JSON != nil {
		content["json"] = r.JSON
	}
	if len(content) > 0 {
		m["request"] = content
	}
	set(m, "times", r.Times)
	return m, answered(m, answers, (*Response).definition)
}

// answered adds answers to the mock m: the keys of a single answer, or a list under the key answers.
func answered[A any](m map[string]any, answers []A, definition func(*A) (map[string]any, error)) error {
	var all []map[string]any
	for i := range answers {
		a, err := definition(&answers[i])
		if err != nil {
			return err
		}
		all = append(all, a)
	}
	switch len(all) {
	case 0:
	case 1:
		for key, value := range all[0] {
			m[key] = value
		}
	default:
		m["answers"] = all
	}
	return nil
}

func (r *Response) definition() (map[string]any, error) {
	m := map[string]any{}
	set(m, "status", r.Status)
	headers := r.Headers.Clone()
	if headers == nil {
		headers = http.Header{}
	}
	text, kind, bodies := r.Body, "text/plain; charset=utf-8", 0
	for _, given := range []bool{r.Body != "", r.Bytes != nil, r.JSON != nil, r.File != "", len(r.Chunks) > 0} {
		if given {
			bodies++
		}
	}
	if bodies > 1 {
		return nil, fmt.Errorf("a response has %d of Body, Bytes, JSON, File and Chunks: keep one of them", bodies)
	}
	if r.JSON != nil {
		data, err := json.Marshal(r.JSON)
		if err != nil {
			return nil, err
		}
		text, kind = string(data), "application/json"
	}
	switch {
	case r.Bytes != nil:
		m["body_base64"] = base64.StdEncoding.EncodeToString(r.Bytes)
	case text == "":
	default:
		if headers.Get("Content-Type") == "" {
			headers.Set("Content-Type", kind)
		}
		if len(text) > maxText && headers.Get("Content-Encoding") == "" { // mayfly compresses only text
			m["body_base64"] = base64.StdEncoding.EncodeToString([]byte(text))
		} else {
			m["body"] = text
		}
	}
	if len(headers) > 0 {
		m["headers"] = headers
	}
	set(m, "file", r.File)
	if len(r.Chunks) > 0 {
		chunks := make([]map[string]any, len(r.Chunks))
		for i, c := range r.Chunks {
			chunks[i] = map[string]any{"body": c.Body}
			delay(chunks[i], c.Delay)
		}
		m["chunks"] = chunks
	}
	delay(m, r.Delay)
	set(m, "reset", r.Reset)
	set(m, "timeout", r.Timeout)
	return m, nil
}

func (c *Call) mock(answers []Answer) (map[string]any, error) {
	m := map[string]any{"command": c.Command}
	switch {
	case c.Prefix:
		m["args"] = map[string]any{"prefix": append([]string{}, c.Args...)}
	case c.Args != nil:
		m["args"] = c.Args
	}
	if stdin := texts(c.Stdin, c.StdinContains); stdin != nil {
		m["stdin"] = stdin
	}
	set(m, "times", c.Times)
	return m, answered(m, answers, func(a *Answer) (map[string]any, error) {
		m := map[string]any{}
		set(m, "stdout", a.Stdout)
		set(m, "stderr", a.Stderr)
		set(m, "exit_code", a.ExitCode)
		delay(m, a.Delay)
		return m, nil
	})
}

func (s *Step) definition() map[string]any {
	m := map[string]any{}
	if len(s.Outputs) > 0 {
		m["outputs"] = s.Outputs
	}
	set(m, "status", s.Status)
	set(m, "exit_code", s.ExitCode)
	set(m, "stdout", s.Stdout)
	return m
}

// set sets a key, unless the value is the zero value of its type.
func set[V comparable](m map[string]any, key string, value V) {
	var zero V
	if value != zero {
		m[key] = value
	}
}

func delay(m map[string]any, d time.Duration) {
	if d > 0 {
		m["delay"] = milliseconds(d)
	}
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%dms", (d + time.Millisecond - 1).Milliseconds())
}

// texts returns the conditions on a text, or nil if there are none.
func texts(equals, contains string) map[string]string {
	m := map[string]string{}
	if equals != "" {
		m["equals"] = equals
	}
	if contains != "" {
		m["contains"] = contains
	}
	if len(m) == 0 {
		return nil
	}
	return m
}

// String returns a short form of the request, for messages.
func (r Request) String() string {
	address := r.URL
	if address == "" {
		address = r.Host
		if r.Port != 0 {
			address += fmt.Sprintf(":%d", r.Port)
		}
		address += r.Path
		if r.PathRegex != "" {
			address += "(" + r.PathRegex + ")"
		}
	}
	parts := []string{}
	for _, p := range []string{r.Method, address} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	for name, value := range r.Query {
		parts = append(parts, "query "+name+": "+value)
	}
	for name, value := range r.Headers {
		parts = append(parts, "header "+name+": "+value)
	}
	if r.Body != "" || r.BodyContains != "" {
		parts = append(parts, fmt.Sprintf("body %q", r.Body+r.BodyContains))
	}
	if r.JSON != nil {
		parts = append(parts, "with JSON")
	}
	if len(parts) == 0 {
		return "any request"
	}
	return strings.Join(parts, " ")
}

// String returns a short form of the call, for messages.
func (c Call) String() string {
	text := strings.Join(append([]string{c.Command}, c.Args...), " ")
	if c.Prefix {
		text += " …"
	}
	return text
}

// site returns the place of the code that called the caller of site.
func site() string {
	if _, file, line, ok := runtime.Caller(2); ok {
		return fmt.Sprintf(" at %s:%d", filepath.Base(file), line)
	}
	return ""
}
