package tooltest

import (
	"fmt"
	"strings"

	"github.com/mayfly-run/mayfly/internal/commandmock"
	"github.com/mayfly-run/mayfly/internal/httpmock"
	"github.com/mayfly-run/mayfly/internal/suite"
	"github.com/mayfly-run/mayfly/internal/tooltest/report"
)

// judgeRequests compares the requests that came with those that are expected.
func (s *testRun) judgeRequests(e *suite.Expect) {
	last := 0 // Seq of the latest request that came in order
	for i := range e.Requests {
		want := &e.Requests[i]
		label := fmt.Sprintf("expect.requests[%d], %s", i, requestText(want))
		n, next := 0, 0
		var nearest *httpmock.Request
		var differences []string
		for j := range s.result.Requests {
			got := &s.result.Requests[j]
			d := httpmock.Differences(&want.RequestMatch, got)
			if len(d) == 0 {
				n++
				if next == 0 && got.Seq > last {
					next = got.Seq
				}
			} else if nearest == nil || len(d) < len(differences) {
				nearest, differences = got, d
			}
		}
		switch {
		case want.Count != nil && n != *want.Count, want.Count == nil && n == 0:
			text := fmt.Sprintf("%s: %s, want %s", label, came(n), count(want.Count))
			if n == 0 && nearest != nil {
				text += fmt.Sprintf("; the nearest, %s, differs in %s", nearest, strings.Join(differences, " and "))
			}
			s.fail(report.KindRequest, text, "")
		case e.InOrder && next == 0:
			s.fail(report.KindRequest, fmt.Sprintf("%s: it came, but not after expect.requests[%d]", label, i-1), "")
		}
		if next != 0 {
			last = next
		}
	}
}

// judgeCalls compares the calls of commands with those that are expected.
func (s *testRun) judgeCalls(e *suite.Expect) {
	for i := range e.Commands {
		want := &e.Commands[i]
		n := 0
		var nearest *commandmock.Call
		var differences []string
		for j := range s.result.Calls {
			got := &s.result.Calls[j]
			if got.Command != want.Command {
				continue
			}
			if d := commandmock.Differences(want.Args, want.Stdin, got); len(d) == 0 {
				n++
			} else if nearest == nil || len(d) < len(differences) {
				nearest, differences = got, d
			}
		}
		if want.Count != nil && n == *want.Count || want.Count == nil && n > 0 {
			continue
		}
		text := fmt.Sprintf("expect.commands[%d], %s: %s, want %s", i, callText(want), came(n), count(want.Count))
		if n == 0 && nearest != nil {
			text += fmt.Sprintf("; the nearest, %s, differs in %s", nearest, strings.Join(differences, " and "))
		}
		s.fail(report.KindCommand, text, "")
	}
}

func came(n int) string {
	switch n {
	case 0:
		return "none came"
	case 1:
		return "1 came"
	}
	return fmt.Sprintf("%d came", n)
}

func count(n *int) string {
	switch {
	case n == nil:
		return "at least 1"
	case *n == 0:
		return "none"
	}
	return fmt.Sprint(*n)
}

// requestText returns a short text for an expected request.
func requestText(r *suite.RequestExpect) string {
	var parts []string
	if r.Method != "" {
		parts = append(parts, r.Method)
	}
	address := ""
	if r.Scheme != "" {
		address = r.Scheme + "://"
	}
	if r.Host != nil {
		address += r.Host.String()
	}
	if r.Port != 0 {
		address += fmt.Sprintf(":%d", r.Port)
	}
	if r.Path != nil {
		address += r.Path.String()
	}
	if address != "" {
		parts = append(parts, address)
	}
	for i := range r.Query {
		parts = append(parts, fmt.Sprintf("query %s: %s", r.Query[i].Name, &r.Query[i]))
	}
	for i := range r.Headers {
		parts = append(parts, fmt.Sprintf("header %s: %s", r.Headers[i].Name, &r.Headers[i]))
	}
	if r.Body != nil {
		parts = append(parts, "body: "+r.Body.String())
	}
	if r.HasJSON {
		parts = append(parts, "with JSON")
	}
	if len(parts) == 0 {
		return "any request"
	}
	return strings.Join(parts, " ")
}

// callText returns a short text for an expected call.
func callText(c *suite.CallExpect) string {
	text := c.Command
	if c.Args != nil {
		for i := range c.Args.Words {
			text += " " + c.Args.Words[i].String()
		}
		if c.Args.Prefix {
			text += " …"
		}
	}
	return text
}
