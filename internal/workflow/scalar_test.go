package workflow

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/tool"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// TestShown: a plan shows values as the run gives them: those without quotes as they are written, if text is expected.
func TestShown(t *testing.T) {
	def, err := definition.Parse("w.yaml", []byte(`
inputs: [{name: x, type: number, default: 1.20}]
environment: {SHARED: a, X: shared}
workflow:
  - {name: a, tool: {image: i}, outputs: [B]}
  - name: typed
    tool: {image: i, args: [{name: s}, {name: n, type: integer}, {name: l, type: array}, {name: o, type: object}]}
    inputs: {s: 0755, n: 0x1F, l: [1.20, 1_000, ~], o: {a: ~, b: "${a.B}"}}
    environment: {X: step}
  - {name: free, tool: {image: i}, inputs: {A: ~, B: 1_000, C: +358, D: .inf, E: "${inputs.x}", F: [0755]}}
`))
	if err != nil {
		t.Fatal(err)
	}
	p := NewPlan(def.Workflow, map[string]any{"x": json.Number("1.20")})
	inputs, environment := p.Shown(1, []tool.EnvVar{{Name: "X", Value: "cli"}, {Name: "Y", Value: "cli"}})
	shown := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if got, want := shown(inputs), `{"l":[1.20,1000,null],"n":31,"o":{"a":null,"b":"${a.B}"},"s":"0755"}`; got != want {
		t.Errorf("inputs %s, want %s", got, want)
	}
	if got, want := shown(environment), `{"SHARED":"a","X":"cli","Y":"cli"}`; got != want {
		t.Errorf("environment %s, want %s", got, want)
	}
	inputs, _ = p.Shown(2, nil)
	if got, want := shown(inputs), `{"A":"~","B":"1_000","C":"+358","D":".inf","E":1.20,"F":"0755 is octal in YAML 1.1 and decimal in YAML 1.2; write 0o755 or 755, or put it in quotes if it is text"}`; got != want {
		t.Errorf("inputs %s, want %s", got, want)
	}
}

// TestItemsAreChecked: items in the file are checked before anything runs.
func TestItemsAreChecked(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`{name: a, tool: {image: i}, for_each: [{mode: 0755}], inputs: {V: "${item}"}}`, `1:78: step a, item 0: input "V": 0755 is octal in YAML 1.1`},
		{`{name: a, tool: {image: i}, for_each: [{mode: 0755}], inputs: {V: "${item.mode}"}}`, ""},
		{`{name: a, tool: {image: i}, for_each: [1, 0755], inputs: {V: {x: ["${item}"]}}}`, `step a, item 1: input "V": 0755 is octal`},
		{`{name: a, tool: {image: i, args: [{name: n, type: integer}]}, for_each: {matrix: {x: [1], y: [2, b]}}, inputs: {n: "${item.y}"}}`, `step a, item 1: input "n" (integer): "b" is not a whole number`},
		{`{name: a, tool: {image: i}, for_each: [1, ~], inputs: {V: "${item}"}, condition: "${item} != null"}`, ""},
		{`{name: a, tool: {image: i}, for_each: ["${inputs.l}"], inputs: {V: "${item}"}}`, ""},
	} {
		def, err := definition.Parse("w.yaml", []byte("workflow: ["+c.text+"]\ninputs: [{name: l, type: array}]\n"))
		if err != nil {
			t.Fatal(err)
		}
		err = NewPlan(def.Workflow, map[string]any{"l": []any{}}).CheckInputs()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", c.text, err, c.want)
		}
	}
}

// TestItemsOfAllKinds: a condition gets the meaning of a value without quotes, and an error about a null item says what to write.
func TestItemsOfAllKinds(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`for_each: [1.20, {x: 0x1F}], condition: '${item} == 1.2 || ${item} == {"x": 31}'`, "succeeded 0"},
		{`for_each: [{m: 0755}], condition: "${item.m} == 493"`, "0755 is octal in YAML 1.1"},
		{`for_each: [.inf], condition: "${item} == 1"`, ".inf is not a finite number"},
		{`for_each: "${z.L}", inputs: {V: "${item}"}`, `input "V": null can't be written as text; to leave out such items, write condition: "${item} != null"`},
		{`for_each: "${z.L}", environment: {V: "x ${item.n}"}`, `variable V: ${item.n}: null can't be written as text; to leave out such items, write condition: "${item.n} != null"`},
		{`for_each: "${z.N}", inputs: {V: "${item}"}, condition: "${item} != null"`, "succeeded 0"},
	} {
		p := NewPlan(parse(t, `workflow: [{name: z, tool: T, outputs: [L, N]}, {name: a, tool: T, `+c.text+`}]`), nil)
		list := `[{"n": null}]`
		if strings.Contains(c.text, "${item}\"}") {
			list = `[null, 1]`
		}
		result, err := executor(&scripted{}).Run(t.Context(), p, Options{Mocked: map[string]StepState{"z": succeed("L", list, "N", list)}})
		if err != nil {
			t.Fatal(err)
		}
		if got := summary(result) + result.Reason; !strings.Contains(got, c.want) {
			t.Errorf("%s: got %s, want %s", c.text, got, c.want)
		}
	}
}

// TestItemsArriveAsWritten: tools get an item as it is written in the file, or in the output that the items come from, digit for digit.
func TestItemsArriveAsWritten(t *testing.T) {
	const numbers = `20200219, 9007199254740993, 12345678901234567890, 0.1, 1.20, 1e3, -0.0`
	listed := strings.Split(numbers, ", ")
	for _, c := range []struct {
		text string
		want []string
	}{
		{
			`for_each: [1.20, no, on, 0644, 2024-01-02, 12:30:45, 0x1F, 0o17, 1e3, 1_000, +358401234567, True, ~, .inf, 12345678901234567890], inputs: {V: "${item}"}`,
			[]string{"1.20", "no", "on", "0644", "2024-01-02", "12:30:45", "0x1F", "0o17", "1e3", "1_000", "+358401234567", "True", "~", ".inf", "12345678901234567890"},
		},
		{`for_each: [1.20, no], inputs: {V: "v${item}"}`, []string{"v1.20", "vno"}},
		{`for_each: [{v: 1.20}, {v: 2024-01-02}], inputs: {V: "${item.v}"}`, []string{"1.20", "2024-01-02"}},
		{`for_each: [{v: 1.20}], inputs: {V: "${item}"}`, []string{`{"v":1.20}`}},
		{`for_each: {matrix: {go: [1.19, 1.20], day: [2024-01-02], on: [no]}}, inputs: {V: "${item.go} ${item.day} ${item.on}"}`, []string{"1.19 2024-01-02 no", "1.20 2024-01-02 no"}},
		{`for_each: {matrix: {go: [1.20]}}, inputs: {V: "${item.go}"}`, []string{"1.20"}},
		{`for_each: "${z.L}", inputs: {V: "${item}"}`, listed},
		{`for_each: "${z.O}", inputs: {V: "${item.id}"}`, listed},
		{`for_each: "${z.O}", inputs: {V: "${item}"}`, []string{`{"id":20200219}`, `{"id":9007199254740993}`, `{"id":12345678901234567890}`, `{"id":0.1}`, `{"id":1.20}`, `{"id":1e3}`, `{"id":-0.0}`}},
	} {
		p := NewPlan(parse(t, `workflow: [{name: z, tool: T, outputs: [L, O]}, {name: a, tool: T, max_parallel: 1, `+c.text+`}]`), nil)
		var got []string
		tools := map[string]func(context.Context, *run.Request) *run.Result{"a": func(_ context.Context, req *run.Request) *run.Result {
			inputs, err := req.Tool.Inputs(req.Inputs)
			if err != nil {
				t.Errorf("%s: %v", c.text, err)
			}
			for _, in := range inputs {
				got = append(got, in.Value)
			}
			return &run.Result{Status: run.Succeeded}
		}}
		z := succeed("L", "["+numbers+"]", "O", `[{"id": `+strings.Join(listed, `}, {"id": `)+`}]`)
		result, err := executor(&scripted{tools: tools}).Run(t.Context(), p, Options{Mocked: map[string]StepState{"z": z}})
		if err != nil || result.Status != run.Succeeded {
			t.Errorf("%s: %s %s, %v", c.text, summary(result), result.Reason, err)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.text, got, c.want)
		}
	}
}
