package shape

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/textsafe"
)

// MaxProblems bounds the problems that one [Error] reports: after the first few, the rest tend to follow from them.
const MaxProblems = 20

// Position is a place in a file. Line and Column begin at 1, and Column counts characters, not bytes; both are 0 if a problem
// is with the file as a whole.
type Position struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

// String returns "file:line:column", the form that editors and terminals turn into links.
func (p Position) String() string {
	if p.Line == 0 {
		return textsafe.Replace(p.File, "")
	}
	return fmt.Sprintf("%s:%d:%d", textsafe.Replace(p.File, ""), p.Line, p.Column)
}

// Problem is one thing that is wrong with a file.
type Problem struct {
	Position
	// Text says what is wrong and quotes the offending text.
	Text string `json:"text"`
	// Hint says what to write instead; it may be empty.
	Hint string `json:"hint,omitempty"`
}

// String returns the problem on one line: "file:line:column: text; hint".
func (p Problem) String() string {
	s := p.Position.String() + ": " + p.Text
	if p.Hint != "" {
		s += "; " + p.Hint
	}
	return s
}

// Error is everything that is wrong with a file, sorted by position.
type Error struct{ Problems []Problem }

// Error returns one line per problem.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// NewError returns an error with the given problems, of which there must be at least one. It sorts them by position, and
// drops repeats and those after the first [MaxProblems]. Texts quote a file that may be hostile: each becomes one line that
// can't control a terminal.
func NewError(problems []Problem) *Error {
	for i := range problems {
		problems[i].Text, problems[i].Hint = textsafe.Replace(problems[i].Text, ""), textsafe.Replace(problems[i].Hint, "")
	}
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	problems = slices.Compact(problems)
	if len(problems) > MaxProblems {
		problems = problems[:MaxProblems]
	}
	return &Error{Problems: problems}
}

// PlacedError is an error with the position in a definition that it is about.
type PlacedError struct {
	Position
	Err error
}

// Error returns "file:line:column: error".
func (e *PlacedError) Error() string { return e.Position.String() + ": " + e.Err.Error() }

// Unwrap returns the error without its position.
func (e *PlacedError) Unwrap() error { return e.Err }

// Problems returns the problems in definitions that an error is about: the position and the text of each. It returns none for
// any other error.
func Problems(err error) []Problem {
	switch e := err.(type) { //nolint:errorlint // it unwraps step by step
	case *Error:
		return e.Problems
	case interface{ Problem() Problem }:
		return []Problem{e.Problem()}
	case *PlacedError:
		if inner := Problems(e.Err); len(inner) > 0 {
			return inner
		}
		return []Problem{{Position: e.Position, Text: e.Err.Error()}}
	case interface{ Unwrap() []error }:
		var all []Problem
		for _, one := range e.Unwrap() {
			all = append(all, Problems(one)...)
		}
		return all
	case interface{ Unwrap() error }:
		return Problems(e.Unwrap())
	}
	return nil
}
