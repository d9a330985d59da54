package tool

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/textsafe"
	"go.yaml.in/yaml/v3"
)

// This file has the shapes of suites, tests and what they expect.

func suiteShape() shape[Suite] {
	inline := located(toolShape(), func(t Tool, p Position) *Subject {
		t.Source = Source{Path: p.File, Position: p}
		return &Subject{Inline: &t, Position: p}
	})
	named := subjectShape("name or path")
	fields := []field[Suite]{
		bind("tool", "The tool under test: its name, its path from here, or its definition.", byKind("a name, a path or a definition", &named, nil, &inline),
			func(s *Suite) **Subject { return &s.Tool }),
		bind("workflow", "The workflow under test: its name or its path from here.", named,
			func(s *Suite) **Subject { return &s.Workflow }),
	}
	fields = append(fields, worldFields(func(s *Suite) *World { return &s.World })...)
	fields = append(fields, needed(bind("tests", "The tests.", list("a test", testShape()), func(s *Suite) *[]Test { return &s.Tests })))
	return objectWithHints("a test file", fields, hintsForSuite, checkSuite)
}

func subjectShape(what string) shape[*Subject] {
	return located(text(schema{"minLength": 1}, func(s string) (string, string) {
		if IsPath(s) && len(s) < 4096 && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' }) {
			return "", ""
		}
		if wrong, hint := checkName(s); wrong != "" {
			return "is not a " + what, hint
		}
		return "", ""
	}), func(s string, p Position) *Subject { return &Subject{Name: s, Position: p} })
}

func checkSuite(d *decoder, n *yaml.Node, s *Suite) {
	switch {
	case has(n, "tool") && has(n, "workflow"):
		d.report(child(n, "workflow"), "a test file has both a tool and a workflow", "keep one of them")
	case !has(n, "tool") && !has(n, "workflow"):
		d.report(n, "a test file has no tool", "add tool: NAME, or workflow: NAME")
	}
	notEmpty(d, n, "tests")
	unique(d, n, "tests", "test name", s.Tests, func(t Test) string { return t.Name }, "name")
	label(s.HTTP, s.Commands)
	for i, t := range s.Tests {
		if at := resolve(item(n, "tests", i)); at.Kind == yaml.MappingNode {
			checkKind(d, at, has(n, "workflow"))
		}
		label(t.HTTP, t.Commands)
	}
}

// checkKind reports what only a workflow or only a tool has.
func checkKind(d *decoder, test *yaml.Node, workflow bool) {
	expect := resolve(child(test, "expect"))
	expects := func(key string) bool {
		return has(test, "expect") && expect.Kind == yaml.MappingNode && has(expect, key)
	}
	const wrong = "steps are a workflow's, and this file tests a tool"
	if !workflow && has(test, "steps") {
		d.report(child(test, "steps"), wrong, "leave it out")
	}
	if !workflow && expects("steps") {
		d.report(child(expect, "steps"), wrong, "leave it out")
	}
	if workflow && expects("outputs") {
		d.report(child(expect, "outputs"), "outputs are a tool's, and this file tests a workflow", "leave it out, or test the tool of the step")
	}
}

// label gives mocks their names in messages.
func label(http []HTTPMock, commands []CommandMock) {
	for i := range http {
		http[i].Label = fmt.Sprintf("http[%d]", i)
	}
	for i := range commands {
		commands[i].Label = fmt.Sprintf("commands[%d]", i)
	}
}

func worldFields[T any](of func(*T) *World) []field[T] {
	secrets := byName(loose(nil), schema{"pattern": secretPattern}, checkSecretName, "secret")
	return []field[T]{
		bind("environment", "Variables that override the tool's, as a list of KEY=value or a mapping.", environmentShape(),
			func(t *T) *[]EnvVar { return &of(t).Environment }),
		bind("inputs", "Values for the tool's args.", byName(valueShape(), nil, checkInputName, "input"),
			func(t *T) *map[string]any { return &of(t).Inputs }),
		bind("secrets", "Values of secrets, by their names, instead of this machine's.", secrets,
			func(t *T) *map[string]string { return &of(t).Secrets }),
		bind("http", "Answers to the tool's requests; the first that matches is given.", list("a mock", httpMockShape()),
			func(t *T) *[]HTTPMock { return &of(t).HTTP }),
		bind("commands", "Commands that are replaced, and what they answer; the first that matches is given.", list("a mocked command", commandMockShape()),
			func(t *T) *[]CommandMock { return &of(t).Commands }),
		bind("mocks", "A file of further mocks, inside this file's folder; mayfly test --record writes it.",
			located(mockFile(), func(s string, p Position) *FileRef { return &FileRef{Path: s, Position: p} }),
			func(t *T) **FileRef { return &of(t).MockFile }),
		bind("allow_network", "What may really be reached, where the tool's own network allows it too: hosts, as api.example.com or api.example.com:443, or egress rules.", list("an entry of allow_network", allowShape()),
			func(t *T) *[]network.Rule { return &of(t).AllowNetwork }),
		bind("timeout", "How long each run may take, such as 30s, instead of the tool's own timeout.", timeoutShape(),
			func(t *T) *time.Duration { return &of(t).Timeout }),
	}
}

func checkInputName(s string) (wrong, hint string) {
	if s == "" || len(s) > 255 || !madeOf(s, "_-") {
		return "is not the name of an input", `use letters, digits, "-" and "_"`
	}
	return "", ""
}

// allowShape is what a test may really reach.
func allowShape() shape[network.Rule] {
	host := convert(text(schema{"minLength": 1}, func(s string) (string, string) {
		if _, err := parseAllow(s); err != nil {
			return "is not a host", "write a name such as api.example.com, with a port after a colon if need be"
		}
		return "", ""
	}), func(s string) network.Rule {
		r, _ := parseAllow(s) // checked above; after a problem the zero rule is never used
		return r
	})
	rule := ruleShape()
	return byKind("a host or an egress rule", &host, nil, &rule)
}

// parseAllow reads a host, or a host and a port after a colon. An address of IPv6 stands in brackets then, as in URLs.
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

func testShape() shape[Test] {
	fields := []field[Test]{
		needed(bind("name", "The test's name, for people and for --run.", text(schema{"minLength": 1, "maxLength": 200}, checkTestName),
			func(t *Test) *string { return &t.Name })),
	}
	fields = append(fields, worldFields(func(t *Test) *World { return &t.World })...)
	fields = append(fields,
		bind("steps", "Steps of the workflow that don't run but end as is said here, by their names.", byName(stepMockShape(), schema{"pattern": namePattern}, checkName, "step"),
			func(t *Test) *map[string]StepMock { return &t.Steps }),
		bind("expect", "What the run is expected to do; it is expected to succeed where neither exit_code nor status is given.", expectShape(),
			func(t *Test) *Expect { return &t.Expect }))
	return located(objectWithHints("a test", fields, hintsForTest, nil), func(t Test, p Position) Test {
		t.Position = p
		return t
	})
}

func checkTestName(s string) (wrong, hint string) {
	if strings.TrimSpace(s) == "" || len(s) > 200 || strings.Contains(s, "\n") || textsafe.Replace(s, "") != s {
		return "is not the name of a test", "write one line of at most 200 characters"
	}
	return "", ""
}

func stepMockShape() shape[StepMock] {
	return located(object("a mocked step", []field[StepMock]{
		bind("outputs", "The step's outputs.", byName(loose(nil), nil, nil, "output"),
			func(s *StepMock) *map[string]string { return &s.Outputs }),
		bind("status", "How the step ends; succeeded, or failed where exit_code isn't 0.", choice("status", states()...),
			func(s *StepMock) *string { return &s.Status }),
		bind("exit_code", "The step's exit status.", pointer(convert(integer(0, 255), func(v int64) int { return int(v) })),
			func(s *StepMock) **int { return &s.ExitCode }),
		bind("stdout", "What the step prints.", loose(nil),
			func(s *StepMock) *string { return &s.Stdout }),
	}, func(_ *decoder, _ *yaml.Node, s *StepMock) {
		if s.Status == "" {
			s.Status = "succeeded"
			if s.ExitCode != nil && *s.ExitCode != 0 {
				s.Status = "failed"
			}
		}
	}), func(s StepMock, p Position) StepMock {
		s.Position = p
		return s
	})
}

// states are the ends that a run can have (package run).
func states() []string {
	return []string{"succeeded", "failed", "timed_out", "cancelled", "out_of_memory", "denied", "error", "lost", "skipped"}
}

func expectShape() shape[Expect] {
	return object("expect", []field[Expect]{
		{
			key: "exit_code", doc: "The exit status of the run; any for any.",
			schema: schema{"anyOf": []schema{{"type": "integer", "minimum": 0, "maximum": 255}, {"const": "any"}}},
			read: func(d *decoder, n *yaml.Node, e *Expect) {
				if r := resolve(n); r.Kind == yaml.ScalarNode && r.Value == "any" {
					e.AnyExit = true
					return
				}
				if v, ok := integer(0, 255).read(d, n, "exit_code"); ok {
					code := int(v)
					e.ExitCode = &code
				}
			},
		},
		bind("status", "How the run ends, such as succeeded, failed or timed_out.", choice("status", states()...),
			func(e *Expect) *string { return &e.Status }),
		bind("stdout", "What the tool prints.", outputShape(),
			func(e *Expect) **Matcher { return &e.Stdout }),
		bind("stderr", "What the tool prints to standard error.", outputShape(),
			func(e *Expect) **Matcher { return &e.Stderr }),
		bind("outputs", "Outputs of the run, by name; there may be more.", byName(convert(matcherShape(Equal), func(m *Matcher) Matcher {
			if m == nil {
				return Matcher{}
			}
			return *m
		}), nil, nil, "output"),
			func(e *Expect) *map[string]Matcher { return &e.Outputs }),
		bind("requests", "Requests that the tool makes; there may be others.", list("a request", requestExpectShape()),
			func(e *Expect) *[]RequestExpect { return &e.Requests }),
		bind("commands", "Calls of mocked commands that the tool makes; there may be others.", list("a call", callExpectShape()),
			func(e *Expect) *[]CallExpect { return &e.Commands }),
		bind("in_order", "Whether the requests come in the order in which they are listed.", boolean(),
			func(e *Expect) *bool { return &e.InOrder }),
		bind("all_mocks_used", "Whether each mock has to answer once at least.", boolean(),
			func(e *Expect) *bool { return &e.AllMocksUsed }),
		bind("steps", "How steps of the workflow end, by their names.", byName(choice("status", states()...), schema{"pattern": namePattern}, checkName, "step"),
			func(e *Expect) *map[string]string { return &e.Steps }),
	}, func(d *decoder, n *yaml.Node, e *Expect) {
		if e.InOrder && has(n, "requests") && slices.ContainsFunc(e.Requests, func(r RequestExpect) bool { return r.Count != nil && *r.Count == 0 }) {
			d.report(child(n, "in_order"), "a request that is expected not to come has no place in an order", "leave in_order out, or the request")
		}
	})
}

func countShape() shape[*int] {
	return pointer(convert(integer(0, 1_000_000), func(v int64) int { return int(v) }))
}

func requestExpectShape() shape[RequestExpect] {
	of := func(r *RequestExpect) *RequestMatch { return &r.RequestMatch }
	fields := append(matchFields(of), contentFields(of)...)
	fields = append(fields, bind("count", "How many such requests; at least one where it isn't given.", countShape(),
		func(r *RequestExpect) **int { return &r.Count }))
	return located(object("a request", fields, func(d *decoder, n *yaml.Node, r *RequestExpect) {
		checkMatch(d, n, &r.RequestMatch)
	}), func(r RequestExpect, p Position) RequestExpect {
		r.Position = p
		return r
	})
}

func callExpectShape() shape[CallExpect] {
	return located(object("a call", []field[CallExpect]{
		needed(bind("command", "The command's name.", text(schema{"pattern": commandPattern}, checkCommandName),
			func(c *CallExpect) *string { return &c.Command })),
		bind("args", "The arguments of the call; any where none are given.", argsShape(),
			func(c *CallExpect) **ArgsMatch { return &c.Args }),
		bind("stdin", "The standard input of the call.", outputShape(),
			func(c *CallExpect) **Matcher { return &c.Stdin }),
		bind("count", "How many such calls; at least one where it isn't given.", countShape(),
			func(c *CallExpect) **int { return &c.Count }),
	}, nil), func(c CallExpect, p Position) CallExpect {
		c.Position = p
		return c
	})
}

func mockSetShape() shape[MockSet] {
	fields := func() []field[MockSet] {
		return []field[MockSet]{
			bind("http", "Answers to requests.", list("a mock", httpMockShape()), func(m *MockSet) *[]HTTPMock { return &m.HTTP }),
			bind("commands", "Mocked commands.", list("a mocked command", commandMockShape()), func(m *MockSet) *[]CommandMock { return &m.Commands }),
		}
	}
	finish := func(_ *decoder, _ *yaml.Node, m *MockSet) { label(m.HTTP, m.Commands) }
	one := object("the mocks of a test", fields(), finish)
	return object("a file of mocks", append(fields(), bind("tests", "Mocks of single tests, by their names.", byName(one, nil, checkTestName, "test"),
		func(m *MockSet) *map[string]MockSet { return &m.Tests })), finish)
}

// mockFile is the path of a file of mocks; those written in this file go under http and commands.
func mockFile() shape[string] {
	path := text(schema{"minLength": 1}, checkBeside())
	return shape[string]{schema: path.schema, read: func(d *decoder, n *yaml.Node, label string) (string, bool) {
		if at := resolve(n); at.Kind != yaml.ScalarNode {
			d.report(at, label+" must be the path of a file, not "+describe(at), "in this file, mocks go under http and commands")
			return "", false
		}
		return path.read(d, n, label)
	}}
}
