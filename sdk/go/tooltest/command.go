package tooltest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"
)

// patience is how long mayfly may take to end a run whose context is done.
const patience = time.Minute

// mayfly returns the path of the command: $MAYFLY, or the one in PATH.
func mayfly() (string, error) {
	given := os.Getenv("MAYFLY")
	name := given
	if name == "" {
		name = "mayfly"
	}
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
		return filepath.Abs(path)
	case given != "":
		return "", fmt.Errorf("MAYFLY is %q, which is not a program that can be run: %w", given, err)
	}
	return "", errors.New("the mayfly command is not found in PATH, and the environment variable MAYFLY doesn't name it. Install all " +
		"programs that `make build` leaves in bin of Mayfly's source into one folder of PATH; or set MAYFLY=/path/to/mayfly")
}

// run runs the tool as one test of mayfly test.
func (t *Tool) run(ctx context.Context, inputs map[string]any) (*Result, error) {
	path, err := mayfly()
	if err != nil {
		return nil, err
	}
	s, err := t.suite(inputs)
	if err != nil {
		return nil, err
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, path, "test", "--json", "-")
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = t.dir, strings.NewReader(s.text), &stdout, &stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = patience
	err = execute(cmd)
	for line := range bytes.Lines(stdout.Bytes()) {
		var l jsonLine
		if e := json.Unmarshal(line, &l); e != nil {
			return nil, fmt.Errorf("read a line of mayfly test --json: %w", e)
		}
		if l.Type != "test" && l.Type != "error" {
			continue
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("the run was ended: %w", context.Cause(ctx))
		}
		if l.Type == "error" || l.Status == "error" {
			return nil, errors.New(s.located(&l))
		}
		return l.result(t.t), nil
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("the run was ended: %w", context.Cause(ctx))
	}
	if said := strings.TrimSpace(stderr.String()); said != "" {
		return nil, errors.New(said)
	}
	return nil, fmt.Errorf("mayfly test ended and said nothing: %w", errors.Join(err, errors.New("there was no result")))
}

// suite is the text of a file with one test. Each mock has its own line, so that the line of an error leads back to the mock.
type suite struct {
	text   string
	lines  int
	owners map[int]string // the labels of the mocks, by their lines
}

func (t *Tool) suite(inputs map[string]any) (*suite, error) {
	test := map[string]any{"name": testName(t.t.Name()), "expect": map[string]any{"exit_code": "any"}}
	if len(t.environment) > 0 {
		test["environment"] = t.environment
	}
	if len(inputs) > 0 {
		test["inputs"] = inputs
	}
	if len(t.secrets) > 0 {
		test["secrets"] = t.secrets
	}
	if len(t.allow) > 0 {
		test["allow_network"] = t.allow
	}
	if t.timeout != 0 {
		test["timeout"] = milliseconds(t.timeout)
	}
	s := &suite{lines: 1, owners: map[int]string{}}
	subject, err := encode(t.subject)
	if err != nil {
		return nil, fmt.Errorf("the definition of the tool: %w", err)
	}
	head, err := encode(test)
	if err != nil {
		return nil, fmt.Errorf("the inputs: %w", err)
	}
	s.text = fmt.Sprintf(`{%q: %s, "tests": [%s`, t.kind, subject, strings.TrimSuffix(head, "}"))
	for key, mocks := range map[string][]mock{"http": t.http, "commands": t.commands} {
		if len(mocks) == 0 {
			continue
		}
		s.add(fmt.Sprintf(", %q: [", key))
		for i, m := range slices.Backward(mocks) { // the latest comes first, since in a file the first mock that matches answers
			m.definition = maps.Clone(m.definition)
			m.definition["name"] = line(m.label, maxMockName)
			if err := s.mock(m, "", map[bool]string{true: "]", false: ","}[i == 0]); err != nil {
				return nil, err
			}
		}
	}
	if t.kind == "workflow" && len(t.steps) > 0 {
		s.add(`, "steps": {`)
		n := 0
		for name, m := range t.steps {
			n++
			key, err := encode(name)
			if err != nil {
				return nil, err
			}
			if err := s.mock(m, key+": ", map[bool]string{true: "}", false: ","}[n == len(t.steps)]); err != nil {
				return nil, err
			}
		}
	}
	s.text += "}]}\n"
	return s, nil
}

func (s *suite) add(text string) {
	s.text += "\n" + text
	s.lines++
}

func (s *suite) mock(m mock, before, after string) error {
	text, err := encode(m.definition)
	if err != nil {
		return fmt.Errorf("%s: %w", m.label, err)
	}
	s.add(before + text + after)
	s.owners[s.lines] = m.label
	return nil
}

// sent is mayfly's name for the file that it reads from standard input.
const sent = "<stdin>"

// problem is a place in a file that is wrong.
type problem struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
	Text   string `json:"text"`
	Hint   string `json:"hint"`
}

// located returns the text of an error. It names the mocks in place of the lines of the generated file, which nobody has
// seen.
func (s *suite) located(l *jsonLine) string {
	if !slices.ContainsFunc(l.Problems, func(p problem) bool { return p.File == sent }) {
		return l.Error
	}
	var out []string
	for _, p := range l.Problems {
		text := p.Text
		if p.Hint != "" {
			text += "; " + p.Hint
		}
		if p.File != sent {
			text = fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, text)
		} else if owner, ok := s.owners[p.Line]; ok {
			text = owner + ": " + text
		}
		out = append(out, text)
	}
	return strings.Join(out, "\n")
}

// encode returns a value as JSON that has the same meaning in YAML: on one line, and with escapes for characters that YAML
// doesn't allow unescaped.
func encode(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", err
	}
	var out strings.Builder
	for _, r := range strings.TrimSuffix(b.String(), "\n") {
		if r >= 0x7f && r <= 0x9f || r == 0xfeff || r == 0xfffe || r == 0xffff {
			fmt.Fprintf(&out, `\u%04x`, r)
		} else {
			out.WriteRune(r)
		}
	}
	return out.String(), nil
}

// maxMockName is the length of the longest name of a mock that mayfly accepts, in characters.
const maxMockName = 500

// testName returns a name that mayfly accepts: one line of at most 200 characters.
func testName(name string) string {
	if name = line(name, 150); name == "" {
		return "test"
	}
	return name
}

// line returns the first most characters of a text, on one line.
func line(text string, most int) string {
	runes := []rune(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text))
	return strings.TrimSpace(string(runes[:min(len(runes), most)]))
}
