package show

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/mayfly-run/mayfly/internal/textsafe"
	"github.com/mayfly-run/mayfly/internal/tooltest/report"
)

// Tests shows the results of tests as they come in. Its methods are safe from several goroutines.
type Tests struct {
	out   Output
	json  bool
	total int

	mu      sync.Mutex
	spinner *Spinner // nil without a terminal, with JSON, and when there is nothing to wait for
	file    string   // of the last result
	count   int      // tests that have ended
	failed  error    // the first failure to print
}

// NewTests returns a view of a number of tests, as text or as JSON.
func NewTests(out Output, json bool, total int) *Tests {
	v := &Tests{out: out, json: json, total: total}
	v.wait()
	return v
}

// wait says what is being waited for. The caller holds v.mu, or is the only one who has v.
func (v *Tests) wait() {
	if v.out.Err.Terminal && !v.json && v.count < v.total {
		v.spinner = NewSpinner(v.out.Err)
		v.spinner.Show(fmt.Sprintf("%d of %d tests", v.count, v.total))
	}
}

// Progress says what the tests are doing meanwhile, such as how much of an image is here.
func (v *Tests) Progress(text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.spinner.Show(text)
}

// Ended says how many tests have ended. The result of each comes after those of the tests before it.
func (v *Tests) Ended(n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.count = n
	v.spinner.Show(fmt.Sprintf("%d of %d tests", n, v.total))
}

// Result prints a result.
func (v *Tests) Result(r *report.Result) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.json {
		v.keep(JSONLine(v.out.Out, r))
		return
	}
	v.spinner.Stop()
	v.spinner = nil
	var b strings.Builder
	if r.File != v.file {
		v.file = r.File
		fmt.Fprintln(&b, textsafe.Replace(r.File, "\t"))
	}
	mark, code := "PASS ", "32"
	switch r.Status {
	case report.Failed:
		mark, code = "FAIL ", "31"
	case report.Errored:
		mark, code = "ERROR", "31"
	}
	fmt.Fprintf(&b, "  %s %s (%s)\n", v.out.Out.paint(code, mark), textsafe.Replace(r.Name, "\t"), millis(r.DurationMS))
	if r.Status == report.Passed {
		for _, n := range r.Notes {
			fmt.Fprintf(&b, "      note: %s\n", textsafe.Replace(n, "\t"))
		}
	} else {
		v.report(&b, r)
	}
	if r.Recorded != "" {
		fmt.Fprintf(&b, "      recorded: %s\n", textsafe.Replace(r.Recorded, "\t"))
	}
	_, err := io.WriteString(v.out.Out, b.String())
	v.keep(err)
	v.wait()
}

// report prints everything about a test that didn't pass.
func (v *Tests) report(b *strings.Builder, r *report.Result) {
	const indent = "      "
	if r.Error != "" {
		block(b, indent, "", r.Error)
	}
	for _, f := range r.Failures {
		block(b, indent, "", f.Message)
		for line := range strings.Lines(f.Diff) {
			line = textsafe.Replace(strings.TrimSuffix(line, "\n"), "\t")
			switch {
			case strings.HasPrefix(line, "-"):
				line = v.out.Out.paint("31", line)
			case strings.HasPrefix(line, "+"):
				line = v.out.Out.paint("32", line)
			}
			fmt.Fprintf(b, "%s  %s\n", indent, line)
		}
	}
	for _, n := range r.Notes {
		block(b, indent, "note: ", n)
	}
	var requests, calls []string
	for i := range r.Requests {
		q := &r.Requests[i]
		answer := "no answer"
		switch {
		case q.Mock != "" && q.Status == 0:
			answer = "nothing, as " + q.Mock + " says"
		case q.Mock != "":
			answer = fmt.Sprintf("%d from %s", q.Status, q.Mock)
		}
		requests = append(requests, q.String()+" -> "+answer)
	}
	for i := range r.Calls {
		c := &r.Calls[i]
		answer := "no answer"
		if c.Mock != "" {
			answer = fmt.Sprintf("exit status %d from %s", c.ExitCode, c.Mock)
		}
		calls = append(calls, c.String()+" -> "+answer)
	}
	printTraffic(b, indent, "requests", requests)
	printTraffic(b, indent, "commands", calls)
	stream(b, indent, "stdout", r.Stdout, r.StdoutBase64)
	stream(b, indent, "stderr", r.Stderr, r.StderrBase64)
}

// printTraffic prints what reached the mocks, and their answers.
func printTraffic(b *strings.Builder, indent, name string, list []string) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(b, "%s%s:\n", indent, name)
	const most = 10
	for _, text := range list[:min(len(list), most)] {
		fmt.Fprintf(b, "%s  %s\n", indent, textsafe.Replace(text, "\t"))
	}
	if more := len(list) - most; more > 0 {
		fmt.Fprintf(b, "%s  and %d more\n", indent, more)
	}
}

// stream prints the last lines of what a tool printed, where its failure most likely is.
func stream(b *strings.Builder, indent, name, text string, data []byte) {
	if data != nil {
		fmt.Fprintf(b, "%s%s: %d bytes that aren't text\n", indent, name, len(data))
		return
	}
	if text == "" {
		return
	}
	const most = 20
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	head := name + ":"
	if len(lines) > most {
		head = fmt.Sprintf("%s, the last %d of %d lines:", name, most, len(lines))
		lines = lines[len(lines)-most:]
	}
	fmt.Fprintf(b, "%s%s\n", indent, head)
	for _, line := range lines {
		if len(line) > 1000 {
			line = line[:1000] + "…"
		}
		fmt.Fprintf(b, "%s  %s\n", indent, textsafe.Replace(line, "\t"))
	}
}

// block prints a text whose lines after the first are indented further.
func block(b *strings.Builder, indent, prefix, text string) {
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if i > 0 {
			prefix = "  "
		}
		fmt.Fprintf(b, "%s%s%s\n", indent, prefix, textsafe.Replace(line, "\t"))
	}
}

// Finish prints the summary. Its error is that not everything could be printed.
func (v *Tests) Finish(s report.Summary) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.spinner.Stop()
	if v.json {
		v.keep(JSONLine(v.out.Out, s))
	} else {
		parts := []string{fmt.Sprintf("%d passed", s.Passed)}
		code := "32"
		if s.Failed > 0 {
			parts, code = append(parts, fmt.Sprintf("%d failed", s.Failed)), "31"
		}
		if s.Errors > 0 {
			parts, code = append(parts, fmt.Sprintf("%d not finished", s.Errors)), "31"
		}
		_, err := fmt.Fprintf(v.out.Out, "%s in %s\n", v.out.Out.paint(code, strings.Join(parts, ", ")), millis(s.DurationMS))
		v.keep(err)
	}
	return unprinted("results", v.failed)
}

func (v *Tests) keep(err error) {
	if v.failed == nil {
		v.failed = err
	}
}

func millis(ms int64) string {
	return fmt.Sprintf("%.2fs", (time.Duration(ms) * time.Millisecond).Seconds())
}
