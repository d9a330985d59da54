package definition

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/shape/shapetest"
	"github.com/mayfly-run/mayfly/internal/tool"
)

func resolveText(text string) error {
	def, err := Parse("flow.yaml", []byte(text))
	if err != nil {
		return err
	}
	def.Workflow.Source.Dir = os.DevNull // no tools are found there
	return def.Workflow.Resolve()
}

func TestWorkflowsRejected(t *testing.T) {
	for name, body := range shapetest.Cases(t, "testdata/rejected.txt") {
		t.Run(name, func(t *testing.T) {
			text, want, ok := strings.Cut(body, "-- want\n")
			if !ok {
				t.Fatal(`the case has no line "-- want"`)
			}
			err := resolveText(text)
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

// everyWorkflowKey has every key of workflows and steps.
const everyWorkflowKey = `
name: release
description: builds, tests and ships
inputs:
  - {name: version, required: true}
  - {name: replicas, type: integer, default: 3}
environment: [REGION=eu, "TAG=v${inputs.version}"]
timeout: 1h
max_parallel: 8
labels: {team: platform}
workflow:
  - name: build
    tool: {image: i, outputs: [TAG]}
    needs: []
    inputs: {SOURCE: ".", LIST: [1, "${inputs.version}", {k: "$${literal}"}]}
    outputs: [DIGEST]
    timeout: 5m
    retry: {attempts: 2}
    artifacts: [{name: bin}, {name: docs, path: /out/docs}]
    runner: gpu
  - name: test
    tool: {image: i}
    for_each: {matrix: {os: [linux, mac], arch: [amd64]}}
    max_parallel: 2
    continue_on_failure: true
    environment: {OS: "${item.os}"}
    condition: '${build.TAG} != "" && success()'
    artifacts: [{name: bin, from: build, path: /bin2}]
    runner: [linux, big]
finally:
  - {name: bye, tool: {image: i}, inputs: {WHY: "${build.status} ${build.exit_code}"}}
`

// TestWorkflowEverything parses a workflow with every key, and checks the meaning of each.
func TestWorkflowEverything(t *testing.T) {
	def, err := Parse("flows/everything.yaml", []byte(everyWorkflowKey))
	if err != nil {
		t.Fatal(err)
	}
	w := def.Workflow
	if err := w.Resolve(); err != nil {
		t.Fatal(err)
	}
	if w.Name != "release" || w.Timeout != time.Hour || w.MaxParallel != 8 || w.Chain || len(w.Inputs) != 2 || w.Labels["team"] != "platform" {
		t.Errorf("the workflow is %+v", w)
	}
	build, test, bye := &w.Steps[0], &w.Steps[1], &w.Finally[0]
	if !slices.Equal(build.Promises(), []string{"TAG", "DIGEST"}) || build.Timeout != 5*time.Minute || build.Retry.Attempts != 2 || build.Uses.Tool.Name != "build" {
		t.Errorf("build is %+v", build)
	}
	if got := build.Artifacts; got[0].Path != "/artifacts/bin" || got[1].Path != "/out/docs" {
		t.Errorf("the artifacts are %+v", got)
	}
	if !slices.Equal(build.Runner, []string{"gpu"}) || !slices.Equal(test.Runner, []string{"linux", "big"}) || !test.ContinueOnFailure {
		t.Errorf("the runners are %q and %q", build.Runner, test.Runner)
	}
	value := func(r Reference) (any, error) { return "<" + r.String() + ">", nil }
	list, err := Substitute(build.Inputs[1].Value, value)
	if err != nil || fmt.Sprint(list) != "[1 <${inputs.version}> map[k:${literal}]]" {
		t.Errorf("the list is %v, %v", list, err)
	}
	if c := test.Condition; !strings.HasPrefix(c.Expression, `_0           != "" && `) || !c.Functions["success"] || c.References[0].String() != "${build.TAG}" {
		t.Errorf("the condition is %+v", c)
	}
	if text, err := bye.Inputs[0].Value.(Template).Text(value); err != nil || text != "<${build.status}> <${build.exit_code}>" {
		t.Errorf("the input is %q, %v", text, err)
	}
	if got := w.Edges(); !reflect.DeepEqual(got, [][]int{nil, {0}, nil}) {
		t.Errorf("the edges are %v", got)
	}
	values, err := w.Values(map[string]any{"version": "1.2"})
	if err != nil || fmt.Sprint(values) != "map[replicas:3 version:1.2]" {
		t.Errorf("the values are %v, %v", values, err)
	}
	if _, err := w.Values(nil); err == nil || err.Error() != `argument "version" (string) is required but not given` {
		t.Errorf("without a version: got %v, want an error", err)
	}
}

func TestWorkflowExamples(t *testing.T) {
	for file, want := range map[string]string{
		"build-test-deploy":      "chain build-app(docker-builder) run-tests(test-runner) deploy-app(kubernetes-deployer)",
		"parallel-health-checks": "parallel check-prod(health-checker) check-staging(health-checker) check-dev(health-checker)",
	} {
		def, err := Load(filepath.Join("../../tool/testdata/examples", file+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		got := map[bool]string{true: "chain", false: "parallel"}[def.Workflow.Chain]
		for _, s := range def.Workflow.Steps {
			got += " " + s.Name + "(" + s.Uses.Name + ")"
		}
		if got != want || def.Workflow.Name != file {
			t.Errorf("%s: got %s, want %s", def.Workflow.Name, got, want)
		}
	}
}

func TestParseCondition(t *testing.T) {
	tests := []struct{ text, expression, wrong string }{
		{`${a.R} == "PASSED"`, `_0     == "PASSED"`, ""},
		{`${a.R} == ${b.R} || "$" == '$'`, `_0     == _1     || "$" == '$'`, ""},
		{`"a${a.R}"`, "", "has a reference inside quotes"},
		{`'''x ${a.R}''' == "y"`, "", "has a reference inside quotes"},
		{`r"\" == ${a.R}`, `r"\" == _0    `, ""},
		{`"\"" == ${a.R}`, `"\"" == _0    `, ""},
		{"${a.R} // ${not a reference\n == 'x'", "_0     // ${not a reference\n == 'x'", ""},
		{`_0 == "x"`, "", "stands for a reference"},
		{`${item} in ["a"] && always()`, `_0      in ["a"] && always()`, ""},
		{`${}`, "", "unknown reference"},
		{`${a.R} AND true`, "", `uses "AND"`},
		{`${a.R} Or true`, "", `uses "Or"`},
		{`${a.R} is "x"`, "", `uses "is"`},
		{`${item}.is == "x" && "a is b" == 'A AND B'`, `_0     .is == "x" && "a is b" == 'A AND B'`, ""},
		{strings.Repeat("x", 5000), "", "longer than"},
	}
	for _, test := range tests {
		c, wrong, _ := parseCondition(test.text)
		if !strings.Contains(wrong, test.wrong) || test.wrong == "" && (wrong != "" || c.Expression != test.expression) {
			t.Errorf("%s: got %q, %q; want %q, %q", test.text, c.Expression, wrong, test.expression, test.wrong)
		}
	}
}

// TestWorkflowLimits: a workflow may have more parts than a tool, but not any number of them.
func TestWorkflowLimits(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"values", "workflow: [" + strings.Repeat("a,", 250_000) + "]", "too many parts"},
		{"size", "workflow: x" + strings.Repeat("y", 3<<20), "larger than"},
		{"aliases", "workflow:\n" + shapetest.Bomb(20), "more than 200000 values"},
		{"words", "workflow: [" + strings.Repeat("a,", 99_000) + "]", "must be a mapping of keys"},
		{"lists", "workflow: [" + strings.Repeat("[],", 60_000) + "]", "must be a mapping of keys"},
		{"unknown steps", "workflow:\n" + strings.Repeat("- {name: s, tool: t, needs: [zzzzz]}\n", 8000), "is defined twice"},
	}
	most := 2 * shapetest.LongestRefusal(t, shape.SmallBounds().FileSize, func(text string) error { _, err := tool.Parse("t.yaml", []byte(text)); return err }) // the file may have twice the bytes
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			shapetest.WantRefusal(t, func() error { _, err := Parse("w.yaml", []byte(test.text)); return err }, test.want, most)
		})
	}
}
