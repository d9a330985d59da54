package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
)

func TestTooManyLocks(t *testing.T) {
	lines := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format+"\n", i+1)
		}
		return b.String()
	}
	const mine, waits, others, flock = "%d: POSIX  ADVISORY  WRITE 42 fd:00:2531452 0 EOF", "%d: -> POSIX  ADVISORY  WRITE 43 fd:00:2531452 0 EOF", "%d: POSIX  ADVISORY  READ  7 fd:00:1 0 0", "%d: FLOCK  ADVISORY  WRITE 42 fd:00:5 0 EOF"
	for name, c := range map[string]struct {
		locks string
		want  bool
	}{
		"none":             {"", false},
		"the limit":        {lines(engine.MaxLocks, mine), false},
		"one more":         {lines(engine.MaxLocks+1, mine), true},
		"of two processes": {lines(engine.MaxLocks, mine) + lines(1, waits), true},
		"of others":        {lines(10*engine.MaxLocks, others) + lines(10, mine), false},
		"of whole files":   {lines(10*engine.MaxLocks, flock), false},
		"odd":              {lines(2*engine.MaxLocks, "%d:"), false},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "locks")
			if err := os.WriteFile(file, []byte(c.locks), 0o600); err != nil {
				t.Fatal(err)
			}
			counter := lockCounter{file: file, procs: func() ([]byte, error) { return []byte("1\n42\n43\n"), nil }}
			if got, err := counter.tooMany(); err != nil || got != c.want {
				t.Errorf("got %v, %v, want %v", got, err, c.want)
			}
			if pause := time.Until(counter.next); pause < -time.Minute || pause > mostPause {
				t.Errorf("the next count is in %v, want at most %v", pause, mostPause)
			}
		})
	}
	counter := lockCounter{file: t.TempDir(), procs: func() ([]byte, error) { return nil, nil }}
	if _, err := counter.tooMany(); err == nil {
		t.Error("a list that can't be read is not an error")
	}
	counter.next = time.Now().Add(time.Hour)
	if _, err := counter.tooMany(); err != nil {
		t.Error("it counts before the pause has ended:", err)
	}
}
