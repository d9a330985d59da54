package definition

import (
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/tool"
)

func TestProblems(t *testing.T) {
	at := shape.Position{File: "a.yaml", Line: 2, Column: 3}
	one, two := shape.Problem{Position: at, Text: "one"}, shape.Problem{Position: at, Text: "two", Hint: "b"}
	wrong := &shape.Error{Problems: []shape.Problem{one, two}}
	for _, c := range []struct {
		name string
		err  error
		want []shape.Problem
	}{
		{"nil", nil, nil},
		{"another error", errors.New("x"), nil},
		{"a definition's", wrong, []shape.Problem{one, two}},
		{"wrapped", fmt.Errorf("x: %w", wrong), []shape.Problem{one, two}},
		{"a file of tests", &NotRunnableError{err: wrong}, []shape.Problem{one, two}},
		{"joined", errors.Join(wrong, errors.New("x"), &shape.PlacedError{Position: at, Err: errors.New("y")}), []shape.Problem{one, two, {Position: at, Text: "y"}}},
		{"with its position", &shape.PlacedError{Position: at, Err: errors.New("y")}, []shape.Problem{{Position: at, Text: "y"}}},
		{"with a position in another file", &shape.PlacedError{Position: shape.Position{File: "b.yaml", Line: 1, Column: 1}, Err: wrong}, []shape.Problem{one, two}},
		{"a workflow", &tool.WorkflowError{Position: at, Key: "workflow"}, []shape.Problem{{Position: at, Text: `this is a workflow (it has the key "workflow"), not a tool`}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := shape.Problems(c.err); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
	if text := (&shape.PlacedError{Position: at, Err: errors.New("y")}).Error(); text != "a.yaml:2:3: y" {
		t.Error(text)
	}
}
