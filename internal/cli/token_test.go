package cli

import (
	"testing"
	"time"
)

func TestLifetime(t *testing.T) {
	for text, want := range map[string]time.Duration{"": 0, "1s": time.Second, "2160h": 2160 * time.Hour, "90d": 2160 * time.Hour} {
		if got, err := lifetime(text); got != want || err != nil {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"500ms": "--expires must be at least 1s",
		"0":     "--expires must be at least 1s",
		"0d":    "--expires must be at least 1s",
		"-1h":   "--expires must be at least 1s",
		"90":    `--expires "90" is not a duration; write it as 12h or 90d`,
		"soon":  `--expires "soon" is not a duration; write it as 12h or 90d`,
	} {
		if got, err := lifetime(text); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, %v, want %s", text, got, err, want)
		}
	}
}
