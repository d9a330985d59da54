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
		{`"1" > 3`, "found no matching overload for '_>_' applied to '(string, int)'; one side is text, the other a number: put the number in quotes, or int(…) or double(…) around the text"},
		{`3.5 == "1"`, "found no matching overload for '_==_' applied to '(double, string)'; one side is text, the other a number: put the number in quotes, or int(…) or double(…) around the text"},
		{`"1" == failed`, "undeclared reference to 'failed'; write ${STEP.OUTPUT} or ${inputs.NAME} for a value, and quotes around a text"},
		{`a.N == "x"`, "undeclared reference to 'a'; write ${STEP.OUTPUT} or ${inputs.NAME} for a value, and quotes around a text"},
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
