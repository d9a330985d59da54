// Package condition evaluates the conditions of workflows: CEL expressions (https://cel.dev) over values.
//
// Package cel does it with the CEL project's own library. Its start alone takes 8 ms, a third of a whole run of a tool,
// so mayfly itself doesn't import it: [Process] asks the program mayfly-cel, which is started for the first condition
// and for no workflow without one.
package condition

import "context"

// Type is the type of a variable.
type Type string

// The types of variables. Any is what an item of a for_each is, or an array or object.
const (
	String Type = "string"
	Int    Type = "int"
	Double Type = "double"
	Bool   Type = "bool"
	Any    Type = "any"
)

// MaxCost bounds an evaluation, in CEL's own units: about one for each operation, and one for ten characters of text
// that it reads or makes.
const MaxCost = 100_000

// Expression is a condition before it has values.
type Expression struct {
	// Text is the CEL. It may call success(), failure() and always().
	Text string `json:"text"`
	// Variables are the types of the names that it uses.
	Variables map[string]Type `json:"variables,omitempty"`
}

// Values are what an expression is evaluated with.
type Values struct {
	// Variables have what decoded JSON has, with numbers as json.Number, for each variable.
	Variables map[string]any `json:"variables,omitempty"`
	// Success and Failure are what the functions of those names return.
	Success bool `json:"success,omitempty"`
	Failure bool `json:"failure,omitempty"`
}

// Problem says what is wrong with an expression, or why it has no value.
type Problem struct {
	// Text says it.
	Text string `json:"text"`
	// Line and Column are where in the expression, from 1; 0 where that can't be told.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
}

func (p *Problem) Error() string { return p.Text }

// Evaluator evaluates expressions. Its methods may be called from several goroutines. A failure of the evaluator itself
// is an error, what is wrong with an expression is a *[Problem].
type Evaluator interface {
	// Check checks expressions without evaluating them; the answer has one element for each, nil where all is well.
	Check(ctx context.Context, list []Expression) ([]*Problem, error)
	// Evaluate returns the value of an expression.
	Evaluate(ctx context.Context, e Expression, v Values) (bool, *Problem, error)
	// Close frees what the evaluator holds. Nothing may be called after it.
	Close() error
}
