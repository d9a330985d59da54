package cli

import (
	"testing"
	"time"
)

func TestTimeSince(t *testing.T) {
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.Local)
	for text, want := range map[string]time.Time{
		"2026-01-31":           time.Date(2026, 1, 31, 0, 0, 0, 0, time.Local),
		"2026-01-31T12:00:00Z": time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC),
		"24h":                  now.Add(-24 * time.Hour),
		"7d":                   time.Date(2026, 3, 3, 12, 0, 0, 0, time.Local),
	} {
		if got, err := timeSince(text, now); err != nil || !got.Equal(want) {
			t.Errorf("timeSince(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "d", "-1d", "-1h", "1.5d", "70000d", "yesterday", "2026-13-01"} {
		if got, err := timeSince(text, now); err == nil {
			t.Errorf("timeSince(%q) = %v, want an error", text, got)
		}
	}
}
