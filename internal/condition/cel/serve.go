package cel

import (
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/mayfly-run/mayfly/internal/condition"
)

// Serve reads requests from in, one line of JSON each, and writes an answer for each to out, until the end of in.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	e := &Evaluator{}
	dec, enc := json.NewDecoder(in), json.NewEncoder(out)
	dec.UseNumber()
	for {
		var req condition.Request
		if err := dec.Decode(&req); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := enc.Encode(answer(ctx, e, &req)); err != nil {
			return err
		}
	}
}

func answer(ctx context.Context, e condition.Evaluator, req *condition.Request) condition.Answer {
	var a condition.Answer
	var err error
	switch {
	case req.Evaluate != nil:
		var problem *condition.Problem
		a.Value, problem, err = e.Evaluate(ctx, req.Evaluate.Expression, req.Evaluate.Values)
		a.Problems = []*condition.Problem{problem}
	default:
		a.Problems, err = e.Check(ctx, req.Check)
	}
	if err != nil {
		a.Error = err.Error()
	}
	return a
}
