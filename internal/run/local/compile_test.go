package local

import (
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
)

func TestStopSignal(t *testing.T) {
	for s, want := range map[string]engine.Signal{
		"SIGTERM": 15, "TERM": 15, "sigquit": 3, "3": 3, "SIGALRM": 14, "SIGCONT": 18, "SIGPWR": 30, "SIGSYS": 31, "HUP": 1,
		"SIGRTMIN": 34, "SIGRTMIN+3": 37, "rtmin+30": 64, "SIGRTMAX": 64, "SIGRTMAX-1": 63, "64": 64,
		"": 0, "SIG": 0, "0": 0, "65": 0, "-1": 0, "SIGNONE": 0, "SIGRTMIN-1": 0, "SIGRTMAX+1": 0, "SIGRTMIN+x": 0,
	} {
		if got := stopSignal(s); got != want {
			t.Errorf("%q: %d, want %d", s, got, want)
		}
	}
}
