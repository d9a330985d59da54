// Package conditiontest has the tests that every evaluator of conditions must pass.
package conditiontest

import (
	"context"
	"encoding/json"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/condition"
)

// Test runs the suite. It calls open for each evaluator.
func Test(t *testing.T, open func(t *testing.T) condition.Evaluator) {
	t.Run("evaluate", func(t *testing.T) { evaluate(t, open(t)) })
	t.Run("check", func(t *testing.T) { check(t, open(t)) })
	t.Run("numbers", func(t *testing.T) { numbers(t, open(t)) })
	t.Run("bombs", func(t *testing.T) { bombs(t, open(t)) })
	t.Run("at once", func(t *testing.T) { atOnce(t, open(t)) })
	t.Run("cancelled", func(t *testing.T) { cancelled(t, open(t)) })
}

func expression(text string) (condition.Expression, condition.Values) {
	types := map[string]condition.Type{
		"s": condition.String, "i": condition.Int, "d": condition.Double, "b": condition.Bool, "a": condition.Any, "list": condition.Any,
	}
	values := map[string]any{
		"s": "it's \"quoted\" || true\n${x}", "i": json.Number("3"), "d": json.Number("2"), "b": true,
		"a": map[string]any{"os": "linux", "n": json.Number("7")}, "list": []any{"x", json.Number("1.5")},
	}
	return condition.Expression{Text: text, Variables: types}, condition.Values{Variables: values, Success: true}
}

func evaluate(t *testing.T, e condition.Evaluator) {
	for text, want := range map[string]bool{
		`i == 3 && d < 2.5 && b`:                           true,
		`s == "it's \"quoted\" || true\n${x}"`:             true,
		`s == ""`:                                          false,
		`success() && !failure() && always()`:              true,
		`failure()`:                                        false,
		`a.os == "linux" && a.n == 7`:                      true,
		`a.os in ["mac", "linux"] && has(a.n)`:             true,
		`has(a.missing)`:                                   false,
		`list[0] == "x" && list[1] == 1.5`:                 true,
		`list.exists(e, e == "x")`:                         true,
		`s.startsWith("it's") && s.size() > 3`:             true,
		`s.matches("quo.ed")`:                              true,
		`"1.2.3".split(".")[0] == "1"`:                     true,
		`int("42") > 41 ? b : false`:                       true,
		`duration("90s") > duration("1m")`:                 true,
		`timestamp("2026-11-26T00:00:00Z").getMonth()==10`: true,
	} {
		x, v := expression(text)
		got, problem, err := e.Evaluate(t.Context(), x, v)
		if err != nil || problem != nil || got != want {
			t.Errorf("%s: got %v, %v, %v; want %v", text, got, problem, err, want)
		}
	}
	for text, want := range map[string]string{
		`int(s) > 1`:       "type conversion error from 'string' to 'int'",
		`a.missing == "x"`: "no such key: missing",
		`list[5] == "x"`:   "index out of bounds: 5",
		`i / 0 == 1`:       "division by zero",
		`a`:                "a condition must be true or false, not of type map",
	} {
		x, v := expression(text)
		_, problem, err := e.Evaluate(t.Context(), x, v)
		if err != nil || problem == nil || problem.Text != want {
			t.Errorf("%s: got %v, %v; want %s", text, problem, err, want)
		}
	}
}

func check(t *testing.T, e condition.Evaluator) {
	tests := []struct {
		text   string
		want   string
		column int
	}{
		{`s == "x"`, "", 0},
		{`s > 5`, "found no matching overload for '_>_' applied to '(string, int)'", 3},
		{`s == "x" &&`, "mismatched input '<EOF>'", 12},
		{`unknown == 1`, "undeclared reference to 'unknown'", 1},
		{`s`, "a condition must be true or false, not of type string", 0},
		{`s == "x`, "token recognition error", 6},
		{`succes()`, "undeclared reference to 'succes'", 7},
	}
	var list []condition.Expression
	for _, test := range tests {
		x, _ := expression(test.text)
		list = append(list, x)
	}
	got, err := e.Check(t.Context(), list)
	if err != nil || len(got) != len(tests) {
		t.Fatalf("%d answers, %v", len(got), err)
	}
	for i, test := range tests {
		switch {
		case test.want == "" && got[i] != nil, test.want != "" && got[i] == nil:
			t.Errorf("%s: got %v, want %q", test.text, got[i], test.want)
		case got[i] != nil && (!strings.Contains(got[i].Text, test.want) || got[i].Column != test.column):
			t.Errorf("%s: got %q in column %d, want %q in column %d", test.text, got[i].Text, got[i].Column, test.want, test.column)
		}
	}
	if got, err := e.Check(t.Context(), nil); err != nil || len(got) != 0 {
		t.Errorf("nothing to check: got %v, %v", got, err)
	}
}

// numbers checks that numbers keep all their digits or are refused, since a rounded number would equal others.
func numbers(t *testing.T, e condition.Evaluator) {
	const large, digits = "is too large for a condition", "has more digits than a condition can compute with"
	for _, c := range []struct {
		text string
		typ  condition.Type
		x, y any
		want any // the value, or the text of the problem
	}{
		{`x == y`, condition.Int, json.Number("12345678901234567890123"), json.Number("12345678901234567890124"), large},
		{`x in [1, y]`, condition.Int, json.Number("1"), json.Number("-9223372036854775809"), large},
		{`string(x) == "9223372036854775807"`, condition.Int, json.Number("9223372036854775807"), json.Number("0"), true},
		{`x == y`, condition.Int, json.Number("9007199254740993"), json.Number("9007199254740992"), false},
		{`x == 12345678901234567890123`, condition.Int, json.Number("1"), json.Number("0"), "12345678901234567890123 " + large},
		{`x == -9223372036854775809`, condition.Int, json.Number("1"), json.Number("0"), large},
		{`uint(x) == 18446744073709551616u`, condition.Int, json.Number("1"), json.Number("0"), large},
		{`x == y`, condition.Any, json.Number("12345678901234567890123"), json.Number("12345678901234567890124"), large},
		{`x.n == y.n`, condition.Any, map[string]any{"n": json.Number("1e400")}, map[string]any{"n": json.Number("1")}, large},
		{`x == y`, condition.Any, []any{json.Number("12345678901234567890123")}, []any{}, large},
		{`x == y`, condition.Any, json.Number("9007199254740993"), json.Number("9007199254740992.0"), false},
		{`x == y`, condition.Any, json.Number("1e18"), json.Number("1000000000000000000"), true},
		{`x == y`, condition.Any, json.Number("1e19"), json.Number("1"), large},
		{`x / y == 1.5`, condition.Any, json.Number("3.0"), json.Number("2.0"), true},
		{`x == y`, condition.Any, json.Number("3.0"), json.Number("3"), true},
		{`x == y`, condition.Double, json.Number("0.1000000000000000055"), json.Number("0.1"), digits},
		{`x == y`, condition.Double, json.Number("9007199254740993"), json.Number("1"), digits},
		{`x == y`, condition.Double, json.Number("1e400"), json.Number("1"), large},
		{`x == y`, condition.Double, json.Number("1e-400"), json.Number("0"), "is too small for a condition"},
		{`x == y`, condition.Double, json.Number("0e-400"), json.Number("-0.000"), true},
		{`x == 0.1000000000000000055`, condition.Double, json.Number("0.1"), json.Number("0"), "0.1000000000000000055 " + digits},
		{`x == 1e400`, condition.Double, json.Number("1"), json.Number("0"), large},
		{`x == 1.20 && y < -.5`, condition.Double, json.Number("1.2"), json.Number("-1e22"), true},
		{`x == "0.1000000000000000055"`, condition.String, "0.1000000000000000055", "", true},
	} {
		x := condition.Expression{Text: c.text, Variables: map[string]condition.Type{"x": c.typ, "y": c.typ}}
		got, problem, err := e.Evaluate(t.Context(), x, condition.Values{Variables: map[string]any{"x": c.x, "y": c.y}})
		why, refused := c.want.(string)
		switch {
		case err != nil:
			t.Errorf("%s with %v and %v: %v", c.text, c.x, c.y, err)
		case refused && (problem == nil || !strings.Contains(problem.Text, why) || !strings.Contains(problem.Text, "compare it as text")):
			t.Errorf("%s with %v and %v: got %v, %v; want %s", c.text, c.x, c.y, got, problem, why)
		case !refused && (problem != nil || got != c.want):
			t.Errorf("%s with %v and %v: got %v, %v; want %v", c.text, c.x, c.y, got, problem, c.want)
		}
	}
}

// bombs is attack S05: each expression is refused within a second and 64 MB.
func bombs(t *testing.T, e condition.Evaluator) {
	for name, text := range map[string]string{
		"loops":       `[1,2,3,4,5,6,7,8,9,10].all(a1, [1,2,3,4,5,6,7,8,9,10].all(a2, [1,2,3,4,5,6,7,8,9,10].all(a3, [1,2,3,4,5,6,7,8,9,10].all(a4, [1,2,3,4,5,6,7,8,9,10].all(a5, [1,2,3,4,5,6,7,8,9,10].all(a6, true))))))`,
		"text":        `[0,1,2,3,4,5,6,7,8,9].map(x, [0,1,2,3,4,5,6,7,8,9].map(y, [0,1,2,3,4,5,6,7,8,9].map(z, [0,1,2,3,4,5,6,7,8,9].map(w, [0,1,2,3,4,5,6,7,8,9].map(q, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"))))).size() > 0`,
		"depth":       strings.Repeat("(", 3000) + "true" + strings.Repeat(")", 3000),
		"long":        "true" + strings.Repeat(" || true", 2000),
		"replace":     `[0,1,2,3,4,5,6,7,8,9].map(x, "a".replace("", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb").replace("", "cccccccccccccccccccccccccccccccccccccccc").replace("", "dddddddddddddddddddddddddddddddddddddddddddd").replace("", "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee").replace("", "ffffffffffffffffffffffffffff")).size() > 0`,
		"join":        `["a","b"].join("x") == "" || [0,1,2,3,4,5,6,7,8,9].map(x, [0,1,2,3,4,5,6,7,8,9].map(y, [0,1,2,3,4,5,6,7,8,9].map(z, [0,1,2,3,4,5,6,7,8,9].map(w, [0,1,2,3,4,5,6,7,8,9].map(v, string(v)))))).size() == 3`,
		"concatenate": `[1,2,3,4,5,6,7,8,9,10].map(a, [1,2,3,4,5,6,7,8,9,10].map(b, [1,2,3,4,5,6,7,8,9,10].map(c, [1,2,3,4,5,6,7,8,9,10].map(d, s + s + s + s + s + s)))).size() == 0 && s.size() < 0`,
	} {
		t.Run(name, func(t *testing.T) {
			x, v := expression(text)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			begin := time.Now()
			_, problem, err := e.Evaluate(t.Context(), x, v)
			runtime.ReadMemStats(&after)
			// All allocations of this process are an upper bound of the memory in use at any time.
			if used := (after.TotalAlloc - before.TotalAlloc) >> 20; used > 64 {
				t.Errorf("the evaluation allocated %d MB, want at most 64", used)
			}
			if took := time.Since(begin); took > time.Second*slowness {
				t.Errorf("the evaluation took %v, want at most %v", took, time.Second*slowness)
			}
			if err != nil {
				t.Fatal(err)
			}
			if problem == nil {
				t.Error("the expression was evaluated")
			}
		})
	}
}

func atOnce(t *testing.T, e condition.Evaluator) {
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for k := range 20 {
				x, v := expression("i == 3")
				if k%2 == 1 {
					x, v = expression("i == 4")
				}
				if got, problem, err := e.Evaluate(t.Context(), x, v); err != nil || problem != nil || got != (k%2 == 0) {
					t.Errorf("question %d: got %v, %v, %v", k, got, problem, err)
				}
			}
		})
	}
	all.Wait()
}

func cancelled(t *testing.T, e condition.Evaluator) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	x, _ := expression("true")
	if _, err := e.Check(ctx, []condition.Expression{x}); err == nil {
		t.Error("Check with a cancelled context returned no error")
	}
	// The evaluator still answers the next question.
	if got, problem, err := e.Evaluate(t.Context(), x, condition.Values{}); err != nil || problem != nil || !got {
		t.Errorf("after a cancelled question: got %v, %v, %v; want true", got, problem, err)
	}
}
