package suite

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/textsafe"
	"github.com/mayfly-run/mayfly/internal/tool"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
	"go.yaml.in/yaml/v3"
)

// This file has the shapes of suites, tests and expectations.

func suiteShape() shape.Shape[Suite] {
	inline := shape.Located(tool.Shape(), func(t tool.Tool, p shape.Position) *Subject {
		t.Source = tool.Source{Path: p.File, Position: p}
		return &Subject{Inline: &t, Position: p}
	})
	named := subjectShape("name or path")
	fields := []shape.Field[Suite]{
		shape.Bind("tool", "The tool under test: its name, its path relative to this folder, or its definition.", shape.ByKind("a name, a path or a definition", &named, nil, &inline),
			func(s *Suite) **Subject { return &s.Tool }),
		shape.Bind("workflow", "The workflow under test: its name or its path relative to this folder.", named,
			func(s *Suite) **Subject { return &s.Workflow }),
	}
	fields = append(fields, fixtureFields(func(s *Suite) *Fixture { return &s.Fixture })...)
	fields = append(fields, shape.Required(shape.Bind("tests", "The tests.", shape.List("a test", testShape()), func(s *Suite) *[]Test { return &s.Tests })))
	return shape.ObjectWithHints("a test file", fields, hintsForSuite, checkSuite)
}

// Schema returns the JSON Schema of a test file; see tool.Schema.
func Schema() []byte { return suiteShape().Schema.Document("Mayfly tests") }

func subjectShape(what string) shape.Shape[*Subject] {
	return shape.Located(shape.Text(shape.Schema{"minLength": 1}, func(s string) (string, string) {
		if definition.IsPath(s) && len(s) < 4096 && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' }) {
			return "", ""
		}
		if wrong, hint := tool.CheckName(s); wrong != "" {
			return "is not a " + what, hint
		}
		return "", ""
	}), func(s string, p shape.Position) *Subject { return &Subject{Name: s, Position: p} })
}

func checkSuite(d *shape.Decoder, n *yaml.Node, s *Suite) {
	switch {
	case shape.Has(n, "tool") && shape.Has(n, "workflow"):
		d.Report(shape.Child(n, "workflow"), "a test file has both a tool and a workflow", "keep one of them")
	case !shape.Has(n, "tool") && !shape.Has(n, "workflow"):
		d.Report(n, "a test file has no tool", "add tool: NAME, or workflow: NAME")
	}
	shape.NotEmpty(d, n, "tests")
	shape.Unique(d, n, "tests", "test name", s.Tests, func(t Test) string { return t.Name }, "name")
	label(s.HTTP, s.Commands)
	for i, t := range s.Tests {
		if at := shape.Resolve(shape.Item(n, "tests", i)); at.Kind == yaml.MappingNode {
			checkKind(d, at, shape.Has(n, "workflow"))
		}
		label(t.HTTP, t.Commands)
	}
}

// checkKind reports keys that only tests of workflows or only tests of tools have.
func checkKind(d *shape.Decoder, test *yaml.Node, workflow bool) {
	expect := shape.Resolve(shape.Child(test, "expect"))
	expects := func(key string) bool {
		return shape.Has(test, "expect") && expect.Kind == yaml.MappingNode && shape.Has(expect, key)
	}
	const wrong = "only a workflow has steps, and this file tests a tool"
	if !workflow && shape.Has(test, "steps") {
		d.Report(shape.Child(test, "steps"), wrong, "leave it out")
	}
	if !workflow && expects("steps") {
		d.Report(shape.Child(expect, "steps"), wrong, "leave it out")
	}
	if workflow && expects("outputs") {
		d.Report(shape.Child(expect, "outputs"), "only a tool has outputs, and this file tests a workflow", "leave it out, or test the tool of the step")
	}
}

// label sets the names of mocks in messages.
func label(http []HTTPMock, commands []CommandMock) {
	for i := range http {
		http[i].Label = cmp.Or(http[i].Name, fmt.Sprintf("http[%d]", i))
	}
	for i := range commands {
		commands[i].Label = cmp.Or(commands[i].Name, fmt.Sprintf("commands[%d]", i))
	}
}

func fixtureFields[T any](of func(*T) *Fixture) []shape.Field[T] {
	secrets := shape.Map(shape.Loose(nil), shape.Schema{"pattern": tool.SecretPattern}, tool.CheckSecretName, "secret")
	return []shape.Field[T]{
		shape.Bind("environment", "Variables that override the tool's, as a list of KEY=value or a mapping.", tool.EnvironmentShape(),
			func(t *T) *[]tool.EnvVar { return &of(t).Environment }),
		shape.Bind("inputs", "Values for the tool's args.", shape.Map(shape.Any(), nil, checkInputName, "input"),
			func(t *T) *map[string]any { return &of(t).Inputs }),
		shape.Bind("secrets", "Values of secrets by name; they replace this machine's.", secrets,
			func(t *T) *map[string]string { return &of(t).Secrets }),
		shape.Bind("http", "Answers to the tool's requests; the first one that matches answers.", shape.List("a mock", httpMockShape()),
			func(t *T) *[]HTTPMock { return &of(t).HTTP }),
		shape.Bind("commands", "Commands that are replaced, and what they answer; the first one that matches answers.", shape.List("a mocked command", commandMockShape()),
			func(t *T) *[]CommandMock { return &of(t).Commands }),
		shape.Bind("mocks", "A file of further mocks, inside this file's folder; mayfly test --record writes it.",
			shape.Located(mockFile(), func(s string, p shape.Position) *FileRef { return &FileRef{Path: s, Position: p} }),
			func(t *T) **FileRef { return &of(t).MockFile }),
		shape.Bind("allow_network", "What the tool may really reach, if its own network allows it too: hosts such as api.example.com or api.example.com:443, or egress rules.", shape.List("an entry of allow_network", allowShape()),
			func(t *T) *[]network.Rule { return &of(t).AllowNetwork }),
		shape.Bind("timeout", "How long each run may take, such as 30s, instead of the tool's own timeout.", tool.TimeoutShape(),
			func(t *T) *time.Duration { return &of(t).Timeout }),
	}
}

func checkInputName(s string) (wrong, hint string) {
	if s == "" || len(s) > 255 || !shape.MadeOf(s, "_-") {
		return "is not the name of an input", `use letters, digits, "-" and "_"`
	}
	return "", ""
}

// allowShape returns the shape of what a test may really reach.
func allowShape() shape.Shape[network.Rule] {
	host := shape.Convert(shape.Text(shape.Schema{"minLength": 1}, func(s string) (string, string) {
		if _, err := parseAllow(s); err != nil {
			return "is not a host", "write a name such as api.example.com, optionally with a port after a colon"
		}
		return "", ""
	}), func(s string) network.Rule {
		r, _ := parseAllow(s) // checked above; the zero rule of a problem is never used
		return r
	})
	rule := tool.RuleShape()
	return shape.ByKind("a host or an egress rule", &host, nil, &rule)
}

// parseAllow parses a host, or a host and a port after a colon. An IPv6 address with a port is in brackets, as in URLs.
func parseAllow(s string) (network.Rule, error) {
	host, port := strings.ToLower(s), ""
	if bracketed, rest, found := strings.Cut(strings.TrimPrefix(host, "["), "]"); found && host[0] == '[' {
		host, port = bracketed, strings.TrimPrefix(rest, ":")
	} else if _, err := netip.ParseAddr(host); err != nil {
		host, port, _ = strings.Cut(host, ":")
	}
	r := network.Rule{Host: host}
	if port != "" {
		ports, err := network.ParsePorts(port)
		if err != nil {
			return r, err
		}
		r.Ports = []network.PortRange{ports}
	}
	return r, r.Validate()
}

func testShape() shape.Shape[Test] {
	fields := []shape.Field[Test]{
		shape.Required(shape.Bind("name", "The test's name, for people and for --run.", shape.Text(shape.Schema{"minLength": 1, "maxLength": 200}, checkTestName),
			func(t *Test) *string { return &t.Name })),
	}
	fields = append(fields, fixtureFields(func(t *Test) *Fixture { return &t.Fixture })...)
	fields = append(fields,
		shape.Bind("steps", "Steps of the workflow, by name, that don't run but end as written here.", shape.Map(stepMockShape(), shape.Schema{"pattern": tool.NamePattern}, tool.CheckName, "step"),
			func(t *Test) *map[string]StepMock { return &t.Steps }),
		shape.Bind("expect", "What the run is expected to do; by default, without exit_code and status, to succeed.", expectShape(),
			func(t *Test) *Expect { return &t.Expect }))
	return shape.Located(shape.ObjectWithHints("a test", fields, hintsForTest, nil), func(t Test, p shape.Position) Test {
		t.Position = p
		return t
	})
}

func checkTestName(s string) (wrong, hint string) {
	if strings.TrimSpace(s) == "" || utf8.RuneCountInString(s) > 200 || strings.Contains(s, "\n") || textsafe.Replace(s, "") != s {
		return "is not the name of a test", "write one line of at most 200 characters"
	}
	return "", ""
}

func stepMockShape() shape.Shape[StepMock] {
	return shape.Located(shape.Object("a mocked step", []shape.Field[StepMock]{
		shape.Bind("outputs", "The step's outputs.", shape.Map(shape.Loose(nil), nil, nil, "output"),
			func(s *StepMock) *map[string]string { return &s.Outputs }),
		shape.Bind("status", "How the step ends; by default succeeded, or failed if exit_code isn't 0.", shape.Choice("status", definition.States()...),
			func(s *StepMock) *string { return &s.Status }),
		shape.Bind("exit_code", "The step's exit status.", shape.Pointer(shape.Convert(shape.Integer(0, 255), func(v int64) int { return int(v) })),
			func(s *StepMock) **int { return &s.ExitCode }),
		shape.Bind("stdout", "What the step prints.", shape.Loose(nil),
			func(s *StepMock) *string { return &s.Stdout }),
	}, func(_ *shape.Decoder, _ *yaml.Node, s *StepMock) {
		if s.Status == "" {
			s.Status = "succeeded"
			if s.ExitCode != nil && *s.ExitCode != 0 {
				s.Status = "failed"
			}
		}
	}), func(s StepMock, p shape.Position) StepMock {
		s.Position = p
		return s
	})
}

func expectShape() shape.Shape[Expect] {
	return shape.Object("expect", []shape.Field[Expect]{
		{
			Key: "exit_code", Doc: "The exit status of the run, or any.",
			Schema: shape.Schema{"anyOf": []shape.Schema{{"type": "integer", "minimum": 0, "maximum": 255}, {"const": "any"}}},
			Read: func(d *shape.Decoder, n *yaml.Node, e *Expect) {
				if r := shape.Resolve(n); r.Kind == yaml.ScalarNode && r.Value == "any" {
					e.AnyExit = true
					return
				}
				if v, ok := shape.Integer(0, 255).Read(d, n, "exit_code"); ok {
					code := int(v)
					e.ExitCode = &code
				}
			},
		},
		shape.Bind("status", "How the run ends, such as succeeded, failed or timed_out.", shape.Choice("status", definition.States()...),
			func(e *Expect) *string { return &e.Status }),
		shape.Bind("stdout", "What the tool prints.", outputShape(),
			func(e *Expect) **Matcher { return &e.Stdout }),
		shape.Bind("stderr", "What the tool prints to standard error.", outputShape(),
			func(e *Expect) **Matcher { return &e.Stderr }),
		shape.Bind("outputs", "Outputs of the run, by name; there may be more.", shape.Map(shape.Convert(matcherShape(Equal), func(m *Matcher) Matcher {
			if m == nil {
				return Matcher{}
			}
			return *m
		}), nil, nil, "output"),
			func(e *Expect) *map[string]Matcher { return &e.Outputs }),
		shape.Bind("requests", "Requests that the tool makes; there may be others.", shape.List("a request", requestExpectShape()),
			func(e *Expect) *[]RequestExpect { return &e.Requests }),
		shape.Bind("commands", "Calls of mocked commands that the tool makes; there may be others.", shape.List("a call", callExpectShape()),
			func(e *Expect) *[]CallExpect { return &e.Commands }),
		shape.Bind("in_order", "Whether the requests come in the order in which they are listed.", shape.Boolean(),
			func(e *Expect) *bool { return &e.InOrder }),
		shape.Bind("all_mocks_used", "Whether each mock must answer at least once.", shape.Boolean(),
			func(e *Expect) *bool { return &e.AllMocksUsed }),
		shape.Bind("steps", "How steps of the workflow end, by name.", shape.Map(shape.Choice("status", definition.States()...), shape.Schema{"pattern": tool.NamePattern}, tool.CheckName, "step"),
			func(e *Expect) *map[string]string { return &e.Steps }),
	}, func(d *shape.Decoder, n *yaml.Node, e *Expect) {
		if e.InOrder && shape.Has(n, "requests") && slices.ContainsFunc(e.Requests, func(r RequestExpect) bool { return r.Count != nil && *r.Count == 0 }) {
			d.Report(shape.Child(n, "in_order"), "a request that must not come can't be part of an order", "leave in_order out, or the request")
		}
	})
}

func countShape() shape.Shape[*int] {
	return shape.Pointer(shape.Convert(shape.Integer(0, 1_000_000), func(v int64) int { return int(v) }))
}

func requestExpectShape() shape.Shape[RequestExpect] {
	of := func(r *RequestExpect) *RequestMatch { return &r.RequestMatch }
	fields := append(matchFields(of), contentFields(of)...)
	fields = append(fields, shape.Bind("count", "How many such requests; by default at least one.", countShape(),
		func(r *RequestExpect) **int { return &r.Count }))
	return shape.Located(shape.Object("a request", fields, func(d *shape.Decoder, n *yaml.Node, r *RequestExpect) {
		checkMatch(d, n, &r.RequestMatch)
	}), func(r RequestExpect, p shape.Position) RequestExpect {
		r.Position = p
		return r
	})
}

func callExpectShape() shape.Shape[CallExpect] {
	return shape.Located(shape.Object("a call", []shape.Field[CallExpect]{
		shape.Required(shape.Bind("command", "The command's name.", shape.Text(shape.Schema{"pattern": commandPattern}, checkCommandName),
			func(c *CallExpect) *string { return &c.Command })),
		shape.Bind("args", "The arguments of the call; any by default.", argsShape(),
			func(c *CallExpect) **ArgsMatch { return &c.Args }),
		shape.Bind("stdin", "The standard input of the call.", outputShape(),
			func(c *CallExpect) **Matcher { return &c.Stdin }),
		shape.Bind("count", "How many such calls; by default at least one.", countShape(),
			func(c *CallExpect) **int { return &c.Count }),
	}, nil), func(c CallExpect, p shape.Position) CallExpect {
		c.Position = p
		return c
	})
}

func mockSetShape() shape.Shape[MockSet] {
	fields := func() []shape.Field[MockSet] {
		return []shape.Field[MockSet]{
			shape.Bind("http", "Answers to requests.", shape.List("a mock", httpMockShape()), func(m *MockSet) *[]HTTPMock { return &m.HTTP }),
			shape.Bind("commands", "Mocked commands.", shape.List("a mocked command", commandMockShape()), func(m *MockSet) *[]CommandMock { return &m.Commands }),
		}
	}
	finish := func(_ *shape.Decoder, _ *yaml.Node, m *MockSet) { label(m.HTTP, m.Commands) }
	one := shape.Object("the mocks of a test", fields(), finish)
	return shape.Object("a file of mocks", append(fields(), shape.Bind("tests", "Mocks of single tests, by name.", shape.Map(one, nil, checkTestName, "test"),
		func(m *MockSet) *map[string]MockSet { return &m.Tests })), finish)
}

// mockFile returns the shape of the path of a file of mocks. A mapping is a mistake: mocks in a test file are under http and commands.
func mockFile() shape.Shape[string] {
	path := shape.Text(shape.Schema{"minLength": 1}, checkBeside())
	return shape.Shape[string]{Schema: path.Schema, Read: func(d *shape.Decoder, n *yaml.Node, label string) (string, bool) {
		if at := shape.Resolve(n); at.Kind != yaml.ScalarNode {
			d.Report(at, label+" must be the path of a file, not "+shape.Describe(at), "in this file, mocks go under http and commands")
			return "", false
		}
		return path.Read(d, n, label)
	}}
}
