package tooltest

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/mayfly-run/mayfly/internal/tooltest/report"
)

// The elements of a JUnit report, in the form that the common readers (Jenkins, GitLab, GitHub Actions) accept.
type (
	junitReport struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Time     string       `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Time     string      `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`
		ms       int64
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		File    string        `xml:"file,attr"`
		Line    int           `xml:"line,attr"`
		Time    string        `xml:"time,attr"`
		Failure *junitFailure `xml:"failure"`
		Error   *junitFailure `xml:"error"`
		Stdout  string        `xml:"system-out,omitempty"`
		Stderr  string        `xml:"system-err,omitempty"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes results as a JUnit report.
func WriteJUnit(w io.Writer, results []*report.Result, s report.Summary) error {
	root := junitReport{Tests: s.Tests, Failures: s.Failed, Errors: s.Errors, Time: seconds(s.DurationMS)}
	for _, r := range results {
		if n := len(root.Suites); n == 0 || root.Suites[n-1].Name != clean(r.File) {
			root.Suites = append(root.Suites, junitSuite{Name: clean(r.File)})
		}
		suite := &root.Suites[len(root.Suites)-1]
		c := junitCase{Name: clean(r.Name), Class: clean(r.File), File: clean(r.File), Line: r.Line, Time: seconds(r.DurationMS), Stdout: clean(r.Stdout), Stderr: clean(r.Stderr)}
		switch r.Status {
		case report.Failed:
			suite.Failures++
			c.Failure = &junitFailure{Message: clean(r.Failures[0].Message), Text: clean(reportOf(r))}
		case report.Errored:
			suite.Errors++
			c.Error = &junitFailure{Message: clean(r.Error), Text: clean(reportOf(r))}
		}
		suite.Tests++
		suite.ms += r.DurationMS
		suite.Cases = append(suite.Cases, c)
	}
	for i := range root.Suites {
		root.Suites[i].Time = seconds(root.Suites[i].ms)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(root); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func seconds(ms int64) string { return fmt.Sprintf("%.3f", float64(ms)/1000) }

// reportOf returns the whole report about a test that didn't pass.
func reportOf(r *report.Result) string {
	var b strings.Builder
	if r.Error != "" {
		b.WriteString(r.Error + "\n")
	}
	for _, f := range r.Failures {
		b.WriteString(f.Message + "\n" + f.Diff)
	}
	for _, n := range r.Notes {
		b.WriteString("note: " + n + "\n")
	}
	return b.String()
}

// clean replaces characters that XML can't contain (XML 1.0 section 2.2), and those that would control a terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || !unicode.IsControl(r) && r != 0xfffe && r != 0xffff {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
