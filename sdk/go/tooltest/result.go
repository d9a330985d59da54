package tooltest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Result says how a run ended, and what it did.
type Result struct {
	// Name is the name of the tool or workflow.
	Name string
	// Status is succeeded, failed, timed_out, out_of_memory, denied…
	Status string
	// ExitCode is the tool's own exit status; 124 if it timed out, 128+n if signal n killed it.
	ExitCode int
	// Code says why the run failed, for programs: timed_out, tool_failed…, as docs/TOOL-FORMAT.md lists it. It is empty for
	// a success.
	Code string
	// Reason says why the run failed, for people. It is empty for a success.
	Reason string
	// Stdout and Stderr are what the tool printed, with secrets masked: the first 8 MiB of each.
	Stdout, Stderr                   string
	StdoutTruncated, StderrTruncated bool
	Outputs                          map[string]string
	Duration                         time.Duration
	Usage                            Usage
	Requests                         []RecordedRequest
	Calls                            []RecordedCall
	Connections                      []Connection
	// UnusedMocks are the names of the mocks that answered nothing.
	UnusedMocks []string
	// Steps are the steps of a workflow, by their names.
	Steps map[string]StepResult
	// Failures are the differences from the mocks. They failed the test, unless the tool is unchecked.
	Failures []Failure
	// Notes say what may explain a failure.
	Notes []string

	t TB
}

// Usage is what a run used.
type Usage struct {
	CPUSeconds      float64 `json:"cpu_seconds"`
	MemoryBytes     int64   `json:"memory_bytes"`
	MemoryPeakBytes int64   `json:"memory_peak_bytes"`
	PIDs            int64   `json:"pids"`
	DiskBytes       int64   `json:"disk_bytes"`
	NetworkRxBytes  int64   `json:"network_rx_bytes"`
	NetworkTxBytes  int64   `json:"network_tx_bytes"`
}

// RecordedRequest is one request of the tool.
type RecordedRequest struct {
	// Seq counts requests from 1.
	Seq    int       `json:"seq"`
	Time   time.Time `json:"time"`
	Method string    `json:"method"`
	URL    string    `json:"url"`
	Host   string    `json:"host"`
	Port   int       `json:"port"`
	// Path is the decoded path, without the query.
	Path    string      `json:"path"`
	Query   url.Values  `json:"query"`
	Headers http.Header `json:"headers"`
	// Body is the first 1 MiB of the body, decoded if it came compressed with gzip.
	Body          []byte `json:"-"`
	BodySize      int64  `json:"body_size"`
	BodyTruncated bool   `json:"body_truncated"`
	Protocol      string `json:"protocol"`
	// Mock is the name of the mock that answered, and Status the status that it sent. If none answered, Problem says why.
	Mock    string `json:"mock"`
	Status  int    `json:"status"`
	Problem string `json:"problem"`
}

// String returns the request's method and address.
func (r *RecordedRequest) String() string { return r.Method + " " + r.URL }

// RecordedCall is one call of a mocked command.
type RecordedCall struct {
	// Seq counts calls from 1.
	Seq     int       `json:"seq"`
	Time    time.Time `json:"time"`
	Command string    `json:"command"`
	Args    []string  `json:"args"`
	// Stdin is the first 1 MiB of the standard input.
	Stdin     []byte `json:"-"`
	StdinSize int64  `json:"stdin_size"`
	ExitCode  int    `json:"exit_code"`
	// Mock is the name of the mock that answered. If none answered, Problem says why.
	Mock    string `json:"mock"`
	Problem string `json:"problem"`
}

// String returns the call as a command line, for messages.
func (c *RecordedCall) String() string {
	words := []string{c.Command}
	for _, a := range c.Args {
		if a == "" || strings.ContainsFunc(a, func(r rune) bool { return r == ' ' || !unicode.IsPrint(r) }) {
			a = fmt.Sprintf("%q", a)
		}
		words = append(words, a)
	}
	return strings.Join(words, " ")
}

// Connection is one decision of the network policy.
type Connection struct {
	Host     string `json:"host"`
	Address  string `json:"address"`
	Port     int    `json:"port"`
	Protocol string `json:"protocol"`
	Allowed  bool   `json:"allowed"`
	Rule     string `json:"rule"`
	Reason   string `json:"reason"`
	// Suggest is the egress rule that would allow the connection.
	Suggest string `json:"suggest"`
	// Mocked says that mocks answered, so that nothing left the machine.
	Mocked  bool  `json:"mocked"`
	RxBytes int64 `json:"rx_bytes"`
	TxBytes int64 `json:"tx_bytes"`
}

// StepResult is how a step of a workflow ended.
type StepResult struct {
	Status   string            `json:"status"`
	ExitCode int               `json:"exit_code"`
	Outputs  map[string]string `json:"outputs"`
	Code     string            `json:"code"`
	Reason   string            `json:"reason"`
}

// Failure is a difference from the mocks. Its kind is unmatched_request, unmatched_command or unused_mock.
type Failure struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
}

// jsonLine is a line of `mayfly test --json` (docs/TESTING.md).
type jsonLine struct {
	Type     string    `json:"type"`
	Tool     string    `json:"tool"`
	Workflow string    `json:"workflow"`
	Status   string    `json:"status"`
	Error    string    `json:"error"`
	Problems []problem `json:"problems"`
	Failures []Failure `json:"failures"`
	Notes    []string  `json:"notes"`
	Result   *struct {
		Status     string            `json:"status"`
		ExitCode   int               `json:"exit_code"`
		Code       string            `json:"code"`
		Reason     string            `json:"reason"`
		Outputs    map[string]string `json:"outputs"`
		Usage      Usage             `json:"usage"`
		DurationMS int64             `json:"duration_ms"`
	} `json:"result"`
	Steps           map[string]StepResult `json:"steps"`
	Stdout          string                `json:"stdout"`
	StdoutBase64    []byte                `json:"stdout_base64"`
	StdoutTruncated bool                  `json:"stdout_truncated"`
	Stderr          string                `json:"stderr"`
	StderrBase64    []byte                `json:"stderr_base64"`
	StderrTruncated bool                  `json:"stderr_truncated"`
	Requests        []RecordedRequest     `json:"requests"`
	Calls           []RecordedCall        `json:"calls"`
	Connections     []Connection          `json:"connections"`
	UnusedMocks     []string              `json:"unused_mocks"`
}

func (l *jsonLine) result(t TB) *Result {
	r := &Result{
		Name: l.Tool + l.Workflow, Stdout: l.Stdout + string(l.StdoutBase64), Stderr: l.Stderr + string(l.StderrBase64),
		StdoutTruncated: l.StdoutTruncated, StderrTruncated: l.StderrTruncated,
		Requests: l.Requests, Calls: l.Calls, Connections: l.Connections, Steps: l.Steps,
		UnusedMocks: l.UnusedMocks, Failures: l.Failures, Notes: l.Notes, t: t,
	}
	if l.Result != nil {
		r.Status, r.ExitCode, r.Code, r.Reason, r.Outputs = l.Result.Status, l.Result.ExitCode, l.Result.Code, l.Result.Reason, l.Result.Outputs
		r.Usage, r.Duration = l.Result.Usage, time.Duration(l.Result.DurationMS)*time.Millisecond
	}
	return r
}

// UnmarshalJSON also reads the body, which is text or base64.
func (r *RecordedRequest) UnmarshalJSON(data []byte) error {
	type plain RecordedRequest
	all := struct {
		*plain
		Text   string `json:"body"`
		Base64 []byte `json:"body_base64"`
	}{plain: (*plain)(r)}
	err := json.Unmarshal(data, &all)
	r.Body = append([]byte(all.Text), all.Base64...)
	return err
}

// UnmarshalJSON also reads the standard input, which is text or base64.
func (c *RecordedCall) UnmarshalJSON(data []byte) error {
	type plain RecordedCall
	all := struct {
		*plain
		Text   string `json:"stdin"`
		Base64 []byte `json:"stdin_base64"`
	}{plain: (*plain)(c)}
	err := json.Unmarshal(data, &all)
	c.Stdin = append([]byte(all.Text), all.Base64...)
	return err
}

const (
	maxReported = 10 // requests, and calls
	maxLines    = 20 // of each of stdout and stderr
)

// Report describes the run in some lines, to explain why a test fails: status, notes, requests, calls, steps and the end of
// what the tool printed.
func (r *Result) Report() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", r.Name, r.Status)
	if r.Reason != "" {
		fmt.Fprintf(&b, ", %s", plainText(r.Reason))
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "\n  note: %s", plainText(n))
	}
	if len(r.Requests) > 0 {
		fmt.Fprint(&b, "\n  requests:")
	}
	for i := range r.Requests[:min(len(r.Requests), maxReported)] {
		q := &r.Requests[i]
		answer := "no answer"
		switch {
		case q.Mock != "" && q.Status != 0:
			answer = fmt.Sprintf("%d from %s", q.Status, q.Mock)
		case q.Mock != "":
			answer = fmt.Sprintf("nothing, as %s says", q.Mock)
		}
		fmt.Fprintf(&b, "\n    %s -> %s", plainText(q.String()), answer)
	}
	if more := len(r.Requests) - maxReported; more > 0 {
		fmt.Fprintf(&b, "\n    and %d more", more)
	}
	if len(r.Calls) > 0 {
		fmt.Fprint(&b, "\n  commands:")
	}
	for i := range r.Calls[:min(len(r.Calls), maxReported)] {
		c := &r.Calls[i]
		answer := "no answer"
		if c.Mock != "" {
			answer = fmt.Sprintf("exit status %d from %s", c.ExitCode, c.Mock)
		}
		fmt.Fprintf(&b, "\n    %s -> %s", plainText(c.String()), answer)
	}
	if more := len(r.Calls) - maxReported; more > 0 {
		fmt.Fprintf(&b, "\n    and %d more", more)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Steps)) {
		fmt.Fprintf(&b, "\n  step %s: %s", name, r.Steps[name].Status)
		if reason := r.Steps[name].Reason; reason != "" {
			fmt.Fprintf(&b, ", %s", plainText(reason))
		}
	}
	tail(&b, "stdout", r.Stdout)
	tail(&b, "stderr", r.Stderr)
	return b.String()
}

// tail writes the last lines of what was printed, where the cause of a failure most likely is.
func tail(b *strings.Builder, name, text string) {
	if strings.TrimSpace(text) == "" {
		return
	}
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	fmt.Fprintf(b, "\n  %s", name)
	if len(lines) > maxLines {
		fmt.Fprintf(b, ", the last %d of %d lines", maxLines, len(lines))
		lines = lines[len(lines)-maxLines:]
	}
	b.WriteString(":")
	for _, line := range lines {
		runes := []rune(line)
		fmt.Fprintf(b, "\n    %s", plainText(string(runes[:min(len(runes), 1000)])))
	}
}

// plainText replaces the characters of a tool's text that could control the terminal.
func plainText(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
