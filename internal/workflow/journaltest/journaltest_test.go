package journaltest

import (
	"path/filepath"
	"testing"

	"github.com/mayfly-run/mayfly/internal/workflow"
)

func TestFiles(t *testing.T) {
	Run(t, func(_ *testing.T, place string) workflow.Journals {
		return workflow.Runs{Dir: filepath.Join(place, "runs")}
	})
}
