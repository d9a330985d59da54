package server

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// The lines of a log are counted by the line breaks of both streams, in the order in which they came. So the number of a line
// never changes, each chunk knows its first one, and a window is read from the chunks that have a part of it, however long the
// log is.

const (
	// maxShown is how much of a line is shown, in bytes.
	maxShown = 16 << 10
	// mostLines is how many lines are found at once.
	mostLines = 1000
	// usualAtOnce is about how many bytes of events one request reads.
	usualAtOnce = 64 << 20
	// mostParts is how many lines, or parts of lines, a window has, except for the parts of its last line.
	mostParts = 10_000
)

func (s *Server) registerLogs() {
	huma.Register(s.api, operation("get-log", http.MethodGet, "/projects/{project}/runs/{run}/log", RoleViewer,
		"Get a window of a run's log, or the lines that have a text"), s.getLog)
}

// logQuery asks for a part of a log.
type logQuery struct {
	InProject
	RunID
	Line  int64  `query:"line" default:"1" doc:"the first line; -N is the Nth from the end"`
	Lines int64  `query:"lines" default:"500" minimum:"1" maximum:"5000" doc:"how many lines"`
	Find  string `query:"find" maxLength:"1000" doc:"only lines that have this text, from line to the end; upper and lower case are the same"`
}

func (s *Server) getLog(ctx context.Context, in *logQuery) (*body[api.LogPage], error) {
	what := "run " + in.Run
	r, err := s.store.Run(ctx, in.Project, in.Run)
	if err != nil {
		return nil, s.explain(err, what)
	}
	if !r.LogRemoved.IsZero() {
		return nil, logRemoved(r)
	}
	out := &body[api.LogPage]{Body: api.LogPage{Lines: []api.LogLine{}, Total: r.Lines, Over: r.Over}}
	if in.Line < 0 {
		in.Line += r.Lines + 1
	}
	in.Line = max(1, in.Line)
	if in.Find != "" {
		err = s.find(ctx, in.Run, in.Line, in.Find, &out.Body)
	} else {
		out.Body.Event = r.Events // if no line is there
		if r.Over {
			out.Body.Event-- // the result is still to come
		}
		err = s.window(ctx, in.Run, in.Line, in.Line+in.Lines-1, &out.Body)
	}
	if err != nil {
		return nil, s.explain(err, what)
	}
	return out, nil
}

// window adds the lines from first to last.
func (s *Server) window(ctx context.Context, id string, first, last int64, page *api.LogPage) error {
	full := int64(0)
	next, end, err := s.eachLine(ctx, id, first, last, func(l api.LogLine) bool {
		if n := len(page.Lines); n >= mostParts && page.Lines[n-1].Line < l.Line {
			full = l.Line
			return false
		}
		page.Lines = append(page.Lines, l)
		return len(page.Lines) < 2*mostParts
	})
	if full > 0 {
		next = full
	}
	if next <= last {
		page.Next = next
	}
	if err == nil && end != nil {
		page.Event, page.Skip, err = s.live.codec.after(*end, last)
	}
	if page.Next > 0 {
		page.Event, page.Skip = 0, 0
	}
	return err
}

// find adds the lines that have a text, from first on.
func (s *Server) find(ctx context.Context, id string, first int64, text string, page *api.LogPage) error {
	text = strings.ToLower(text)
	next, _, err := s.eachLine(ctx, id, first, 1<<62, func(l api.LogLine) bool {
		if strings.Contains(strings.ToLower(l.Text), text) {
			page.Lines = append(page.Lines, l)
		}
		return len(page.Lines) < mostLines
	})
	page.Next = next
	return err
}

// eachLine calls take with the lines from first to last, or their parts, until it returns false. It reads about s.readAtOnce bytes,
// and returns the line from which it goes on, or 0 at the end; and the chunk where the last line ends, or the last one that it has read.
func (s *Server) eachLine(ctx context.Context, id string, first, last int64, take func(api.LogLine) bool) (next int64, at *store.Chunk, err error) {
	chunks, err := s.chunksOfLines(ctx, id, first, last, s.readAtOnce)
	if err != nil || len(chunks) == 0 {
		return 0, nil, err
	}
	at = &chunks[len(chunks)-1]
	if i := slices.IndexFunc(chunks, func(c store.Chunk) bool { return c.FirstLine+c.Lines > last }); i >= 0 {
		at = &chunks[i]
	}
	// A line's parts are put together here too, so that answers don't depend on where chunks end. So the last one waits.
	var waiting *api.LogLine
	for _, c := range chunks {
		lines, err := s.live.codec.lines(c)
		if err != nil {
			return 0, nil, &store.DamagedError{Run: id, First: c.First, Last: c.Last, Where: "the database or the archive", Err: err}
		}
		for _, l := range lines {
			switch {
			case l.Line < first || l.Line > last:
				continue
			case waiting != nil && waiting.Line == l.Line && waiting.Stream == l.Stream:
				*waiting = joined(*waiting, l)
				continue
			case waiting != nil && !take(*waiting):
				return waiting.Line + 1, at, nil
			}
			waiting = &l
		}
	}
	end := chunks[len(chunks)-1]
	next = end.FirstLine + end.Lines
	if !end.LastOfRun && next > first && waiting != nil && waiting.Line == next {
		return next, at, nil // its other parts are in what is read next
	}
	if waiting != nil && !take(*waiting) {
		return waiting.Line + 1, at, nil
	}
	if end.LastOfRun {
		return 0, at, nil
	}
	return max(next, first+1), at, nil // a line that is longer than what is read at once isn't read again
}

// joined is a line of which a chunk has one part and the next chunk another.
func joined(l, more api.LogLine) api.LogLine {
	if room := maxShown - len(l.Text); len(more.Text) > room {
		more.Text, more.Cut = strings.ToValidUTF8(more.Text[:max(0, room)], "\uFFFD"), true
	}
	l.Text, l.More, l.Cut = l.Text+more.Text, more.More, l.Cut || more.Cut
	return l
}

// after returns where a stream goes on after a line: after which event, and after how many of the line breaks that come then. The chunk is the one
// in which the line ends; otherwise its end is still to come, and the stream goes on after all output of the chunk.
func (c *codec) after(chunk store.Chunk, last int64) (event, skip int64, err error) {
	line := chunk.FirstLine
	event = chunk.First - 1
	err = c.eachLog(chunk, func(number int64, e *run.Event) bool {
		text := e.Log.Bytes()
		breaks := int64(bytes.Count(text, []byte("\n")))
		if more := last + 1 - line; breaks >= more {
			if event, skip = number-1, more; breaks == more && bytes.HasSuffix(text, []byte("\n")) {
				event, skip = number, 0
			}
			return false
		}
		event, line = number, line+breaks
		return true
	})
	return event, skip, err
}

// eachLog calls take with the events of a chunk that are output, and their numbers, until it returns false.
func (c *codec) eachLog(chunk store.Chunk, take func(number int64, e *run.Event) bool) error {
	events, err := c.decode(chunk, chunk.First-1)
	if err != nil {
		return err
	}
	for i, text := range events {
		e, err := ofType(run.TypeLog, text)
		if err != nil {
			return err
		}
		if e != nil && e.Log != nil && !take(chunk.First+int64(i), e) {
			return nil
		}
	}
	return nil
}

// lines returns the lines of a chunk, and the parts of lines at its ends.
func (c *codec) lines(chunk store.Chunk) ([]api.LogLine, error) {
	var all []api.LogLine
	line := chunk.FirstLine
	err := c.eachLog(chunk, func(_ int64, e *run.Event) bool {
		for part := range bytes.Lines(e.Log.Bytes()) {
			rest, whole := bytes.CutSuffix(part, []byte("\n"))
			joined := !whole
			if n := len(all); n > 0 && all[n-1].Line == line && all[n-1].Stream == e.Log.Stream {
				all[n-1] = appended(all[n-1], rest, joined)
			} else {
				all = append(all, appended(api.LogLine{Line: line, Stream: e.Log.Stream, Time: e.Time}, rest, joined))
			}
			if whole {
				line++
			}
		}
		return true
	})
	return all, err
}

// appended adds text to a line, as much of it as is shown.
func appended(l api.LogLine, text []byte, more bool) api.LogLine {
	l.More = more
	if room := maxShown - len(l.Text); len(text) > room {
		text, l.Cut = text[:max(0, room)], true
	}
	l.Text += strings.ToValidUTF8(string(text), "\uFFFD")
	return l
}
