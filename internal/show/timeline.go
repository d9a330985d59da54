package show

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mayfly-run/mayfly/internal/run"
)

const (
	timelineBar   = 40 // columns of the bars
	timelineSteps = 60 // steps that are drawn; the rest are only counted
	timelineName  = 30
)

// printTimeline draws when each step ran.
//
//	build-app   ██████████                       1.2s  succeeded
//	run-tests             ███████████████████    2.3s  failed
//	deploy-app                                         skipped
func printTimeline(w Stream, result *run.Result) {
	begin, end := result.Timeline.Started, result.Timeline.Finished
	whole := max(end.Sub(begin), time.Millisecond)
	name := 0
	shown := result.Steps[:min(len(result.Steps), timelineSteps)]
	for _, s := range shown {
		name = max(name, min(utf8.RuneCountInString(s.Step), timelineName))
	}
	for _, s := range shown {
		from, to := 0, 0
		length := ""
		if !s.Started.IsZero() && s.Finished.After(s.Started) {
			from = int(timelineBar * s.Started.Sub(begin) / whole)
			to = max(from+1, int((timelineBar*s.Finished.Sub(begin)+whole-1)/whole))
			length = durationText(s.Finished.Sub(s.Started))
		}
		from, to = min(max(0, from), timelineBar-1), min(to, timelineBar) // its clock may have been set meanwhile
		bar := strings.Repeat(" ", from) + strings.Repeat("█", max(0, to-from))
		fmt.Fprintf(w, "  %-*s  %s%s  %7s  %s\n", name, cut(s.Step, timelineName), w.paintState(s.Status, bar),
			strings.Repeat(" ", timelineBar-utf8.RuneCountInString(bar)), length, statusText(s))
	}
	if more := len(result.Steps) - len(shown); more > 0 {
		fmt.Fprintf(w, "  … and %d more steps\n", more)
	}
}

func statusText(s run.StepResult) string {
	text := string(s.Status)
	if s.Items > 0 {
		text += fmt.Sprintf(" (%d items)", s.Items)
	}
	if s.Resumed {
		text += " before"
	}
	return text
}

// paintState colours text by a state.
func (s Stream) paintState(state run.State, text string) string {
	code := "31" // red: it failed
	switch state {
	case run.Succeeded:
		code = "32"
	case "", run.Skipped, run.Queued:
		code = "90"
	case run.Pulling, run.Creating, run.Running:
		code = "36"
	}
	return s.paint(code, text)
}
