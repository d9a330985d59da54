package cel

import (
	"testing"

	"github.com/mayfly-run/mayfly/internal/condition"
)

// TestAdvice: who doesn't know CEL is told what to write.
func TestAdvice(t *testing.T) {
	evaluator := &Evaluator{}
	for _, c := range []struct{ text, want string }{
		{`"1" = "1"`, "token recognition error at: '= '; two equal signs compare: =="},
		{`"1" > 3`, "found no matching overload for '_>_' applied to '(string, int)'; what a step hands on is text: compare it with a text, or write int(…) or double(…) around it"},
		{`3.5 == "1"`, "found no matching overload for '_==_' applied to '(double, string)'; what a step hands on is text: compare it with a text, or write int(…) or double(…) around it"},
		{`"1" == failed`, `undeclared reference to 'failed'; a text is in quotes: "failed"`},
		{`"1" > true`, "found no matching overload for '_>_' applied to '(string, bool)'"},
	} {
		problems, err := evaluator.Check(t.Context(), []condition.Expression{{Text: c.text}})
		if err != nil {
			t.Fatal(err)
		}
		if problems[0] == nil || problems[0].Text != c.want {
			t.Errorf("%s: %v, want %s", c.text, problems[0], c.want)
		}
	}
}
