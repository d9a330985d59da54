package tooltest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// TB has the methods of testing.TB that this package needs.
type TB interface {
	Helper()
	Name() string
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Tool is a tool or workflow under test, with its mocks and its environment. Its methods return it, so that calls can be
// chained.
type Tool struct {
	t         TB
	kind      string // tool or workflow
	subject   any    // a path, a name, or a definition
	dir       string
	unchecked bool

	environment, secrets map[string]string
	http, commands       []mock
	steps                map[string]mock
	allow                []string
	timeout              time.Duration
}

// New returns a tool under test. A path, which has a / or ends with .yaml, is relative to the working directory, which for
// go test is the package's folder. A name is that of tool.yaml there, or of NAME/tool.yaml there. Otherwise it is that of
// tools/NAME/tool.yaml or tools/NAME.yaml there or in a folder above, as for `mayfly run NAME`. If it isn't found, the test
// ends with t.Fatalf.
func New(t TB, nameOrPath string) *Tool {
	t.Helper()
	return newTool(t, "tool", nameOrPath)
}

// NewWorkflow returns a workflow under test. A path is relative to the working directory. A name is that of NAME.yaml or
// workflows/NAME.yaml there.
func NewWorkflow(t TB, nameOrPath string) *Tool {
	t.Helper()
	return newTool(t, "workflow", nameOrPath)
}

// Inline returns a tool with this definition under test.
func Inline(t TB, definition map[string]any) *Tool {
	t.Helper()
	tool := newTool(t, "tool", "")
	tool.subject = definition
	return tool
}

func newTool(t TB, kind, nameOrPath string) *Tool {
	t.Helper()
	tool := &Tool{t: t, kind: kind, environment: map[string]string{}, secrets: map[string]string{}, steps: map[string]mock{}}
	var err error
	if tool.dir, err = os.Getwd(); err != nil {
		t.Fatalf("%v", err)
	}
	if nameOrPath == "" {
		return tool
	}
	subject, err := find(tool.dir, kind, nameOrPath)
	if err != nil {
		t.Fatalf("%v", err)
	}
	tool.subject = subject
	return tool
}

// find returns the path of what is under test, or its name if mayfly must search for it.
func find(dir, kind, name string) (string, error) {
	if strings.ContainsAny(name, `/\`) || strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml") {
		file := filepath.FromSlash(name)
		if !filepath.IsAbs(file) {
			file = filepath.Join(dir, file)
		}
		info, err := os.Stat(file)
		if err == nil && info.IsDir() {
			file = filepath.Join(file, kind+".yaml")
		}
		if !isFile(file) {
			return "", fmt.Errorf("%s %s is not found: there is no file %s; a path is relative to the working directory", kind, name, file)
		}
		return file, nil
	}
	if kind != "tool" {
		return name, nil
	}
	if beside := filepath.Join(dir, "tool.yaml"); isFile(beside) {
		own, err := nameOf(beside)
		if err != nil {
			return "", err
		}
		if own == name {
			return beside, nil
		}
	}
	if below := filepath.Join(dir, name, "tool.yaml"); isFile(below) {
		return below, nil
	}
	return name, nil
}

func isFile(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Mode().IsRegular()
}

var nameLine = regexp.MustCompile(`(?m)^name:[ \t]+["']?([A-Za-z0-9_.-]+)["']?[ \t]*(?:#.*)?\r?$`)

// nameOf returns the name of the tool in a file tool.yaml: its own, or that of its folder.
func nameOf(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	if m := nameLine.FindSubmatch(data); m != nil {
		return string(m[1]), nil
	}
	return filepath.Base(filepath.Dir(file)), nil
}

// Env sets an environment variable, and overrides the tool's own. The variable of an arg sets that arg.
func (t *Tool) Env(name, value string) *Tool {
	t.environment[name] = value
	return t
}

// Secret sets the value of a secret, in place of this machine's.
func (t *Tool) Secret(name, value string) *Tool {
	t.secrets[name] = value
	return t
}

// HTTP answers requests that match r. Several responses are given one after the other, and then the last one again and
// again; without any, the answer is the zero Response. An invalid one ends the test.
func (t *Tool) HTTP(r Request, responses ...Response) *Tool {
	t.t.Helper()
	label := fmt.Sprintf("HTTP(%s)%s", r, site())
	definition, err := r.mock(responses)
	if err != nil {
		t.t.Fatalf("%s: %v", label, err)
	}
	t.http = append(t.http, mock{definition, label})
	return t
}

// Command answers calls that match c of a command, which comes first in PATH. Several answers are given one after the other,
// and then the last one again and again.
func (t *Tool) Command(c Call, answers ...Answer) *Tool {
	t.t.Helper()
	label := fmt.Sprintf("Command(%s)%s", c, site())
	definition, err := c.mock(answers)
	if err != nil {
		t.t.Fatalf("%s: %v", label, err)
	}
	t.commands = append(t.commands, mock{definition, label})
	return t
}

// Step replaces a step of the workflow: it doesn't run, but ends as s says.
func (t *Tool) Step(name string, s Step) *Tool {
	t.steps[name] = mock{s.definition(), fmt.Sprintf("Step(%s)%s", name, site())}
	return t
}

// AllowNetwork lets the tool really reach hosts, if its own network allows them: api.example.com, api.example.com:443.
func (t *Tool) AllowNetwork(hosts ...string) *Tool {
	t.allow = append(t.allow, hosts...)
	return t
}

// Timeout replaces the timeout of the tool.
func (t *Tool) Timeout(d time.Duration) *Tool {
	t.timeout = d
	return t
}

// Unchecked keeps requests and calls that no mock answers, and mocks that answered less often than their Times, from failing
// the test. They are in [Result.Failures].
func (t *Tool) Unchecked() *Tool {
	t.unchecked = true
	return t
}

// Run runs the tool with values for its args. If the run is impossible, the test ends with t.Fatalf. A request or call that no
// mock answers fails the test, and so does a mock that answered less often than its Times. When ctx is done, the run ends.
func (t *Tool) Run(ctx context.Context, inputs map[string]any) *Result {
	t.t.Helper()
	res, err := t.run(ctx, inputs)
	if err != nil {
		t.t.Fatalf("%v", err)
		return nil // for a TB whose Fatalf returns
	}
	if len(res.Failures) > 0 && !t.unchecked {
		var text strings.Builder
		for _, f := range res.Failures {
			fmt.Fprintln(&text, f.Message)
		}
		t.t.Errorf("%s%s", text.String(), res.Report())
	}
	return res
}
