package definition

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/shape/shapetest"
)

// FuzzWorkflow: for any text, the result is a workflow that can be resolved and planned, or problems with positions.
func FuzzWorkflow(f *testing.F) {
	for _, body := range shapetest.Cases(f, "testdata/rejected.txt") {
		text, _, _ := strings.Cut(body, "-- want\n")
		f.Add([]byte(text))
	}
	for _, name := range []string{"build-test-deploy", "parallel-health-checks"} {
		data, err := os.ReadFile(filepath.Join("../../tool/testdata/examples", name+".yaml"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		def, err := Parse("flow.yaml", data)
		if err == nil && def.Workflow != nil {
			w := def.Workflow
			w.Source.Dir = os.DevNull
			for i, list := range w.Edges() {
				for _, j := range list {
					if j == i || j >= len(w.Steps) || w.Chain && j > i {
						t.Fatalf("step %d waits for step %d", i, j)
					}
				}
			}
			for _, s := range w.All() {
				s.References(func(r Reference, _ shape.Position) {
					if again, _, wrong, _ := parseReference(r.String()); wrong != "" || again != r {
						t.Errorf("parseReference(%s) = %+v, %q, want the same reference", r, again, wrong)
					}
				})
			}
			err = w.Resolve()
		}
		var e *shape.Error
		if err != nil && (!errors.As(err, &e) || len(e.Problems) == 0 || len(e.Problems) > shape.MaxProblems) {
			t.Fatalf("got %v, want a *shape.Error with 1 to %d problems", err, shape.MaxProblems)
		}
	})
}
