package cel

import (
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"

	"github.com/mayfly-run/mayfly/internal/condition"
	"github.com/mayfly-run/mayfly/internal/lazyregexp"
)

// literal matches a number in CEL (the CEL specification, "Syntax": INT_LIT, UINT_LIT, FLOAT_LIT).
var literal = lazyregexp.New(`^-?\s*(?:0x[0-9a-fA-F]+|[0-9]*\.?[0-9]*(?:[eE][+-]?[0-9]+)?)`)

// literalAt returns the number that begins at a line and column of an expression, both from 1.
func literalAt(text string, line, column int) string {
	lines := strings.Split(text, "\n")
	if line < 1 || line > len(lines) {
		return ""
	}
	runes := []rune(lines[line-1])
	if column < 1 || column > len(runes) {
		return ""
	}
	return strings.Join(strings.Fields(literal().FindString(string(runes[column-1:]))), "")
}

// inexact returns a problem if the parser has rounded a number of the expression to another number.
func inexact(text string, tree *cel.Ast) *condition.Problem {
	native := tree.NativeRep()
	for _, e := range ast.MatchDescendants(ast.NavigateAST(native), ast.KindMatcher(ast.LiteralKind)) {
		if _, ok := e.AsLiteral().(types.Double); !ok {
			continue
		}
		at := native.SourceInfo().GetStartLocation(e.ID())
		number := literalAt(text, at.Line(), at.Column()+1)
		if number == "" {
			continue // the number comes from a macro
		}
		if _, wrong := double(number); wrong != "" {
			return &condition.Problem{Text: brief(number) + " " + wrong + "; " + asText, Line: at.Line(), Column: at.Column() + 1}
		}
	}
	return nil
}
