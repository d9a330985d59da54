// Package condition evaluates the conditions of workflows: CEL expressions (https://cel.dev) over values.
//
// Package cel does it with the CEL project's library. The start of the library takes 8 ms, a third of a whole run of a tool,
// so mayfly doesn't import it. Instead, [Process] asks the program mayfly-cel, which it starts for the first condition. A
// workflow without conditions doesn't start it.
package condition

import "context"

// Type is the type of a variable.
type Type string

// The types of variables. An item of a for_each, an array and an object have the type Any.
const (
	String Type = "string"
	Int    Type = "int"
	Double Type = "double"
	Bool   Type = "bool"
	Any    Type = "any"
)

// MaxCost is the limit of an evaluation in CEL's units: about one for each operation, and one for ten characters of text that it
// reads or makes.
const MaxCost = 100_000

// Expression is a condition before it has values.
type Expression struct {
	// Text is the CEL expression. It may call success(), failure() and always().
	Text string `json:"text"`
	// Variables has the types of the variables, by name.
	Variables map[string]Type `json:"variables,omitempty"`
}

// Values are the values for an evaluation.
type Values struct {
	// Variables has the values of the variables, as decoded from JSON with numbers as json.Number.
	Variables map[string]any `json:"variables,omitempty"`
	// Success and Failure are what the functions of those names return.
	Success bool `json:"success,omitempty"`
	Failure bool `json:"failure,omitempty"`
}

// Problem says what is wrong with an expression, or why it has no value.
type Problem struct {
	// Text is the message for users.
	Text string `json:"text"`
	// Line and Column are the place in the expression, from 1; 0 if it isn't known.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
}

func (p *Problem) Error() string { return p.Text }

// Evaluator evaluates expressions. Its methods may be called from several goroutines. An error is a failure of the evaluator
// itself. If something is wrong with an expression, the evaluator returns a *[Problem].
type Evaluator interface {
	// Check checks expressions without evaluating them. The result has one element for each expression, which is nil if the
	// expression is valid.
	Check(ctx context.Context, list []Expression) ([]*Problem, error)
	// Evaluate returns the value of an expression.
	Evaluate(ctx context.Context, e Expression, v Values) (bool, *Problem, error)
	// Close frees the evaluator's resources. No method may be called after it.
	Close() error
}
