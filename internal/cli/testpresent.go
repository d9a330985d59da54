package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/show"
	"github.com/mayfly-run/mayfly/internal/textsafe"
	"github.com/mayfly-run/mayfly/internal/tooltest"
)

// testPresenter shows the results of tests as they come in. Its methods are safe from several goroutines.
type testPresenter struct {
	out, err io.Writer
	json     bool
	color    bool
	terminal bool
	total    int

	mu      sync.Mutex
	spinner *show.Spinner // nil when there is no terminal, or nothing to wait for
	file    string        // of the last result
	count   int           // tests that have ended
	failed  error         // the first failure to print
}

func newTestPresenter(s streams, json bool, total int) *testPresenter {
	plain := os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb"
	p := &testPresenter{
		out: s.out, err: s.err, json: json, total: total,
		color: !plain && show.IsTerminal(s.out), terminal: show.IsTerminal(s.err) && !json,
	}
	p.wait()
	return p
}

// wait says what is being waited for. p.mu is held, or nobody else has p yet.
func (p *testPresenter) wait() {
	if p.terminal && p.count < p.total {
		p.spinner = show.NewSpinner(p.err)
		p.spinner.Show(fmt.Sprintf("%d of %d tests", p.count, p.total))
	}
}

func (p *testPresenter) progress(e image.ProgressEvent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spinner.Show(progressText(e))
}

// ended counts a test that has ended; its result comes when those before it have.
func (p *testPresenter) ended(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count = n
	p.spinner.Show(fmt.Sprintf("%d of %d tests", n, p.total))
}

// result prints a result.
func (p *testPresenter) result(r *tooltest.Result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.json {
		p.keep(show.JSONLine(p.out, r))
		return
	}
	p.spinner.Stop()
	p.spinner = nil
	var b strings.Builder
	if r.File != p.file {
		p.file = r.File
		fmt.Fprintln(&b, textsafe.Replace(r.File, "\t"))
	}
	mark, code := "PASS ", "32"
	switch r.Status {
	case tooltest.Failed:
		mark, code = "FAIL ", "31"
	case tooltest.Errored:
		mark, code = "ERROR", "31"
	}
	fmt.Fprintf(&b, "  %s %s (%s)\n", p.paint(code, mark), textsafe.Replace(r.Name, "\t"), millis(r.DurationMS))
	if r.Status == tooltest.Passed {
		for _, n := range r.Notes {
			fmt.Fprintf(&b, "      note: %s\n", textsafe.Replace(n, "\t"))
		}
	} else {
		p.report(&b, r)
	}
	if r.Recorded != "" {
		fmt.Fprintf(&b, "      recorded: %s\n", textsafe.Replace(r.Recorded, "\t"))
	}
	_, err := io.WriteString(p.out, b.String())
	p.keep(err)
	p.wait()
}

// report says all that there is to say about a test that didn't pass.
func (p *testPresenter) report(b *strings.Builder, r *tooltest.Result) {
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
				line = p.paint("31", line)
			case strings.HasPrefix(line, "+"):
				line = p.paint("32", line)
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

// printTraffic prints what came to the mocks, and what was answered.
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

// stream prints the end of what a tool printed, where its failure most likely is.
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

// finish prints the summary. Its error is that not everything could be printed.
func (p *testPresenter) finish(s tooltest.Summary) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spinner.Stop()
	if p.json {
		p.keep(show.JSONLine(p.out, s))
	} else {
		parts := []string{fmt.Sprintf("%d passed", s.Passed)}
		code := "32"
		if s.Failed > 0 {
			parts, code = append(parts, fmt.Sprintf("%d failed", s.Failed)), "31"
		}
		if s.Errors > 0 {
			parts, code = append(parts, fmt.Sprintf("%d not run to their end", s.Errors)), "31"
		}
		_, err := fmt.Fprintf(p.out, "%s in %s\n", p.paint(code, strings.Join(parts, ", ")), millis(s.DurationMS))
		p.keep(err)
	}
	if p.failed != nil {
		return fmt.Errorf("print the results: %w", p.failed)
	}
	return nil
}

func (p *testPresenter) keep(err error) {
	if p.failed == nil {
		p.failed = err
	}
}

func (p *testPresenter) paint(code, text string) string {
	if !p.color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func millis(ms int64) string {
	return fmt.Sprintf("%.2fs", (time.Duration(ms) * time.Millisecond).Seconds())
}
