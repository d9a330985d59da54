package daemon

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
)

// TestRunnerEnded has the server's log say what the server does when its runner has ended.
func TestRunnerEnded(t *testing.T) {
	for _, c := range []struct {
		err    error
		ending bool
		want   string
	}{
		{nil, false, `level=INFO msg="the runner in this process has ended; the server goes on without it"`},
		{errors.New("no space"), true, `level=ERROR msg="the runner in this process failed; the server ends" error="no space"`},
	} {
		var b strings.Builder
		drained := false
		ending := runnerEnded(c.err, func() { drained = true }, slog.New(slog.NewTextHandler(&b, nil)))
		if ending != c.ending || drained != c.ending || !strings.Contains(b.String(), c.want) {
			t.Errorf("%v: ending %v, drained %v, %s", c.err, ending, drained, b.String())
		}
	}
}
