package cel

import (
	"testing"

	"github.com/mayfly-run/mayfly/internal/condition"
)

// TestAdvice checks that messages about common mistakes say what to write.
func TestAdvice(t *testing.T) {
	evaluator := &Evaluator{}
	for _, c := range []struct{ text, want string }{
		{`"1" = "1"`, "token recognition error at: '= '; two equal signs compare: =="},
		{`"1" > 3`, "found no matching overload for '_>_' applied to '(string, int)'; one side is text, the other a number: put the number in quotes, or int(…) or double(…) around the text"},
		{`3.5 == "1"`, "found no matching overload for '_==_' applied to '(double, string)'; one side is text, the other a number: put the number in quotes, or int(…) or double(…) around the text"},
		{`5.5 > 5`, "found no matching overload for '_>_' applied to '(double, int)'; one side is a decimal number, the other a whole number: write 5.0 instead of 5, or double(…) around it"},
		{`5.5 in [1, 2]`, "found no matching overload for '@in' applied to '(double, list(int))'; one side is a decimal number, the other a whole number: write 5.0 instead of 5, or double(…) around it"},
		{`"1" in [1, 2]`, "found no matching overload for '@in' applied to '(string, list(int))'; one side is text, the other a number: put the number in quotes, or int(…) or double(…) around the text"},
		{`1 == 12345678901234567890123`, "12345678901234567890123 is too large for a condition; compare it as text: put it in quotes, and give an input the type string"},
		{`"1" == failed`, "undeclared reference to 'failed'; write ${STEP.OUTPUT} or ${inputs.NAME} for a value, and quotes around a text"},
		{`a.N == "x"`, "undeclared reference to 'a'; write ${STEP.OUTPUT} or ${inputs.NAME} for a value, and quotes around a text"},
		{`"1" > true`, "found no matching overload for '_>_' applied to '(string, bool)'"},
	} {
		problems, err := evaluator.Check(t.Context(), []condition.Expression{{Text: c.text}})
		if err != nil {
			t.Fatal(err)
		}
		if problems[0] == nil || problems[0].Text != c.want {
			t.Errorf("%s: got %v, want %s", c.text, problems[0], c.want)
		}
	}
}
