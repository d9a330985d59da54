package tooltest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// patience is how long mayfly may take to end a run whose context is done.
const patience = time.Minute

// mayfly is the path of the command: $MAYFLY, or the one in PATH.
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
		return "", fmt.Errorf("MAYFLY is %q, which is no program that can be run: %w", given, err)
	}
	return "", errors.New("the mayfly command is not found in PATH, and the environment variable MAYFLY doesn't name it. Install bin/mayfly and " +
		"bin/mayfly-shim, which `make build` leaves in Mayfly's source, into one folder of PATH; or set MAYFLY=/path/to/mayfly")
}

// run runs one test of mayfly test.
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
			return nil, fmt.Errorf("a line of mayfly test isn't what it should be: %w", e)
		}
		if l.Type != "test" {
			continue
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("the run was ended: %w", context.Cause(ctx))
		}
		if l.Status == "error" {
			return nil, errors.New(s.located(l.Error))
		}
		return l.result(t.t, s), nil
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("the run was ended: %w", context.Cause(ctx))
	}
	var said []string
	for line := range strings.Lines(strings.TrimSpace(stderr.String())) {
		said = append(said, strings.TrimPrefix(line, "mayfly: "))
	}
	if len(said) > 0 {
		return nil, errors.New(s.located(strings.Join(said, "")))
	}
	return nil, fmt.Errorf("mayfly test ended and said nothing: %w", errors.Join(err, errors.New("there was no result")))
}

// suite is the text of a file with one test. Each mock has a line of its own, so that errors lead back to it.
type suite struct {
	text   string
	lines  int
	owners map[int]string // labels by lines
	labels map[string]string
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
	s := &suite{lines: 1, owners: map[int]string{}, labels: map[string]string{}}
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
		for i, m := range slices.Backward(mocks) { // the latest comes first, as the first that matches answers
			s.labels[fmt.Sprintf("%s[%d]", key, len(mocks)-1-i)] = m.label
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

var (
	position = regexp.MustCompile(`<stdin>:(\d+):\d+: `)
	nearest  = regexp.MustCompile(`(; the nearest, )((?:http|commands)\[\d+\])(, differs in )`)
	unused   = regexp.MustCompile(`^((?:http|commands)\[\d+\])( )\(<stdin>:\d+:\d+\) `)
	anyMock  = regexp.MustCompile(`(?:http|commands)\[\d+\]`)
)

// located is an error with the mock that it is about, instead of a place in what nobody has seen.
func (s *suite) located(text string) string {
	return position.ReplaceAllStringFunc(text, func(at string) string {
		line, _ := strconv.Atoi(position.FindStringSubmatch(at)[1]) // no line has the number 0
		if owner, ok := s.owners[line]; ok {
			return owner + ": "
		}
		return ""
	})
}

// label is how the test knows a mock.
func (s *suite) label(name string) string {
	if label, ok := s.labels[name]; ok {
		return label
	}
	return name
}

// message is a message in which mocks are called as the test knows them.
func (s *suite) message(text string) string {
	if strings.HasPrefix(text, "mocks that answered nothing: ") {
		return anyMock.ReplaceAllStringFunc(text, s.label)
	}
	text = nearest.ReplaceAllStringFunc(text, func(part string) string {
		m := nearest.FindStringSubmatch(part)
		return m[1] + s.label(m[2]) + m[3]
	})
	if m := unused.FindStringSubmatch(text); m != nil {
		text = s.label(m[1]) + m[2] + strings.TrimPrefix(text, m[0])
	}
	return text
}

// encode is a value as JSON that YAML reads alike: on one line, and without characters that YAML has no plain form for.
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

// testName is a name as mayfly takes it: one line of at most 200 characters.
func testName(name string) string {
	runes := []rune(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, name))
	name = strings.TrimSpace(string(runes[:min(len(runes), 150)]))
	if name == "" {
		return "test"
	}
	return name
}
