package cel_test

import (
	"testing"

	"github.com/mayfly-run/mayfly/internal/condition"
	"github.com/mayfly-run/mayfly/internal/condition/cel"
	"github.com/mayfly-run/mayfly/internal/condition/conditiontest"
)

func TestEvaluator(t *testing.T) {
	conditiontest.Test(t, func(*testing.T) condition.Evaluator { return &cel.Evaluator{} })
}
