package server

import (
	"maps"
	"slices"
	"testing"

	"github.com/danielgtaylor/huma/v2"
)

// TestDescribesProblems checks that the description has our problems for each operation, and none of package huma's.
func TestDescribesProblems(t *testing.T) {
	r := newRig(t)
	all := r.api.OpenAPI().Components.Schemas
	want := []string{"code", "detail", "errors", "remedy", "status", "title", "type"}
	if got := slices.Sorted(maps.Keys(all.Map()["Problem"].Properties)); !slices.Equal(got, want) {
		t.Errorf("a problem has %v, want %v", got, want)
	}
	r.each("own", func(op *huma.Operation, _, _ string) {
		answer := op.Responses["default"]
		if answer == nil || len(answer.Content) != 1 || answer.Content[problemType] == nil || answer.Content[problemType].Schema.Ref != "#/components/schemas/Problem" {
			t.Errorf("%s describes its problems as %+v", op.OperationID, answer)
		}
	})
	if all.Map()["ErrorModel"] != nil || all.Map()["ErrorDetail"] != nil {
		t.Error("the description has problems of package huma")
	}
}
