package show

import (
	"bytes"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/run"
)

// TestToolSummary checks the last line of a run on a terminal: it names the server, and only one on this machine has none.
func TestToolSummary(t *testing.T) {
	for place, end := range map[string]string{"https://mayfly.example.com": "  on https://mayfly.example.com", "": "network ↓0B ↑0B"} {
		var out bytes.Buffer
		v := NewTool(Output{Out: Stream{Writer: &out}, Err: Stream{Writer: &out, Terminal: true}}, ToolOptions{Place: place, Quiet: true})
		v.end(&run.Result{Status: run.Succeeded, DurationMS: 1500})
		if line := strings.TrimSuffix(out.String(), "\n"); !strings.HasSuffix(line, end) || !strings.Contains(line, "succeeded in 1.5s") {
			t.Errorf("on %q: %q, want %q at its end", place, line, end)
		}
	}
}
