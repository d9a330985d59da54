package definition

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/shape/shapetest"
)

// TestWorkflowSchema: the schema accepts what the loader accepts, and rejects what a schema can find.
func TestWorkflowSchema(t *testing.T) {
	s := shapetest.Compile(t, Schema())
	for _, name := range []string{"build-test-deploy", "parallel-health-checks"} {
		data, err := os.ReadFile(filepath.Join("../../tool/testdata/examples", name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(shapetest.Instance(t, string(data))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.Validate(shapetest.Instance(t, everyWorkflowKey)); err != nil {
		t.Errorf("every key: %v", err)
	}
	told := 0
	for _, name := range strings.Fields("no-tool no-name unknown-key finally-needs matrix-empty for-each-text retry tool-problem") {
		body, ok := shapetest.Cases(t, "testdata/rejected.txt")[name]
		if !ok {
			continue
		}
		told++
		text, _, _ := strings.Cut(body, "-- want\n")
		if err := s.Validate(shapetest.Instance(t, text)); err == nil {
			t.Errorf("%s: the schema accepts it, want an error", name)
		}
	}
	if told < 8 {
		t.Errorf("only %d cases were tried", told)
	}
}
