package suite

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/shape/shapetest"
	"github.com/mayfly-run/mayfly/internal/tool"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
	"go.yaml.in/yaml/v3"
)

func TestSuitesRejected(t *testing.T) {
	for name, body := range shapetest.Cases(t, "testdata/rejected.txt") {
		t.Run(name, func(t *testing.T) {
			text, want, ok := strings.Cut(body, "-- want\n")
			if !ok {
				t.Fatal(`the case has no line "-- want"`)
			}
			_, err := Parse("x_test.yaml", []byte(text))
			if err == nil {
				t.Fatal("no error")
			}
			if got := err.Error() + "\n"; got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
			var e *shape.Error
			if !errors.As(err, &e) {
				t.Errorf("got an error of type %T, want *shape.Error", err)
			}
		})
	}
}

func TestSuiteEverything(t *testing.T) {
	all := shapetest.Cases(t, "testdata/everything.txt")
	s, err := Parse("checks_test.yaml", []byte(all["everything"]))
	if err != nil {
		t.Fatal(err)
	}
	w, err := s.Complete(&s.Tests[0], false)
	if err != nil {
		t.Fatal(err)
	}
	var labels []string
	for _, m := range w.HTTP {
		labels = append(labels, m.Label)
	}
	want := []string{"http[0]", "http[1]", "http[2]", "http[3]", "http[4]", "http[5]", "the file's http[0]"}
	if !reflect.DeepEqual(labels, want) {
		t.Errorf("mocks %q, want %q", labels, want)
	}
	if got, err := s.Complete(&s.Tests[1], false); err != nil || len(got.HTTP) != 1 || got.HTTP[0].Label != "the file's http[0]" {
		t.Errorf("the second test: got the mocks %+v, %v, want only the file's http[0]", got.HTTP, err)
	}
	url := s.Tests[0].HTTP[1]
	if host, _ := url.Host.Exact(); host != "api.example.com" || url.Port != 8443 || url.Scheme != "https" || !url.Path.Match("/v1/a/b") || len(url.Query) != 1 {
		t.Errorf("url is read as %+v", url.RequestMatch)
	}
	slow := s.Tests[0].HTTP[4]
	if path, _ := slow.Path.Exact(); path != "/slow" || len(slow.Query) != 1 || slow.Query[0].Name != "deep" {
		t.Errorf("a path with a query is read as %+v", slow.RequestMatch)
	}
	if users := s.Tests[0].HTTP[2]; users.Query[1].Value != nil || users.Path.Match("/v1/users/7/x") {
		t.Errorf("mock %+v", users)
	}
	if e := s.Tests[0].Expect; e.Stderr == nil || !e.Stderr.Match("\n") || e.Stderr.Match("x") || *e.Commands[0].Count != 0 {
		t.Errorf("expect %+v", e)
	}
	if !s.Tests[1].Expect.AnyExit || s.Tool.Inline.Name != "checks_test" {
		t.Errorf("suite %+v", s)
	}
	if len(s.AllowNetwork) != 4 || s.AllowNetwork[1].Ports[0].First != 443 {
		t.Errorf("allow_network %+v", s.AllowNetwork)
	}
	flow, err := Parse("x_test.yaml", []byte(all["workflow"]))
	if err != nil {
		t.Fatal(err)
	}
	if steps := flow.Tests[0].Steps; steps["run-tests"].Status != "failed" || steps["build-app"].Status != "succeeded" || steps["deploy"].Status != "timed_out" {
		t.Errorf("steps %+v", steps)
	}
}

// TestSuiteInJSON: any valid JSON can be read, although YAML has neither surrogate pairs nor "\\/".
func TestSuiteInJSON(t *testing.T) {
	s, err := Parse("-", []byte(shapetest.Cases(t, "testdata/everything.txt")["json"]))
	if err != nil {
		t.Fatal(err)
	}
	mocks := s.Tests[0].HTTP
	if got, want := mocks[1].Answers[0].Body, "x/\U0001F600\\ud83d"; got != want {
		t.Errorf("body %q, want %q", got, want)
	}
	if got := string(mocks[2].Answers[0].Data); got != "\x00\xff" {
		t.Errorf("bytes %q", got)
	}
	for _, text := range []string{`{"tool": "a\ud83d", "tests": []}`, `{"tool": "x", "tests": [{"name": "\ud83d\u0041"}]}`} {
		if _, err := Parse("-", []byte(text)); err == nil {
			t.Errorf("half a surrogate pair is accepted: %s", text)
		}
	}
	if _, err := Parse("-", []byte(`{"tool": "x", "tests": [{"name": "a\/b", "htp": []}]}`)); err == nil || !strings.HasPrefix(err.Error(), "<stdin>:1:41: unknown key") {
		t.Errorf("error is %v", err)
	}
}

func TestSuiteSchema(t *testing.T) {
	s := shapetest.Compile(t, Schema())
	for name, text := range shapetest.Cases(t, "testdata/everything.txt") {
		if err := s.Validate(shapetest.Instance(t, text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	loaderOnly := " both no-tool empty-tests answers-empty name-lines same-name tool-name steps-of-a-tool url-port url-and-host path path-url path-regex header-name header-value header-framing" +
		" two-bodies base64 answer-and-answers reset-status reset-timeout no-content file-outside mocks-absolute delay command-dots command-answers order-none allow allow-port" +
		" input-name input-value json-value url path-glob comparison-empty "
	checked := 0
	for name, body := range shapetest.Cases(t, "testdata/rejected.txt") {
		if strings.Contains(loaderOnly, " "+name+" ") {
			continue
		}
		checked++
		text, _, _ := strings.Cut(body, "-- want\n")
		if err := s.Validate(shapetest.Instance(t, text)); err == nil {
			t.Errorf("%s: the schema accepts it", name)
		}
	}
	if checked < 20 {
		t.Errorf("only %d cases are left to the schema", checked)
	}
	var root map[string]any
	if err := json.Unmarshal(Schema(), &root); err != nil {
		t.Fatal(err)
	}
	if n := shapetest.Undescribed(t, "test", root); n < 150 {
		t.Errorf("only %d keys are described", n)
	}
}

// TestNumbersOfMocks: a number in a mock's JSON stays a number, digit for digit, of any size.
func TestNumbersOfMocks(t *testing.T) {
	s, err := Parse("x_test.yaml", []byte(`
tool: x
tests: [{name: a, http: [{path: /, request: {json: 1e400}, json: [1e400, 1_000, +358, 0xFFFFFFFFFFFFFFFFF, .5, 1.20, -0.0, "1e400", !!str 5, 0755]}]}]
`))
	if err != nil {
		t.Fatal(err)
	}
	mock := s.Tests[0].HTTP[0]
	if want := `[1e400,1000,358,295147905179352825855,0.5,1.20,-0.0,"1e400","5","0755"]`; mock.Answers[0].JSON != want {
		t.Errorf("got the answer %s, want %s", mock.Answers[0].JSON, want)
	}
	if n, ok := mock.JSON.(json.Number); !ok || !shape.EqualNumbers(n, "1e400") {
		t.Errorf("got the matcher %T %v, want the number 1e400", mock.JSON, mock.JSON)
	}
}

// TestMocksStayInTheFolder: a file of mocks is in the suite's folder; a symbolic link that leads out of it is refused.
func TestMocksStayInTheFolder(t *testing.T) {
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "m.yaml"), []byte("http: []"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(outside, "m.yaml"), filepath.Join(dir, "m.yaml")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "a_test.yaml")
	if err := os.WriteFile(file, []byte("tool: x\nmocks: m.yaml\ntests: [{name: a}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Complete(&s.Tests[0], true); err == nil || !strings.Contains(err.Error(), `a_test.yaml:2:8: file of mocks "m.yaml" can't be read: path escapes from parent; `) {
		t.Errorf("error is %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "m.yaml")); err != nil {
		t.Fatal(err)
	}
	text := "http: [{path: /a}]\ntests: {a: {http: [{path: /b}], commands: [{command: git}]}}\n"
	if err := os.WriteFile(filepath.Join(dir, "m.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := s.Complete(&s.Tests[0], true)
	if err != nil {
		t.Fatal(err)
	}
	if len(w.HTTP) != 2 || w.HTTP[0].Label != "m.yaml tests.a.http[0]" || w.HTTP[1].Label != "m.yaml http[0]" || w.Commands[0].Label != "m.yaml tests.a.commands[0]" {
		t.Errorf("mocks %+v %+v", w.HTTP, w.Commands)
	}
	if _, err := ParseMocks("m.yaml", []byte("htp: []")); err == nil || err.Error() != `m.yaml:1:1: unknown key "htp" in a file of mocks; did you mean "http"?` {
		t.Errorf("error is %v", err)
	}
}

func TestSuiteFindsItsTool(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"mayfly.yaml": "", "tools/named.yaml": "image: a\n", "here.yaml": "image: b\nscript: {file: run.sh}\n", "run.sh": "echo\n",
		"workflows/flow.yaml": "",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for subject, want := range map[string]string{
		"named": "image a", "./here.yaml": "image b", "here.yaml": "image b",
		"{image: c, script: {file: run.sh}}": "image c",
		"namd":                               `x_test.yaml:1:7: tool "namd" is not found; did you mean "named"?`,
		"nowhere.yaml":                       "x_test.yaml:1:7: tool ",
	} {
		s, err := Parse("x_test.yaml", []byte("tool: "+subject+"\ntests: [{name: a}]\n"))
		if err != nil {
			t.Fatal(err)
		}
		s.SetDir(dir)
		tool, err := s.LoadTool()
		got := fmt.Sprint(err)
		if err == nil {
			got = "image " + tool.Image
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %s, want %s", subject, got, want)
		}
	}
	for name, want := range map[string]string{"flow": filepath.Join(dir, "workflows", "flow.yaml"), "x/y.yaml": filepath.Join(dir, "x", "y.yaml"), "/x/y.yaml": "/x/y.yaml", "none": ""} {
		s := &Suite{Workflow: &Subject{Name: name}, Source: tool.Source{Dir: dir}}
		if got, err := s.WorkflowFile(); got != want || (err == nil) != (want != "") {
			t.Errorf("workflow %s: got %q, %v, want %q", name, got, err, want)
		}
	}
}

// TestDocumentedSuites: every example in the documentation is valid.
func TestDocumentedSuites(t *testing.T) {
	data, err := os.ReadFile("../../docs/TESTING.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(data), "```yaml\n")[1:]
	if len(blocks) < 5 {
		t.Fatalf("only %d examples are found", len(blocks))
	}
	for _, block := range blocks {
		text, _, _ := strings.Cut(block, "```")
		if !strings.Contains(text, "tests:") {
			text = "tool: x\ntests:\n- name: a\n  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ")
			if strings.Contains(text, "steps:") {
				text = strings.Replace(text, "tool: x", "workflow: x", 1)
			}
		}
		if _, err := Parse("TESTING.md", []byte(text)); err != nil {
			t.Errorf("%v in\n%s", err, text)
		}
	}
	if _, err := Load("../../examples/deployment-checker/tests.yaml"); err != nil {
		t.Error(err)
	}
}

func TestMatcher(t *testing.T) {
	for _, c := range []struct {
		m    *Matcher
		text string
		want string
	}{
		{nil, "x", ""},
		{word("a*c"), "abc", ""},
		{word("a*c"), "ac", ""},
		{word("a*c"), "a\nc", ""},
		{word("a*c"), "xabc", `does not match the glob "a*c"`},
		{word("a.c"), "abc", `is not "a.c"`},
		{output("done"), "done\n", ""},
		{output("done"), "done\n\n", `is not "done"`},
		{Equal("done"), "done\n", `is not "done"`},
		{&Matcher{Contains: []string{"a", "b"}}, "a", `does not contain "b"`},
		{&Matcher{NotContains: []string{"a", "b"}}, "b", `contains "b"`},
		{&Matcher{Equals: []string{"a", "b"}}, "b", ""},
	} {
		if got := c.m.Mismatch(c.text); got != c.want {
			t.Errorf("%s with %q: got %q, want %q", c.m, c.text, got, c.want)
		}
	}
	whole, err := regexPattern("a|b", true)
	if err != nil || whole.Match("ab") || !whole.Match("b") {
		t.Errorf("a pattern for the whole text matches a part of it (%v)", err)
	}
	part, err := regexPattern("^b$", false)
	if err != nil || !part.Match("a\nb\nc") {
		t.Errorf("^ and $ are not the ends of a line (%v)", err)
	}
	if _, err := regexPattern(strings.Repeat("a", maxPattern+1), true); err == nil {
		t.Error("a pattern longer than maxPattern is accepted")
	}
}

// TestConditionsAreComplete: each condition of a Matcher has a key, in the hint for a comparison without one and in the docs too;
// with it, a matcher isn't exact, and says what it is.
func TestConditionsAreComplete(t *testing.T) {
	doc, err := os.ReadFile("../../docs/TESTING.md")
	if err != nil {
		t.Fatal(err)
	}
	_, doc, _ = bytes.Cut(doc, []byte("\n### Comparing texts\n"))
	doc, _, _ = bytes.Cut(doc, []byte("\n### "))
	_, hint := shape.Decode(conditionsShape(), &yaml.Node{Kind: yaml.MappingNode}, "x")
	conditions := reflect.TypeFor[Matcher]().NumField() - 1 // Line is not a condition
	keys := conditionsShape().Schema["properties"].(shape.Schema)
	if len(keys) != conditions {
		t.Errorf("a Matcher has %d conditions, and a comparison %d keys", conditions, len(keys))
	}
	for key := range keys {
		if !bytes.Contains(doc, []byte("`"+key+"`")) {
			t.Errorf("%s isn't in docs/TESTING.md under Comparing texts", key)
		}
		if hint == nil || !regexp.MustCompile(`\b`+key+`\b`).MatchString(hint.Error()) {
			t.Errorf("the hint for a comparison without a condition doesn't name %s: %v", key, hint)
		}
		for _, with := range []string{"equals: a", "glob: a"} {
			text := with + "\n" + key + ": [b]"
			if strings.HasPrefix(with, key) {
				text = key + ": [a, b]"
			}
			var n yaml.Node
			if err := yaml.Unmarshal([]byte(text), &n); err != nil {
				t.Fatal(err)
			}
			m, err := shape.Decode(conditionsShape(), n.Content[0], "x")
			if err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			if only, exact := m.Exact(); exact {
				t.Errorf("%q is exact, and accepts only %q", text, only)
			}
			if !strings.Contains(m.String(), key+" ") {
				t.Errorf("%q says that it is %q", text, m)
			}
		}
	}
}

func FuzzParseSuite(f *testing.F) {
	for _, file := range []string{"everything.txt", "rejected.txt"} {
		for _, body := range shapetest.Cases(f, "testdata/"+file) {
			text, _, _ := strings.Cut(body, "-- want\n")
			f.Add([]byte(text))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse("x_test.yaml", data)
		if err != nil {
			shapetest.CheckProblems(t, err, data)
			return
		}
		if (s.Tool == nil) == (s.Workflow == nil) || len(s.Tests) == 0 {
			t.Fatalf("accepted %+v", s)
		}
		for i := range s.Tests {
			w, err := s.Complete(&s.Tests[i], false)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range w.HTTP {
				if len(m.Answers) == 0 || m.Label == "" {
					t.Errorf("mock %+v", m)
				}
				_ = m.Path.Mismatch("/x")
				_ = m.Path.String()
			}
			for _, m := range w.Commands {
				if wrong, _ := checkCommandName(m.Command); wrong != "" || len(m.Answers) == 0 {
					t.Errorf("command %+v", m)
				}
			}
			for _, r := range w.AllowNetwork {
				if err := r.Validate(); err != nil {
					t.Error(err)
				}
			}
		}
	})
}

// TestFilesThatDoNotRun: files of tests and of mocks are distinguished from tools and workflows.
func TestFilesThatDoNotRun(t *testing.T) {
	for text, want := range map[string]string{
		"tool: a.yaml\ntests: []":                    "this is a file of tests",
		"tests: []\nhttp: []":                        "this is a file of tests",
		"tool: a.yaml\ntests: []\nhttp: []":          "this is a file of tests",
		"http: []":                                   "this is a file of mocks",
		"tests: {a: {http: []}}":                     "this is a file of mocks",
		"http: []\ntests: {a: {}}":                   "this is a file of mocks",
		"tool: a.yaml\ntests: {a: {}}":               "this is a file of tests",
		"commands: []":                               "this is a file of mocks",
		"image: alpine\ntests: []":                   `unknown key "tests" in a tool`,
		"workflow: []\nhttp: []":                     "",
		"parallel_tools: []\ncommands: []\ntests: 1": "",
	} {
		_, err := definition.Parse("a.yaml", []byte(text))
		if err == nil || want != "" && !strings.Contains(err.Error(), want) || want == "" && strings.Contains(err.Error(), "a file of") {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

// TestNamesOfTestsAreCharacters: the length of a name counts characters, as in the schema.
func TestNamesOfTestsAreCharacters(t *testing.T) {
	for name, ok := range map[string]bool{strings.Repeat("ü", 200): true, strings.Repeat("ü", 201): false, strings.Repeat("a", 201): false} {
		_, err := Parse("x_test.yaml", []byte("tool: {image: i}\ntests: [{name: "+name+"}]\n"))
		if (err == nil) != ok {
			t.Errorf("%d bytes: got %v, want success: %v", len(name), err, ok)
		}
	}
}
