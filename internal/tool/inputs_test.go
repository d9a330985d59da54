package tool

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/shape"
	"pgregory.net/rapid"
)

const typedTool = `
image: alpine
args:
  - {name: url, required: true, description: "Where to look\nand more"}
  - {name: count, type: integer, default: 3}
  - {name: ratio, type: number, options: [1, 2.5]}
  - {name: dry-run, type: boolean}
  - {name: hosts, type: array}
  - {name: spec, type: object, env: SPEC_JSON}
`

func TestInputs(t *testing.T) {
	typed, err := Parse("t.yaml", []byte(typedTool))
	if err != nil {
		t.Fatal(err)
	}
	free := &Tool{}
	tests := []struct {
		name  string
		tool  *Tool
		given map[string]any
		want  string // ENV=value, joined by spaces
		err   string
	}{
		{"defaults", typed, map[string]any{"url": "a"}, "URL=a COUNT=3", ""},
		{"empty text is given", typed, map[string]any{"url": ""}, "URL= COUNT=3", ""},
		{"all as text", typed, map[string]any{"url": "a", "count": "-7", "ratio": "2.50", "dry-run": "true", "hosts": `[ "b", 1.0 ]`, "spec": `{"b":1,"a":"<x>"}`}, `URL=a COUNT=-7 RATIO=2.50 DRY_RUN=true HOSTS=["b",1.0] SPEC_JSON={"a":"<x>","b":1}`, ""},
		{"all as JSON", typed, map[string]any{"url": "a", "count": 7.0, "ratio": 1, "dry-run": false, "hosts": []any{"b"}, "spec": map[string]any{"k": nil}}, `URL=a COUNT=7 RATIO=1 DRY_RUN=false HOSTS=["b"] SPEC_JSON={"k":null}`, ""},
		{"large integer", typed, map[string]any{"url": "a", "count": json.Number("9007199254740993")}, "URL=a COUNT=9007199254740993", ""},
		{"values", typed, map[string]any{"url": shape.Value{Type: shape.TypeString, Text: "v"}, "count": shape.Value{Type: shape.TypeInteger, Text: "4"}}, "URL=v COUNT=4", ""},
		{"required", typed, nil, "", `argument "url" (string) is required but not given: Where to look`},
		{"not an integer", typed, map[string]any{"url": "a", "count": "3.5"}, "", `argument "count" (integer): "3.5" is not a whole number`},
		{"JSON not an integer", typed, map[string]any{"url": "a", "count": 3.5}, "", `argument "count" (integer): the number 3.5 is not an integer`},
		{"an integer of 20 digits", typed, map[string]any{"url": "a", "count": "12345678901234567890"}, `URL=a COUNT=12345678901234567890`, ""},
		{"too many digits", typed, map[string]any{"url": "a", "count": strings.Repeat("9", 1001)}, "", `" is too large`},
		{"too large", typed, map[string]any{"url": "a", "ratio": "1e400"}, "", `argument "ratio" (number): "1e400" is too large`},
		{"as written", typed, map[string]any{"url": shape.Scalar{Text: "1.20", Value: json.Number("1.20")}, "count": shape.Scalar{Text: "0x1F", Value: json.Number("31")}, "ratio": shape.Scalar{Text: "2.50", Value: json.Number("2.50")}}, `URL=1.20 COUNT=31 RATIO=2.50`, ""},
		{"as written, of another type", typed, map[string]any{"url": "a", "count": shape.Scalar{Text: "2024-01-02", Value: "2024-01-02"}}, "", `argument "count" (integer): 2024-01-02 is not an integer`},
		{"octal or decimal", typed, map[string]any{"url": "a", "count": shape.Scalar{Text: "0755", Value: json.Number("493")}}, "", `0755 is octal in YAML 1.1 and decimal in YAML 1.2; write 0o755 or 755, or`},
		{"octal zero", typed, map[string]any{"url": "a", "count": shape.Scalar{Text: "00", Value: json.Number("0")}}, "", `00 is octal in YAML 1.1 and decimal in YAML 1.2; write 0o0 or 0, or`},
		{"negative octal", typed, map[string]any{"url": "a", "count": shape.Scalar{Text: "-0755", Value: json.Number("-493")}}, "", `write -0o755 or -755, or`},
		{"free, as written", free, map[string]any{"A": shape.Scalar{Text: "0755", Value: json.Number("493")}, "B": shape.Scalar{Text: "~", Value: nil}, "C": shape.Scalar{Text: "True", Value: true}, "D": []any{shape.Scalar{Text: "1.20", Value: json.Number("1.20")}, shape.Scalar{Text: "0x1F", Value: json.Number("31")}}}, `A=0755 B=~ C=True D=[1.20,31]`, ""},
		{"octal in a list", typed, map[string]any{"url": "a", "hosts": []any{shape.Scalar{Text: "1.20", Value: json.Number("1.20")}, shape.Scalar{Text: "0755", Value: json.Number("493")}}}, "", `argument "hosts" (array): 0755 is octal in YAML 1.1`},
		{"octal in a mapping", free, map[string]any{"A": map[string]any{"x": []any{shape.Scalar{Text: "08", Value: json.Number("8")}}}}, "", `input "A": 08 is text in YAML 1.1 and a number in YAML 1.2; write 8, or`},
		{"not finite", typed, map[string]any{"url": shape.Scalar{Text: ".inf", Value: nil}, "ratio": shape.Scalar{Text: "-.inf", Value: nil}}, "", `argument "ratio" (number): -.inf is not a finite number; put it in quotes`},
		{"not finite as text", typed, map[string]any{"url": shape.Scalar{Text: ".inf", Value: nil}}, `URL=.inf COUNT=3`, ""},
		{"too large, as written", typed, map[string]any{"url": shape.Scalar{Text: "1e400", Value: json.Number("1e400")}, "count": shape.Scalar{Text: "1e400", Value: json.Number("1e400")}}, "", `argument "count" (integer): 1e400 is too large`},
		{"too large, in a list", typed, map[string]any{"url": "a", "hosts": []any{shape.Scalar{Text: "1e400", Value: json.Number("1e400")}}}, `URL=a COUNT=3 HOSTS=[1e400]`, ""},
		{"whole", typed, map[string]any{"url": "a", "count": "1e3"}, `URL=a COUNT=1000`, ""},
		{"whole with a point", typed, map[string]any{"url": "a", "count": "5."}, `URL=a COUNT=5`, ""},
		{"whole and too large", typed, map[string]any{"url": "a", "count": "1e400"}, "", `argument "count" (integer): "1e400" is too large`},
		{"free, digit for digit", free, map[string]any{"A": json.Number("3.0"), "B": json.Number("1e400")}, `A=3.0 B=1e400`, ""},
		{"not a number", typed, map[string]any{"url": "a", "ratio": "NaN"}, "", `argument "ratio" (number): "NaN" is not a number`},
		{"infinite", typed, map[string]any{"url": "a", "ratio": math.Inf(1)}, "", `not a finite number`},
		{"not an option", typed, map[string]any{"url": "a", "ratio": "2"}, "", `argument "ratio" (number): "2" is not among its options, "1" or "2.5"`},
		{"not a boolean", typed, map[string]any{"url": "a", "dry-run": "yes"}, "", `argument "dry-run" (boolean): "yes" is neither true nor false`},
		{"not an array", typed, map[string]any{"url": "a", "hosts": "a,b"}, "", `argument "hosts" (array): "a,b" is not a JSON array`},
		{"object for array", typed, map[string]any{"url": "a", "hosts": "{}"}, "", `argument "hosts" (array): an object is not an array`},
		{"text after JSON", typed, map[string]any{"url": "a", "hosts": "[] []"}, "", `is not a JSON array`},
		{"number for text", typed, map[string]any{"url": 1.1}, "", `argument "url" (string): the number 1.1 is not a string`},
		{"null", typed, map[string]any{"url": nil}, "", `argument "url" (string): null is not a string`},
		{"time", typed, map[string]any{"url": time.Time{}}, "", `it is a time; put it in quotes`},
		{"NUL", typed, map[string]any{"url": "a\x00b"}, "", `NUL character`},
		{"unknown", typed, map[string]any{"url": "a", "cuont": 1}, "", `unknown argument "cuont"; did you mean "count" (integer)?`},
		{"unknown and far", typed, map[string]any{"url": "a", "zzz": 1}, "", `unknown argument "zzz"; the tool's arguments are url, count, ratio, dry-run, hosts, spec`},
		{"free", free, map[string]any{"B": "x", "a_1": 5, "C": []any{true}, "D": 1.5, "E": true}, `B=x C=[true] D=1.5 E=true a_1=5`, ""},
		{"free, bad name", free, map[string]any{"a-b": "x"}, "", `input "a-b" can't be a variable`},
		{"free, null", free, map[string]any{"A": nil}, "", `input "A": null can't be written as text`},
		{"free, NUL", free, map[string]any{"A": "\x00"}, "", `NUL character`},
		{"free, function", free, map[string]any{"A": func() {}}, "", `can't be written as JSON`},
		{"free, PATH", free, map[string]any{"PATH": "/tmp"}, "", `input "PATH" would change how the tool's programs start`},
		{"free, loader", free, map[string]any{"LD_PRELOAD": "/tmp/x.so"}, "", `input "LD_PRELOAD" would change`},
		{"free, output file", free, map[string]any{"MAYFLY_OUTPUT": "/tmp/x"}, "", `input "MAYFLY_OUTPUT" would change`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.tool.Inputs(tt.given)
			if tt.err != "" {
				var bad *InputError
				if !errors.As(err, &bad) || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got %v, want an error with %q", err, tt.err)
				}
				return
			}
			var parts []string
			for _, in := range got {
				parts = append(parts, in.Env+"="+in.Value)
			}
			if text := strings.Join(parts, " "); err != nil || text != tt.want {
				t.Errorf("got %s, %v; want %s", text, err, tt.want)
			}
		})
	}
}

func TestEnvironmentPrecedence(t *testing.T) {
	tool, err := Parse("t.yaml", []byte("environment: [TOKEN=/secrets/token, A=1, B=2, PATHLIKE=/secrets/a/b, DOT=/secrets/.., FILE=/secrets/f]\nvolumes: [{name: f, cache: c, mount_path: /secrets/f}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	got := tool.ResolveEnvironment(
		[]EnvVar{{Name: "B", Value: "/secrets/x"}, {Name: "E", Value: "shared"}, {Name: "A", Value: "shared"}},
		[]Input{{Name: "a", Env: "A", Value: "/secrets/stolen"}, {Name: "c", Env: "C", Value: "3"}, {Name: "e", Env: "E", Value: "default", Default: true}, {Name: "f", Env: "F", Value: "default", Default: true}},
		[]EnvVar{{Name: "C", Value: "/secrets/token"}, {Name: "D", Value: "4"}},
	)
	want := []EnvRef{
		{Name: "TOKEN", Secret: "token"},
		{Name: "A", Literal: "/secrets/stolen"},
		{Name: "B", Literal: "/secrets/x"},
		{Name: "PATHLIKE", Literal: "/secrets/a/b"},
		{Name: "DOT", Literal: "/secrets/.."},
		{Name: "FILE", Literal: "/secrets/f"},
		{Name: "E", Literal: "shared"},
		{Name: "F", Literal: "default"},
		{Name: "C", Literal: "/secrets/token"},
		{Name: "D", Literal: "4"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// TestInputsNameNoSecret: whatever inputs and overrides are given, the secrets of a run are those of the definition.
func TestInputsNameNoSecret(t *testing.T) {
	tool := &Tool{Environment: []EnvVar{{Name: "TOKEN", Value: "/secrets/token"}}}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom([]string{"TOKEN", "A", "B"})
		value := rapid.SampledFrom([]string{"/secrets/other", "/secrets/token", "/secrets/", "x"})
		var inputs []Input
		for range rapid.IntRange(0, 3).Draw(t, "inputs") {
			inputs = append(inputs, Input{Env: name.Draw(t, "name"), Value: value.Draw(t, "value")})
		}
		var over []EnvVar
		for range rapid.IntRange(0, 3).Draw(t, "overrides") {
			over = append(over, EnvVar{Name: name.Draw(t, "name"), Value: value.Draw(t, "value")})
		}
		var shared []EnvVar
		for range rapid.IntRange(0, 3).Draw(t, "shared") {
			shared = append(shared, EnvVar{Name: name.Draw(t, "name"), Value: value.Draw(t, "value")})
		}
		for _, r := range tool.ResolveEnvironment(shared, inputs, over) {
			if r.Secret != "" && (r.Secret != "token" || r.Name != "TOKEN" || replaced(r.Name, inputs, append(over, shared...))) {
				t.Fatalf("got %+v, want no secret except the definition's", r)
			}
		}
	})
}

func replaced(name string, inputs []Input, over []EnvVar) bool {
	for _, in := range inputs {
		if in.Env == name {
			return true
		}
	}
	for _, e := range over {
		if e.Name == name {
			return true
		}
	}
	return false
}

func TestSplitEnv(t *testing.T) {
	tests := []struct{ text, name, value, err string }{
		{"A=b", "A", "b", ""},
		{"A=b=c", "A", "b=c", ""},
		{"A=", "A", "", ""},
		{`A="x y"`, "A", "x y", ""},
		{`A='x'`, "A", "x", ""},
		{`A="x'`, "A", `"x'`, ""},
		{`A="`, "A", `"`, ""},
		{`A=""x""`, "A", `"x"`, ""},
		{"A", "", "", `has no "="`},
		{"=x", "", "", "has no valid name"},
		{"A B=x", "", "", "has no valid name"},
		{"A=\x00", "", "", "NUL"},
	}
	for _, tt := range tests {
		got, wrong, _ := splitEnv(tt.text)
		if tt.err != "" {
			if !strings.Contains(wrong, tt.err) {
				t.Errorf("%q: got %q, want %q", tt.text, wrong, tt.err)
			}
			continue
		}
		if wrong != "" || got.Name != tt.name || got.Value != tt.value {
			t.Errorf("%q: got %+v, %q, want %s=%s", tt.text, got, wrong, tt.name, tt.value)
		}
	}
}
