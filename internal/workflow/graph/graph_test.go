package graph

import (
	"os"
	"testing"

	"github.com/mayfly-run/mayfly/internal/workflow"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// TestDrawings: stages and arrows of a workflow with everything that has a place in a drawing: an output that a step needs, an
// edge that others imply, a condition with characters to escape, for_each, finally.
func TestDrawings(t *testing.T) {
	def, err := definition.Load("testdata/release.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := def.Workflow.Resolve(); err != nil {
		t.Fatal(err)
	}
	plan := workflow.NewPlan(def.Workflow, nil)
	for file, draw := range map[string]func(*workflow.Plan) string{"release.txt": Text, "release.mmd": Mermaid, "release.dot": DOT} {
		want, err := os.ReadFile("testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		if got := draw(plan); got != string(want) {
			t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
		}
	}
}
