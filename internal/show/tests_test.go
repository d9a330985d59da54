package show

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/commandmock"
	"github.com/mayfly-run/mayfly/internal/httpmock"
	"github.com/mayfly-run/mayfly/internal/tooltest/report"
)

// TestTests: results of tests, below the name of their file.
func TestTests(t *testing.T) {
	var many []string
	for i := range 22 {
		many = append(many, fmt.Sprint("line ", i))
	}
	many[21] = strings.Repeat("x", 1001)
	results := []*report.Result{
		{Name: "passes", File: "a_test.yaml", Status: report.Passed, DurationMS: 1234, Notes: []string{"a note"}, Stdout: "not shown"},
		{
			Name: "fails\x1b", File: "a_test.yaml", Status: report.Failed, DurationMS: 10, Recorded: "a.mocks.yaml",
			Failures: []report.Failure{{Message: "stdout is not\nas expected", Diff: "-a\n+b\n c\n"}}, Notes: []string{"another note"},
			Requests: []httpmock.Request{
				{Method: "GET", URL: "https://example.com/"},
				{Method: "GET", URL: "https://example.com/a", Mock: "mocks[0]", Status: 200},
				{Method: "GET", URL: "https://example.com/b", Mock: "mocks[1]"},
			},
			Calls:  []commandmock.Call{{Command: "git", Args: []string{"push"}}, {Command: "git", Args: []string{"pull"}, Mock: "commands[0]", ExitCode: 1}},
			Stdout: "b\n", StderrBase64: []byte{1, 2, 3},
		},
		{Name: "can't run", File: "b_test.yaml", Status: report.Errored, Error: "no such image", Stdout: strings.Join(many, "\n")},
	}
	summary := report.Summary{Type: "summary", Tests: 3, Passed: 1, Failed: 1, Errors: 1, DurationMS: 2000}
	const want = `a_test.yaml
  <32>PASS </> passes (1.23s)
      note: a note
  <31>FAIL </> fails` + "\ufffd" + ` (0.01s)
      stdout is not
        as expected
        <31>-a</>
        <32>+b</>
         c
      note: another note
      requests:
        GET https://example.com/ -> no answer
        GET https://example.com/a -> 200 from mocks[0]
        GET https://example.com/b -> nothing, as mocks[1] says
      commands:
        git push -> no answer
        git pull -> exit status 1 from commands[0]
      stdout:
        b
      stderr: 3 bytes that aren't text
      recorded: a.mocks.yaml
b_test.yaml
  <31>ERROR</> can't run (0.00s)
      no such image
      stdout, the last 20 of 22 lines:
`
	var tail strings.Builder
	for i := 2; i < 21; i++ {
		fmt.Fprintf(&tail, "        line %d\n", i)
	}
	tail.WriteString("        " + strings.Repeat("x", 1000) + "…\n")
	const end = "<31>1 passed, 1 failed, 1 not finished</> in 2.00s\n"
	for name, tt := range map[string]struct {
		to    *streams
		paint *strings.Replacer
	}{
		"text":   {pipes(), strings.NewReplacer("<31>", "", "<32>", "", "</>", "")},
		"colour": {terminal(true, 80, 24), strings.NewReplacer("<31>", "\x1b[31m", "<32>", "\x1b[32m", "</>", "\x1b[0m")},
	} {
		t.Run(name, func(t *testing.T) {
			view := NewTests(tt.to.Output, false, len(results))
			for i, r := range results {
				view.Progress("pulling busybox")
				view.Ended(i + 1)
				view.Result(r)
			}
			if err := view.Finish(summary); err != nil {
				t.Fatal(err)
			}
			tt.to.check(t, tt.paint.Replace(want+tail.String()+end), "")
		})
	}
}

// TestTestsSummary: a summary names what there was, and is green if all passed.
func TestTestsSummary(t *testing.T) {
	to := pipes()
	to.Out.Color = true
	view := NewTests(to.Output, false, 0)
	if err := view.Finish(report.Summary{Passed: 2}); err != nil {
		t.Fatal(err)
	}
	to.check(t, "\x1b[32m2 passed\x1b[0m in 0.00s\n", "")
}

// TestTrafficIsBounded: what reached the mocks is counted from the eleventh on.
func TestTrafficIsBounded(t *testing.T) {
	var b strings.Builder
	printTraffic(&b, "", "requests", make([]string, 12))
	if got := b.String(); strings.Count(got, "\n") != 12 || !strings.HasSuffix(got, "  and 2 more\n") {
		t.Errorf("got %q", got)
	}
}

// TestTestsJSON: one line for each result, and one for the summary; no spinner.
func TestTestsJSON(t *testing.T) {
	to := terminal(true, 80, 24)
	view := NewTests(to.Output, true, 1)
	view.Ended(1)
	view.Result(&report.Result{Type: "test", Name: "a"})
	if err := view.Finish(report.Summary{Type: "summary"}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(to.out.String(), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], `{"type":"test","name":"a"`) || !strings.HasPrefix(lines[1], `{"type":"summary"`) {
		t.Errorf("got %q", lines)
	}
}

// TestTestsUnprinted: results that can't be printed are an error.
func TestTestsUnprinted(t *testing.T) {
	for _, json := range []bool{false, true} {
		view := NewTests(Output{Out: Stream{Writer: &full{}}, Err: Stream{Writer: &bytes.Buffer{}}}, json, 1)
		view.Result(&report.Result{Status: report.Passed})
		if err := view.Finish(report.Summary{}); !errors.Is(err, errFull) || err.Error() != "print the results: no space left" {
			t.Errorf("json %v: got %v", json, err)
		}
	}
}
