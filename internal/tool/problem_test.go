package tool

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
)

func TestProblems(t *testing.T) {
	at := Position{File: "a.yaml", Line: 2, Column: 3}
	one, two := Problem{Position: at, Text: "one"}, Problem{Position: at, Text: "two", Hint: "b"}
	wrong := &Error{Problems: []Problem{one, two}}
	for _, c := range []struct {
		name string
		err  error
		want []Problem
	}{
		{"nil", nil, nil},
		{"another", errors.New("x"), nil},
		{"a definition's", wrong, []Problem{one, two}},
		{"wrapped", fmt.Errorf("x: %w", wrong), []Problem{one, two}},
		{"a file of tests", &NotRunnableError{err: wrong}, []Problem{one, two}},
		{"joined", errors.Join(wrong, errors.New("x"), &PlacedError{at, errors.New("y")}), []Problem{one, two, {Position: at, Text: "y"}}},
		{"with its place", &PlacedError{at, errors.New("y")}, []Problem{{Position: at, Text: "y"}}},
		{"with a place of another", &PlacedError{Position{File: "b.yaml", Line: 1, Column: 1}, wrong}, []Problem{one, two}},
		{"a workflow", &WorkflowError{Position: at, Key: "workflow"}, []Problem{{Position: at, Text: `this is a workflow (it has the key "workflow"), not a tool`}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Problems(c.err); !reflect.DeepEqual(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
	if text := (&PlacedError{at, errors.New("y")}).Error(); text != "a.yaml:2:3: y" {
		t.Error(text)
	}
}
