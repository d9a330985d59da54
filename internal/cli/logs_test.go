package cli

import (
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/run"
)

// TestWithout leaves out output up to a line break, and nothing else.
func TestWithout(t *testing.T) {
	for _, c := range []struct {
		breaks int64
		want   string
	}{{0, "a\n|b|c\nd\n|e"}, {1, "b|c\nd\n|e"}, {2, "d\n|e"}, {3, "e"}, {4, ""}} {
		var got []string
		states := 0
		emit := without(c.breaks, func(e run.Event) {
			if e.State != nil {
				states++
				return
			}
			got = append(got, string(e.Log.Bytes()))
		})
		emit(run.Event{State: &run.StateChange{State: run.Running}})
		for _, text := range []string{"a\n", "b", "c\nd\n", "e"} {
			emit(run.Event{Log: &run.Log{Stream: "stdout", Data: text}})
		}
		if text := strings.Join(got, "|"); text != c.want || states != 1 {
			t.Errorf("without %d: %q, and %d states; want %q", c.breaks, text, states, c.want)
		}
	}
}
