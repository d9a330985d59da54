// Package cel evaluates conditions with the CEL project's library.
package cel

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/ext"

	"github.com/mayfly-run/mayfly/internal/condition"
)

// Evaluator is a [condition.Evaluator]. The zero value is ready to use.
type Evaluator struct {
	mu           sync.Mutex
	environments map[string]*cel.Env // by the types of their variables
}

var _ condition.Evaluator = (*Evaluator)(nil)

// The variables that replace success() and failure().
const (
	successVariable = "_success"
	failureVariable = "_failure"
)

// The limits of the parser, in addition to that of the evaluation, since an expression may be hostile.
const (
	maxDepth = 64
	maxSize  = 8192 // code points
)

// newEnvironment returns an environment that declares the variables of an expression.
func newEnvironment(e condition.Expression) (*cel.Env, error) {
	identifier := func(name string) cel.Macro {
		return cel.GlobalMacro(strings.TrimPrefix(name, "_"), 0, func(f cel.MacroExprFactory, _ ast.Expr, _ []ast.Expr) (ast.Expr, *cel.Error) {
			return f.NewIdent(name), nil
		})
	}
	always := cel.GlobalMacro("always", 0, func(f cel.MacroExprFactory, _ ast.Expr, _ []ast.Expr) (ast.Expr, *cel.Error) {
		return f.NewLiteral(types.True), nil
	})
	options := []cel.EnvOption{
		cel.Macros(identifier(successVariable), identifier(failureVariable), always),
		cel.Variable(successVariable, cel.BoolType), cel.Variable(failureVariable, cel.BoolType),
		cel.ParserRecursionLimit(maxDepth), cel.ParserExpressionSizeLimit(maxSize),
		ext.Strings(),
	}
	for _, name := range slices.Sorted(maps.Keys(e.Variables)) {
		t, err := typeOf(e.Variables[name])
		if err != nil {
			return nil, fmt.Errorf("variable %s: %w", name, err)
		}
		options = append(options, cel.Variable(name, t))
	}
	return cel.NewEnv(options...)
}

func typeOf(t condition.Type) (*cel.Type, error) {
	switch t {
	case condition.String:
		return cel.StringType, nil
	case condition.Int:
		return cel.IntType, nil
	case condition.Double:
		return cel.DoubleType, nil
	case condition.Bool:
		return cel.BoolType, nil
	case condition.Any:
		return cel.DynType, nil
	}
	return nil, fmt.Errorf("%q is not a type", t)
}

// maxEnvironments is how many environments are cached. The conditions of a workflow usually share a few.
const maxEnvironments = 64

// environment returns the environment of an expression. It caches environments, since making one takes longer than compiling.
func (e *Evaluator) environment(x condition.Expression) (*cel.Env, error) {
	var key strings.Builder
	for _, name := range slices.Sorted(maps.Keys(x.Variables)) {
		fmt.Fprintf(&key, "%s %s\n", name, x.Variables[name])
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if env := e.environments[key.String()]; env != nil {
		return env, nil
	}
	env, err := newEnvironment(x)
	if err != nil {
		return nil, err
	}
	if e.environments == nil || len(e.environments) >= maxEnvironments {
		e.environments = map[string]*cel.Env{}
	}
	e.environments[key.String()] = env
	return env, nil
}

func (e *Evaluator) compile(x condition.Expression) (*cel.Env, *cel.Ast, *condition.Problem, error) {
	env, err := e.environment(x)
	if err != nil {
		return nil, nil, nil, err
	}
	tree, issues := env.CompileSource(common.NewTextSource(x.Text))
	if err := issues.Err(); err != nil {
		return nil, nil, problem(x.Text, issues), nil
	}
	if p := inexact(x.Text, tree); p != nil {
		return nil, nil, p, nil
	}
	if t := tree.OutputType(); !t.IsExactType(cel.BoolType) && !t.IsExactType(cel.DynType) {
		return nil, nil, &condition.Problem{Text: fmt.Sprintf("a condition must be true or false, not of type %s", t)}, nil
	}
	return env, tree, nil, nil
}

// problem returns the first issue of the parser or checker.
func problem(text string, issues *cel.Issues) *condition.Problem {
	list := issues.Errors()
	if len(list) == 0 {
		return &condition.Problem{Text: issues.Err().Error()}
	}
	first := list[0]
	p := &condition.Problem{Line: first.Location.Line(), Column: first.Location.Column() + 1}
	said := strings.TrimSpace(strings.TrimPrefix(first.Message, "Syntax error: "))
	if number := literalAt(text, p.Line, p.Column); invalidNumber().MatchString(said) && number != "" {
		p.Text = brief(number) + " " + tooLarge + "; " + asText
		return p
	}
	p.Text = said + advice(said)
	return p
}

// Check implements [condition.Evaluator].
func (e *Evaluator) Check(ctx context.Context, list []condition.Expression) ([]*condition.Problem, error) {
	out := make([]*condition.Problem, len(list))
	for i, x := range list {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		_, _, p, err := e.compile(x)
		if err != nil {
			return nil, err
		}
		out[i] = p
	}
	return out, nil
}

// Evaluate implements [condition.Evaluator].
func (e *Evaluator) Evaluate(ctx context.Context, x condition.Expression, v condition.Values) (bool, *condition.Problem, error) {
	env, tree, p, err := e.compile(x)
	if p != nil || err != nil {
		return false, p, err
	}
	program, err := env.Program(tree, cel.CostLimit(condition.MaxCost), cel.InterruptCheckFrequency(100))
	if err != nil {
		return false, &condition.Problem{Text: err.Error()}, nil
	}
	values := map[string]any{successVariable: v.Success, failureVariable: v.Failure}
	for name, value := range v.Variables {
		if values[name], err = native(value, x.Variables[name]); err != nil {
			return false, &condition.Problem{Text: err.Error()}, nil
		}
	}
	out, _, err := program.ContextEval(ctx, values)
	if err != nil {
		if ctx.Err() != nil {
			return false, nil, ctx.Err()
		}
		return false, &condition.Problem{Text: reason(err)}, nil
	}
	yes, ok := out.Value().(bool)
	if !ok {
		return false, &condition.Problem{Text: fmt.Sprintf("a condition must be true or false, not of type %s", out.Type().TypeName())}, nil
	}
	return yes, nil, nil
}

func reason(err error) string {
	if strings.Contains(err.Error(), "actual cost limit exceeded") {
		return fmt.Sprintf("it costs more than %d operations to evaluate", condition.MaxCost)
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// Close implements [condition.Evaluator].
func (*Evaluator) Close() error { return nil }
