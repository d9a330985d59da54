package suite

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/textsafe"
	"go.yaml.in/yaml/v3"
)

// This file has the shapes of mocks.

// maxDelay is the longest delay of a mock: the longest timeout of a tool.
const maxDelay = 720 * time.Hour

// rawHTTPMock is a mock as written: its only answer is beside its conditions, or its answers are in a list.
type rawHTTPMock struct {
	HTTPMock
	only HTTPAnswer
}

func httpMockShape() shape.Shape[HTTPMock] {
	request := func(m *rawHTTPMock) *RequestMatch { return &m.RequestMatch }
	fields := matchFields(request)
	inner := shape.Object("request", contentFields(func(m *RequestMatch) *RequestMatch { return m }), nil)
	fields = append(fields, shape.Field[rawHTTPMock]{
		Key: "request", Doc: "What the request must have for the mock to answer it: headers, body, json.", Schema: inner.Schema,
		Read: func(d *shape.Decoder, n *yaml.Node, m *rawHTTPMock) {
			if r, ok := inner.Read(d, n, "request"); ok { // the keys of its address are outside request
				m.Headers, m.Body, m.JSON, m.HasJSON = r.Headers, r.Body, r.JSON, r.HasJSON
			}
		},
	})
	fields = append(fields, answerFields(func(m *rawHTTPMock) *HTTPAnswer { return &m.only })...)
	fields = append(fields,
		shape.Bind("answers", "Several answers, given one after the other; the last one is repeated.", shape.List("an answer", answerShape()),
			func(m *rawHTTPMock) *[]HTTPAnswer { return &m.Answers }),
		shape.Bind("times", "How many requests the mock must answer; it answers no more. Any number by default.", timesShape(),
			func(m *rawHTTPMock) **int { return &m.Times }),
		shape.Bind("name", mockNameDoc, mockNameShape(), func(m *rawHTTPMock) *string { return &m.Name }))
	return shape.Located(shape.Convert(shape.Object("a mock", fields, func(d *shape.Decoder, n *yaml.Node, m *rawHTTPMock) {
		checkMatch(d, n, &m.RequestMatch)
		if !shape.Has(n, "answers") {
			checkAnswer(d, n, &m.only)
			m.only.Position = d.Position(n)
			m.Answers = []HTTPAnswer{m.only}
			return
		}
		for _, key := range []string{"status", "headers", "body", "json", "body_base64", "file", "chunks", "delay", "reset", "timeout"} {
			if shape.Has(n, key) {
				d.Report(shape.Child(n, key), key+" and answers are both given", "put "+key+" into one of the answers; conditions on the request go under request")
			}
		}
		shape.NotEmpty(d, n, "answers")
	}), func(m rawHTTPMock) HTTPMock { return m.HTTPMock }), func(m HTTPMock, p shape.Position) HTTPMock {
		m.Position = p
		return m
	})
}

const (
	mockNameDoc = "The mock's name in messages and results, instead of its position, such as http[0]."
	maxMockName = 500
)

func mockNameShape() shape.Shape[string] {
	return shape.Text(shape.Schema{"minLength": 1, "maxLength": maxMockName}, func(s string) (string, string) {
		if strings.TrimSpace(s) == "" || utf8.RuneCountInString(s) > maxMockName || strings.Contains(s, "\n") || textsafe.Replace(s, "") != s {
			return "is not the name of a mock", fmt.Sprintf("write one line of at most %d characters", maxMockName)
		}
		return "", ""
	})
}

func timesShape() shape.Shape[*int] {
	return shape.Pointer(shape.Convert(shape.Integer(1, 1_000_000), func(v int64) int { return int(v) }))
}

func answerShape() shape.Shape[HTTPAnswer] {
	return shape.Located(shape.Object("an answer", answerFields(func(a *HTTPAnswer) *HTTPAnswer { return a }), checkAnswer), func(a HTTPAnswer, p shape.Position) HTTPAnswer {
		a.Position = p
		return a
	})
}

func answerFields[T any](of func(*T) *HTTPAnswer) []shape.Field[T] {
	return []shape.Field[T]{
		shape.Bind("status", "The status of the answer; 200 by default.", shape.Convert(shape.Integer(200, 599), func(v int64) int { return int(v) }),
			func(t *T) *int { return &of(t).Status }),
		shape.Bind("headers", "The headers of the answer: a text each, or a list of texts.", answerHeadersShape(),
			func(t *T) *[]Header { return &of(t).Headers }),
		shape.Bind("body", "The body of the answer, as text.", shape.Loose(nil),
			func(t *T) *string { return &of(t).Body }),
		{
			Key: "json", Doc: "The body of the answer, as JSON.", Schema: shape.Schema{},
			Read: func(d *shape.Decoder, n *yaml.Node, t *T) {
				if v, ok := shape.AnyJSON().Read(d, n, "json"); ok {
					text, err := shape.JSON(v)
					if err != nil {
						d.Report(n, "json can't be encoded: "+err.Error(), "")
					}
					of(t).JSON = text
				}
			},
		},
		shape.Bind("body_base64", "The body of the answer in base64, if it isn't text. It is sent unchanged.", bytesShape(),
			func(t *T) *[]byte { return &of(t).Data }),
		shape.Bind("file", "A file in the test file's folder that has the body of the answer.", shape.Text(shape.Schema{"minLength": 1}, checkBeside()),
			func(t *T) *string { return &of(t).File }),
		shape.Bind("chunks", "The parts of the body, sent one after the other, each after its delay: events of a server, a watch.", shape.List("a chunk", chunkShape()),
			func(t *T) *[]Chunk { return &of(t).Chunks }),
		shape.Bind("delay", "How long the answer takes, such as 500ms.", shape.Duration(0, maxDelay),
			func(t *T) *time.Duration { return &of(t).Delay }),
		shape.Bind("reset", "Resets the connection instead of answering.", shape.Boolean(),
			func(t *T) *bool { return &of(t).Reset }),
		shape.Bind("timeout", "Never answers.", shape.Boolean(),
			func(t *T) *bool { return &of(t).Timeout }),
	}
}

func chunkShape() shape.Shape[Chunk] {
	return shape.Object("a chunk", []shape.Field[Chunk]{
		shape.Required(shape.Bind("body", "The text of the part.", shape.Loose(nil), func(c *Chunk) *string { return &c.Body })),
		shape.Bind("delay", "How long before it is sent, such as 500ms.", shape.Duration(0, maxDelay), func(c *Chunk) *time.Duration { return &c.Delay }),
	}, nil)
}

// bytesShape returns the shape of bytes in base64 (RFC 4648 section 4).
func bytesShape() shape.Shape[[]byte] {
	return shape.Convert(shape.Text(nil, func(s string) (string, string) {
		if _, err := base64.StdEncoding.DecodeString(s); err != nil {
			return "is not base64", ""
		}
		return "", ""
	}), func(s string) []byte {
		data, _ := base64.StdEncoding.DecodeString(s) // checked above; the value of a problem is never used
		return data
	})
}

// checkBeside returns a check for paths that stay in the folder of the test file.
func checkBeside() func(string) (wrong, hint string) { return shape.InsideFolder("the test file") }

// answerHeadersShape returns the shape of the headers of an answer. Several headers with one name keep their order.
func answerHeadersShape() shape.Shape[[]Header] {
	value := shape.OneOrMore("a value", shape.Loose(func(s string) (string, string) {
		if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return "contains a control character", "" // it would end the header (RFC 9110 section 5.5)
		}
		return "", ""
	}))
	name := func(s string) (string, string) {
		if strings.EqualFold(s, "Transfer-Encoding") {
			return "can't be set by a mock", "leave it out"
		}
		return checkHeaderName(s)
	}
	return shape.Mapping(value, nil, name, "header", func(all []Header, name string, values []string) []Header {
		for _, v := range values {
			all = append(all, Header{Name: name, Value: v})
		}
		return all
	}, func() []Header { return nil })
}

func checkAnswer(d *shape.Decoder, n *yaml.Node, a *HTTPAnswer) {
	var bodies []string
	for _, key := range []string{"body", "json", "body_base64", "file", "chunks"} {
		if shape.Has(n, key) {
			bodies = append(bodies, key)
		}
	}
	if len(bodies) > 1 {
		d.Report(shape.Child(n, bodies[1]), fmt.Sprintf("an answer has %d bodies: %s", len(bodies), strings.Join(bodies, " and ")), "keep one of them; conditions on the request go under request")
	}
	silent := map[string]bool{"reset": a.Reset, "timeout": a.Timeout}
	for _, key := range []string{"reset", "timeout"} {
		if !silent[key] {
			continue
		}
		for _, other := range append([]string{"status", "headers"}, bodies...) {
			if shape.Has(n, other) {
				d.Report(shape.Child(n, other), other+" and "+key+" are both given, but "+key+" doesn't answer", "keep one of them")
			}
		}
	}
	if a.Reset && a.Timeout {
		d.Report(shape.Child(n, "timeout"), "timeout and reset are both given", "keep one of them")
	}
	if (a.Status == 204 || a.Status == 304) && len(bodies) > 0 {
		d.Report(shape.Child(n, bodies[0]), fmt.Sprintf("an answer with status %d has no body", a.Status), "leave it out") // RFC 9110 section 6.4.1
	}
}

// rawCommandMock is a mocked command as written: its only answer is beside its conditions, or its answers are in a list.
type rawCommandMock struct {
	CommandMock
	only CommandAnswer
}

func commandMockShape() shape.Shape[CommandMock] {
	fields := []shape.Field[rawCommandMock]{
		shape.Required(shape.Bind("command", "The command's name, without a folder.", shape.Text(shape.Schema{"pattern": commandPattern}, checkCommandName),
			func(m *rawCommandMock) *string { return &m.Command })),
		shape.Bind("args", "The arguments of the call: a list of all of them, or {prefix: …} for the first ones. * stands for any characters of a word. Any by default.", argsShape(),
			func(m *rawCommandMock) **ArgsMatch { return &m.Args }),
		shape.Bind("stdin", "The standard input of the call.", outputShape(),
			func(m *rawCommandMock) **Matcher { return &m.Stdin }),
	}
	fields = append(fields, commandAnswerFields(func(m *rawCommandMock) *CommandAnswer { return &m.only })...)
	fields = append(fields,
		shape.Bind("answers", "Several answers, given one after the other; the last one is repeated.",
			shape.List("an answer", shape.Object("an answer", commandAnswerFields(func(a *CommandAnswer) *CommandAnswer { return a }), nil)),
			func(m *rawCommandMock) *[]CommandAnswer { return &m.Answers }),
		shape.Bind("times", "How many calls the mock must answer; it answers no more. Any number by default.", timesShape(),
			func(m *rawCommandMock) **int { return &m.Times }),
		shape.Bind("name", mockNameDoc, mockNameShape(), func(m *rawCommandMock) *string { return &m.Name }))
	return shape.Located(shape.Convert(shape.Object("a mocked command", fields, func(d *shape.Decoder, n *yaml.Node, m *rawCommandMock) {
		if !shape.Has(n, "answers") {
			m.Answers = []CommandAnswer{m.only}
			return
		}
		for _, key := range []string{"stdout", "stderr", "exit_code", "delay"} {
			if shape.Has(n, key) {
				d.Report(shape.Child(n, key), key+" and answers are both given", "put "+key+" into one of the answers")
			}
		}
		shape.NotEmpty(d, n, "answers")
	}), func(m rawCommandMock) CommandMock { return m.CommandMock }), func(m CommandMock, p shape.Position) CommandMock {
		m.Position = p
		return m
	})
}

func commandAnswerFields[T any](of func(*T) *CommandAnswer) []shape.Field[T] {
	return []shape.Field[T]{
		shape.Bind("stdout", "What it prints.", shape.Loose(nil), func(t *T) *string { return &of(t).Stdout }),
		shape.Bind("stderr", "What it prints to standard error.", shape.Loose(nil), func(t *T) *string { return &of(t).Stderr }),
		shape.Bind("exit_code", "Its exit status; 0 by default.", shape.Convert(shape.Integer(0, 255), func(v int64) int { return int(v) }),
			func(t *T) *int { return &of(t).ExitCode }),
		shape.Bind("delay", "How long it takes, such as 500ms.", shape.Duration(0, maxDelay), func(t *T) *time.Duration { return &of(t).Delay }),
	}
}

const commandPattern = `^[A-Za-z0-9_.+-]{1,63}$`

func checkCommandName(s string) (wrong, hint string) {
	switch {
	case strings.Contains(s, "/"):
		return "is a path", "write its name; the mock is first in PATH"
	case s == "" || len(s) > 63 || s == "." || s == ".." || !shape.MadeOf(s, "_.+-"):
		return "is not the name of a command", `use letters, digits, ".", "+", "-" and "_"`
	}
	return "", ""
}

// argsShape returns the shape of conditions for the arguments of a call.
func argsShape() shape.Shape[*ArgsMatch] {
	words := shape.List("a word", shape.Convert(matcherShape(word), func(m *Matcher) Matcher {
		if m == nil {
			return Matcher{}
		}
		return *m
	}))
	whole := shape.Convert(words, func(w []Matcher) *ArgsMatch { return &ArgsMatch{Words: w} })
	prefix := shape.Convert(shape.Object("args", []shape.Field[[]Matcher]{
		shape.Required(shape.Bind("prefix", "The first arguments; any may follow.", words, func(w *[]Matcher) *[]Matcher { return w })),
	}, nil), func(w []Matcher) *ArgsMatch { return &ArgsMatch{Words: w, Prefix: true} })
	return shape.ByKind("a list of words, or {prefix: …}", nil, &whole, &prefix)
}
