package report

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mayfly-run/mayfly/internal/commandmock"
	"github.com/mayfly-run/mayfly/internal/httpmock"
	"github.com/mayfly-run/mayfly/internal/run"
)

// Event is a result as the event of a run of tests has it.
type Event struct {
	Result
	// Omitted says how many elements of a list are left out, by its name, since the event would be too large with them.
	Omitted map[string]int `json:"omitted,omitempty"`
}

// Recorded is a file that a recording has written, as an event of a run of tests. Its path is relative to the folder of the tool's files.
type Recorded struct {
	Path string `json:"path"`
	Size int    `json:"size"`
	// Exactly one is set: Data for UTF-8, DataBase64 for anything else, and Omitted for a file that is too large for an event.
	Data       string `json:"data,omitempty"`
	DataBase64 []byte `json:"data_base64,omitempty"`
	Omitted    bool   `json:"omitted,omitempty"`
}

// MaxEvent bounds the JSON of an event, in bytes: a server takes one of 1 MiB, with what every event has.
const MaxEvent = 768 << 10

// These are what an event has at first of each text, in bytes, and of each list. Both are halved until the event is small enough.
const (
	mostText  = 16 << 10
	mostItems = 1000
	// outputTexts is how many times as much of what a tool printed there is.
	outputTexts = 4
)

// NewEvent returns a result as an event. It changes nothing of the result.
func NewEvent(r *Result) (*run.Other, error) {
	for text, items := mostText, mostItems; ; text, items = text/2, items/2 {
		e := shortened(r, text, items)
		if text > 0 && e.large() {
			continue
		}
		data, err := json.Marshal(e)
		if err != nil {
			return nil, err
		}
		if len(data) <= MaxEvent || text == 0 {
			return otherOf(run.TypeTest, data)
		}
	}
}

// large reports whether what the tool did takes more than an event may. It doesn't look at what comes after that.
func (e *Event) large() bool {
	size := 0
	return over(&size, e.Requests) || over(&size, e.Calls) || over(&size, e.Failures)
}

// over adds the size of the JSON of a list.
func over[T any](size *int, all []T) bool {
	for i := range all {
		data, err := json.Marshal(&all[i])
		if *size += len(data); err != nil || *size > MaxEvent {
			return true
		}
	}
	return false
}

// NewRecorded returns a file as an event.
func NewRecorded(path string, content []byte) (*run.Other, error) {
	one := Recorded{Path: path, Size: len(content)}
	if utf8.Valid(content) {
		one.Data = string(content)
	} else {
		one.DataBase64 = content
	}
	data, err := json.Marshal(one)
	if err != nil {
		return nil, err
	}
	if len(data) > MaxEvent {
		if data, err = json.Marshal(Recorded{Path: path, Size: len(content), Omitted: true}); err != nil {
			return nil, err
		}
	}
	return otherOf(run.TypeRecorded, data)
}

func otherOf(kind string, data []byte) (*run.Other, error) {
	other := &run.Other{Type: kind}
	return other, json.Unmarshal(data, other)
}

// shortened is a result with at most that many bytes of each text, and elements of each list. The beginnings stay, except of what the tool
// printed, of which the log has all. Omitted doesn't count what is left out inside one request or call.
func shortened(r *Result, text, items int) *Event {
	e := &Event{Result: *r, Omitted: map[string]int{}}
	e.Stdout, e.StdoutBase64, e.StdoutTruncated = cutOutput(r.Stdout, r.StdoutBase64, outputTexts*text, r.StdoutTruncated)
	e.Stderr, e.StderrBase64, e.StderrTruncated = cutOutput(r.Stderr, r.StderrBase64, outputTexts*text, r.StderrTruncated)
	e.Error = cut(r.Error, text)
	e.Problems = kept(e, "problems", r.Problems, items)
	e.Failures = kept(e, "failures", r.Failures, items)
	for i := range e.Failures {
		e.Failures[i].Message, e.Failures[i].Diff = cut(e.Failures[i].Message, text), cut(e.Failures[i].Diff, text)
	}
	e.Notes = texts(kept(e, "notes", r.Notes, items), text)
	e.UnusedMocks = texts(kept(e, "unused_mocks", r.UnusedMocks, items), text)
	e.Requests = kept(e, "requests", r.Requests, items)
	for i := range e.Requests {
		shortenRequest(&e.Requests[i], text, items)
	}
	e.Refused = kept(e, "refused", r.Refused, items)
	for i := range e.Refused {
		e.Refused[i].Problem = cut(e.Refused[i].Problem, text)
	}
	e.Calls = kept(e, "calls", r.Calls, items)
	for i := range e.Calls {
		shortenCall(&e.Calls[i], text, items)
	}
	e.Connections = kept(e, "connections", r.Connections, items)
	if r.Result != nil {
		e.Result.Result = shortenRun(e, r.Result, text, items)
	}
	if len(e.Omitted) == 0 {
		e.Omitted = nil
	}
	return e
}

// shortenRun shortens the result of a test's run.
func shortenRun(e *Event, r *run.Result, text, items int) *run.Result {
	short := *r
	short.Reason, short.Hint = cut(r.Reason, text), cut(r.Hint, text)
	short.Outputs = map[string]string{}
	for _, name := range kept(e, "outputs", slices.Sorted(maps.Keys(r.Outputs)), items) {
		short.Outputs[name] = cut(r.Outputs[name], text)
	}
	short.DeniedConnections = kept(e, "denied_connections", r.DeniedConnections, items)
	return &short
}

func shortenRequest(q *httpmock.Request, text, items int) {
	q.URL, q.Path, q.Problem = cut(q.URL, text), cut(q.Path, text), cut(q.Problem, text)
	q.Query, q.Headers = lists(q.Query, text, items), lists(q.Headers, text, items)
	if len(q.Body) > text || len(q.BodyBase64) > text {
		q.Body, q.BodyTruncated = cut(q.Body, text), true
		q.BodyBase64 = q.BodyBase64[:min(len(q.BodyBase64), text)]
	}
}

func shortenCall(c *commandmock.Call, text, items int) {
	c.Args = texts(append([]string{}, c.Args[:min(len(c.Args), items)]...), text)
	c.Problem = cut(c.Problem, text)
	if len(c.Stdin) > text || len(c.StdinBase64) > text {
		c.Stdin, c.StdinTruncated = cut(c.Stdin, text), true
		c.StdinBase64 = c.StdinBase64[:min(len(c.StdinBase64), text)]
	}
}

// kept returns a copy of the first elements of a list, and counts the others.
func kept[T any](e *Event, name string, all []T, most int) []T {
	if n := len(all) - most; n > 0 {
		e.Omitted[name] = n
		all = all[:most]
	}
	return append([]T{}, all...)
}

func texts(all []string, most int) []string {
	for i, t := range all {
		all[i] = cut(t, most)
	}
	return all
}

// lists are the first of the values by name; a name is at most as long as a value.
func lists(all map[string][]string, text, items int) map[string][]string {
	out := map[string][]string{}
	names := slices.Sorted(maps.Keys(all))
	for _, name := range names[:min(len(names), items)] {
		values := all[name]
		out[cut(name, text)] = texts(append([]string{}, values[:min(len(values), items)]...), text)
	}
	return out
}

// cut is the beginning of a text.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// cutOutput is the end of what a tool printed, where its failure most likely is.
func cutOutput(text string, data []byte, most int, truncated bool) (string, []byte, bool) {
	if len(text) <= most && len(data) <= most {
		return text, data, truncated
	}
	if data != nil {
		return "", data[len(data)-most:], true
	}
	return strings.ToValidUTF8(text[len(text)-most:], ""), nil, true
}
