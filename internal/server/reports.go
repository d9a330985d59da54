package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"regexp"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/content"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// received is what a runner reports: with its events, or with their lines.
type received struct {
	api.Report
	lines lines
	state run.State // the last one that isn't an end; "" if it has none
	ended bool      // a result has come
}

func (s *Server) reports(ctx context.Context, in *RunnerName) (*huma.StreamResponse, error) {
	pool := who(ctx).Pool
	return s.answer(func(ctx context.Context, r *http.Request, w http.ResponseWriter) (any, error) {
		leave, err := s.coming.of(pool).enter(ctx, r.ContentLength, s.deadlines.place)
		if err != nil {
			return nil, err
		}
		defer leave()
		data, err := s.readBody(r, w, maxReport)
		if err != nil {
			return nil, err
		}
		if leave, err = s.large.enter(ctx, int64(len(data)), s.deadlines.place); err != nil {
			return nil, err
		}
		defer leave()
		read := readReport
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil && kind == api.ReportLines {
			read = readLines
		}
		one, err := read(data)
		if err != nil {
			return nil, err
		}
		return s.report(ctx, holder(pool, in.Name, in.Instance), one)
	}, "the attempt"), nil
}

// readReport reads a report with events.
func readReport(data []byte) (*received, error) {
	in := struct {
		*api.Report
		Events []json.RawMessage `json:"events"` // they are counted before they are read
	}{Report: &api.Report{}}
	if err := json.Unmarshal(data, &in); err != nil {
		return nil, badReport(err)
	}
	if err := wrongCount(len(in.Events)); err != nil {
		return nil, err
	}
	in.Report.Events = make([]run.Event, len(in.Events))
	for i, text := range in.Events {
		if err := json.Unmarshal(text, &in.Report.Events[i]); err != nil {
			return nil, badReport(err)
		}
	}
	return reportOf(in.Report)
}

// reportOf returns a report with the lines of its events. They are made before the transaction, which others wait for, with the numbers
// that they have in a first attempt.
func reportOf(r *api.Report) (*received, error) {
	if err := wrongCount(len(r.Events)); err != nil {
		return nil, err
	}
	one := &received{Report: *r}
	for _, e := range r.Events {
		if err := one.addEvent(e); err != nil {
			return nil, err
		}
	}
	return one, nil
}

// readLines reads a report whose events are lines, after the line with everything else. What runners print is most of what they report, so
// lines of output are kept as they are, if they are what a server would write. All others are read, and written again.
func readLines(data []byte) (*received, error) {
	head, text, _ := bytes.Cut(data, []byte("\n"))
	one := &received{}
	if err := json.Unmarshal(head, &one.Report); err != nil {
		return nil, badReport(err)
	}
	one.Events = nil
	if err := wrongCount(bytes.Count(bytes.TrimSuffix(text, []byte("\n")), []byte("\n")) + 1); err != nil {
		return nil, err
	}
	one.lines.text = make([]byte, 0, len(text))
	for line := range bytes.Lines(text) {
		if err := one.addLine(bytes.TrimSuffix(line, []byte("\n"))); err != nil {
			return nil, err
		}
	}
	return one, nil
}

// wrongReport refuses what no runner of this version sends.
func wrongReport(text string) error {
	return problem(http.StatusUnprocessableEntity, run.CodeInvalidRequest, text, "update the runner")
}

func badReport(err error) error { return wrongReport(fmt.Sprintf("read the request: %v", err)) }

// maxEvent bounds an event, in bytes, except a result: its outputs have a bound of their own.
const maxEvent = 1 << 20

// addLine adds the next event.
func (r *received) addLine(line []byte) error {
	seq := r.First + int64(len(r.lines.ends))
	if breaks, ok := run.LogLine(line, r.Run, seq); ok && !r.ended {
		r.lines.add(line, breaks)
		return r.within(maxEvent)
	}
	var e run.Event
	if err := json.Unmarshal(line, &e); err != nil {
		return badReport(err)
	}
	return r.addEvent(e)
}

// addEvent adds the next event.
func (r *received) addEvent(e run.Event) error {
	if err := r.take(&e); err != nil {
		return err
	}
	if err := r.lines.addEvent(e, r.Run, r.First+int64(len(r.lines.ends))); err != nil {
		return badReport(err)
	}
	if e.Result != nil {
		return r.within(maxReport)
	}
	return r.within(maxEvent)
}

// within refuses a report whose last event is longer than most, or whose lines are too many: what was sent may be shorter than they are.
// What the store makes of the lines, with the number of an attempt before and the name of a step, isn't refused any more: they would come again.
func (r *received) within(most int) error {
	n := len(r.lines.ends)
	size, begin := len(r.lines.text), 0
	if n > 1 {
		begin = r.lines.ends[n-2]
	}
	last, seq := size-begin-len("\n"), r.First+int64(n-1)
	switch {
	case last > most:
		return wrongReport(fmt.Sprintf("event %d of run %s has %d bytes; the most is %d", seq, r.Run, last, most))
	case size > maxReport:
		return wrongReport(fmt.Sprintf("the events up to %d of run %s have %d bytes; the most is %d", seq, r.Run, size, maxReport))
	}
	return nil
}

// events returns the events of the report. They are read from its lines when they are first needed.
func (r *received) events() ([]run.Event, error) {
	if len(r.lines.ends) == 0 || len(r.Events) > 0 {
		return r.Events, nil
	}
	r.Events = make([]run.Event, len(r.lines.ends))
	i := 0
	for line := range bytes.Lines(r.lines.text) {
		if err := json.Unmarshal(line, &r.Events[i]); err != nil {
			return nil, err
		}
		i++
	}
	return r.Events, nil
}

// typeOfEvent is what the type of an event may look like: it is part of a stream's lines.
var typeOfEvent = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)

// underWay are the states of a run before its result, which says what comes after them.
var underWay = []run.State{run.Pulling, run.Creating, run.Running}

// take checks an event, and remembers its state.
func (r *received) take(e *run.Event) error {
	switch {
	case r.ended:
		return wrongReport("an event comes after the result")
	case e.Result != nil:
		r.ended = true
	case e.Other != nil && !typeOfEvent.MatchString(e.Other.Type):
		return wrongReport(fmt.Sprintf("%q is not a type of events", e.Other.Type))
	case e.State != nil && slices.Contains(underWay, e.State.State):
		r.state = e.State.State
	}
	return nil
}

// mostEvents bounds a report. A runner sends half as many.
const mostEvents = 10_000

func wrongCount(events int) error {
	if events <= mostEvents {
		return nil
	}
	return wrongReport(fmt.Sprintf("a report has %d events; the most is %d", events, mostEvents))
}

// check says what is wrong with the result of a report. A workflow whose step has no end can't go on, whoever asks for its end.
func (r *received) check() error {
	if r.Result == nil {
		return nil
	}
	if !slices.Contains(run.Ends(), r.Result.Status) {
		return wrongReport(fmt.Sprintf("a run can't end as %q", r.Result.Status))
	}
	for name, digest := range r.Result.Artifacts {
		if wrong, _ := tool.CheckFileName(name); wrong != "" {
			return wrongReport(fmt.Sprintf("the name of an artifact, %q, %s", name, wrong))
		}
		if _, err := content.Digits(digest); err != nil {
			return wrongReport(fmt.Sprintf("the digest of the artifact %s is not sha256:HEX", name))
		}
	}
	return nil
}

// Report adds what a runner of this process reports to its run.
func (s *Server) Report(ctx context.Context, runner string, r *api.Report) (*api.Receipt, error) {
	one, err := reportOf(r)
	if err != nil {
		return nil, err
	}
	return s.report(ctx, runner, one)
}

// report adds what a runner reports to its run.
func (s *Server) report(ctx context.Context, runner string, r *received) (*api.Receipt, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	if err := s.checkArtifacts(ctx, runner, r.Result); err != nil {
		return nil, err
	}
	s.pool.heard(runner)
	if r.Attempt > 1 || s.pool.maybeStep(runner, store.Hold{Run: r.Run, Attempt: r.Attempt}) {
		if _, err := r.events(); err != nil { // not in the transaction
			return nil, badReport(err)
		}
	}
	size, workflow := reported{run: r.Run, ended: r.Result != nil}, reported{}
	var guess store.Chunk // of a first attempt, whose events have the numbers that they have in the run
	if r.Attempt == 1 {
		guess = s.live.codec.chunk(r.lines, r.First)
	}
	row := store.Report{
		Hold: store.Hold{Run: r.Run, Attempt: r.Attempt}, Runner: runner, Lease: s.lease, First: r.First, Count: int64(len(r.lines.ends)),
		EncodeFor: func(p store.Parent, before int64) (store.Chunk, error) {
			events, err := r.events()
			if err != nil {
				return store.Chunk{}, err
			}
			chunk, err := s.live.codec.encodeFor(p, events, before)
			workflow = reported{run: p.Run, chunk: chunk}
			return chunk, err
		},
		Encode: func(before int64) (store.Chunk, error) {
			chunk := guess
			if r.Attempt != 1 || before != r.First-1 {
				events, err := r.events()
				if err != nil {
					return store.Chunk{}, err
				}
				if chunk, err = s.live.codec.encode(r.Run, events, before); err != nil {
					return store.Chunk{}, err
				}
			}
			size.chunk = chunk
			return chunk, nil
		},
	}
	if r.Result == nil {
		row.State = r.state
	} else {
		ended, err := endedBy(r.Result)
		if err != nil {
			return nil, err
		}
		row.Ended = &ended
	}
	last, err := s.store.Report(ctx, row)
	switch {
	case errors.Is(err, store.ErrGap):
		return &api.Receipt{Last: last}, nil // the runner sends what is missing
	case errors.Is(err, store.ErrNotHeld):
		s.pool.ended(runner, row.Hold)
		return nil, err
	case err != nil:
		return nil, err
	}
	if r.Result != nil && s.pool.ended(runner, row.Hold) {
		s.flows.poke()
	}
	s.compactor.reported(size)
	s.live.wake(r.Run)
	if workflow.run != "" {
		s.compactor.reported(workflow)
		s.live.wake(workflow.run)
	}
	return &api.Receipt{Last: last, Ended: r.Result != nil}, nil
}
