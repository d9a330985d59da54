package shape_test

import (
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/shape/shapetest"
	"github.com/mayfly-run/mayfly/internal/suite"
	"github.com/mayfly-run/mayfly/internal/tool"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// variablesOf writes the variables of a tool's environment as "NAME=VALUE NAME=VALUE".
func variablesOf(list []tool.EnvVar) string {
	words := make([]string, len(list))
	for i, v := range list {
		words[i] = v.Name + "=" + v.Value
	}
	return strings.Join(words, " ")
}

func TestMergeKeys(t *testing.T) {
	const anchors = "x-a: &a {A: one, B: base}\nx-b: &b {B: two, C: three}\nx-c: &c {<<: *a, D: four}\n"
	for name, tt := range map[string]struct{ environment, want string }{
		"one":               {"{<<: *a}", "A=one B=base"},
		"its own key wins":  {"{<<: *a, A: own}", "A=own B=base"},
		"its own key first": {"{A: own, <<: *a}", "A=own B=base"},
		"a list":            {"{<<: [*b, *a], D: four}", "D=four B=two C=three A=one"},
		"in its order":      {"{<<: [*a, *b]}", "A=one B=base C=three"},
		"two":               {"\n  <<: *b\n  <<: *a", "B=two C=three A=one"},
		"two and a list":    {"\n  <<: [{E: five}, *b]\n  C: own\n  <<: *a", "C=own E=five B=two A=one"},
		"nested":            {"{<<: *c, B: own}", "B=own D=four A=one"},
		"in quotes":         {`{"<<": *a}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			parsed, err := tool.Parse("t.yaml", []byte(anchors+"image: i\nenvironment: "+tt.environment+"\n"))
			switch {
			case tt.want == "" && err == nil:
				t.Error("a quoted << is read as a merge key")
			case tt.want != "" && err != nil:
				t.Error(err)
			case tt.want != "" && variablesOf(parsed.Environment) != tt.want:
				t.Errorf("got %s, want %s", variablesOf(parsed.Environment), tt.want)
			}
		})
	}
}

// TestMergedSteps: a step can be merged from another step, and the shared part doesn't change other steps.
func TestMergedSteps(t *testing.T) {
	def, err := definition.Parse("w.yaml", []byte(`
x-deploy: &deploy
  tool: {image: i}
  retry: {attempts: 2}
workflow:
  - &first {name: staging, <<: *deploy, inputs: {WHERE: staging}}
  - {<<: [*first, *deploy], name: production, timeout: 5m}
`))
	if err != nil {
		t.Fatal(err)
	}
	staging, production := def.Workflow.Steps[0], def.Workflow.Steps[1]
	if staging.Name != "staging" || staging.Retry.Attempts != 2 || staging.Timeout != 0 {
		t.Errorf("staging is %+v", staging)
	}
	where, err := production.Inputs[0].Value.(definition.Template).Text(nil)
	if production.Name != "production" || production.Retry.Attempts != 2 || production.Timeout != 5*time.Minute || err != nil || where != "staging" {
		t.Errorf("production is %+v, %v", production, err)
	}
}

// TestSharedKeys: top-level keys that begin with "x-" may have any value, in the parser and in the schema; deeper keys may not.
func TestSharedKeys(t *testing.T) {
	kinds := map[string]struct {
		schema []byte
		parse  func(text string) error
		text   string
	}{
		"tool":     {tool.Schema(), func(s string) error { _, err := tool.Parse("t.yaml", []byte(s)); return err }, "image: i\nlabels: {a: b}\nresources: {cpu: 1%s}\n"},
		"workflow": {definition.Schema(), func(s string) error { _, err := definition.Parse("w.yaml", []byte(s)); return err }, "workflow: [{name: a, tool: {image: i}%s}]\n"},
		"tests":    {suite.Schema(), func(s string) error { _, err := suite.Parse("a_test.yaml", []byte(s)); return err }, "tool: {image: i}\ntests: [{name: a%s}]\n"},
	}
	for kind, k := range kinds {
		s := shapetest.Compile(t, k.schema)
		plain := strings.ReplaceAll(k.text, "%s", "")
		for name, tt := range map[string]struct {
			text string
			ok   bool
		}{
			"a mapping": {"x-a: {image: 5, nosuch: [1]}\n" + plain, true},
			"a list":    {plain + "x-a: [1, {b: ~}]\n", true},
			"several":   {"x-a: text\n" + plain + "x-: ~\nx-b-c: 1.20\n", true},
			"another":   {"xa: {}\n" + plain, false},
			"deeper":    {strings.ReplaceAll(k.text, "%s", ", x-a: {}"), false},
		} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				if err := k.parse(tt.text); (err == nil) != tt.ok {
					t.Errorf("the parser returned %v, want success: %v", err, tt.ok)
				}
				if err := s.Validate(shapetest.Instance(t, tt.text)); (err == nil) != tt.ok {
					t.Errorf("the schema returned %v, want success: %v", err, tt.ok)
				}
			})
		}
	}
}
