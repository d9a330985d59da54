package show

import (
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/run"
)

// TestHowToContinue has the end of a workflow name a command that goes to the same server and project.
func TestHowToContinue(t *testing.T) {
	for _, c := range []struct{ place, flags, want string }{
		{"", "", "mayfly: release failed in 4s\n  to continue: mayfly run --resume 01a2\n"},
		{
			"https://m.example.com", "--server https://m.example.com --project web",
			"mayfly: release failed in 4s on https://m.example.com\n  to continue: mayfly run --resume 01a2 --server https://m.example.com --project web\n",
		},
	} {
		var b strings.Builder
		printWorkflowEnd(&b, Workflow{Name: "release", Run: "01a2", Place: c.place, Flags: c.flags}, &run.Result{Status: run.Failed, DurationMS: 4000}, nil)
		if b.String() != c.want {
			t.Errorf("got %q, want %q", b.String(), c.want)
		}
	}
}
