package api

import "time"

// LogLine is a line of what a run printed, or a part of one: a line that both streams have a part in has an entry for each part.
type LogLine struct {
	Line   int64     `json:"line" doc:"from 1; it counts the line breaks of both streams, in the order in which they came"`
	Stream string    `json:"stream" enum:"stdout,stderr"`
	Time   time.Time `json:"time" doc:"when its first byte came"`
	Text   string    `json:"text" doc:"without the line break; bytes that aren't UTF-8 are U+FFFD"`
	// More says that the line isn't complete here: another part follows, or has not come yet.
	More bool `json:"more,omitempty"`
	// Cut says that the line is longer than what is shown of it.
	Cut bool `json:"cut,omitempty"`
}

// LogPage is a window of a run's log.
type LogPage struct {
	Lines []LogLine `json:"lines"`
	Total int64     `json:"total" doc:"how many lines there are so far"`
	Over  bool      `json:"over" doc:"whether the run has ended, so that no more come"`
	// Next is the line from which a search goes on, or a window that is too large for one answer; 0 at the end.
	Next int64 `json:"next,omitempty" doc:"the line from which a search goes on, or a window that is too large for one answer; 0 at the end"`
	// Event and Skip are for a window without Next.
	Event int64 `json:"event,omitempty" doc:"of a window without next: the Last-Event-ID with which the stream of events has what follows the window"`
	Skip  int64 `json:"skip,omitempty" doc:"the output of that stream up to its line break of this number is in the window already, so leave it out"`
}
