package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// A chunk's data is one line of JSON for each event, as mayfly run --json prints it, compressed with zstd.

// codec is safe for concurrent use in the ways that it is used here (EncodeAll, DecodeAll).
type codec struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

// maxChunk bounds what a damaged chunk may take.
const maxChunk = 64 << 20

func newCodec() *codec {
	// Neither fails with these options.
	enc, _ := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(mostChunk))
	dec, _ := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxChunk)) // 0 is as many as there are processors
	return &codec{enc, dec}
}

const (
	// A chunk has leastChunk to mostChunk bytes of events where there are enough of them: a window of a log needs one or two, and
	// reading one takes about a millisecond. The first is also where a chunk of a report ends.
	leastChunk = 64 << 10
	fullChunk  = 128 << 10
	mostChunk  = 256 << 10
)

// lines are the events of a chunk, one line of JSON each.
type lines struct {
	text   []byte
	ends   []int   // where in the text the line of each event ends
	breaks []int64 // how many line breaks each event has, or -1 if it is not output
}

func (l *lines) add(line []byte, breaks int64) {
	l.text = append(append(l.text, line...), '\n')
	l.ends, l.breaks = append(l.ends, len(l.text)), append(l.breaks, breaks)
}

// addEvent adds an event of a run, with its number.
func (l *lines) addEvent(e run.Event, id string, seq int64) error {
	e.Seq, e.Run = seq, id
	line, err := e.MarshalJSON() // json.Marshal would check and copy it once more
	if err != nil {
		return fmt.Errorf("event %d of run %s: %w", seq, id, err)
	}
	breaks := int64(-1)
	if e.Log != nil {
		breaks = int64(bytes.Count(e.Log.Bytes(), []byte("\n")))
	}
	l.add(line, breaks)
	return nil
}

// linesOf returns the lines of events, which come after before others of their run.
func linesOf(id string, events []run.Event, before int64) (all lines, err error) {
	for i, e := range events {
		if err := all.addEvent(e, id, before+int64(i)+1); err != nil {
			return lines{}, err
		}
	}
	return all, nil
}

// chunk makes a chunk of lines, of which the first has a number. If they are many, others follow it.
func (c *codec) chunk(l lines, first int64) store.Chunk {
	var head store.Chunk
	at, begin := &head, 0
	at.First, at.Last, at.Output = first, first-1, true
	end := func(to int) {
		const usual = 4 // times smaller
		at.Bytes, at.Data = int64(to-begin), c.enc.EncodeAll(l.text[begin:to], make([]byte, 0, (to-begin)/usual+64))
		begin = to
	}
	for i, to := range l.ends {
		at.Last++
		at.Lines += max(0, l.breaks[i])
		at.Output = at.Output && l.breaks[i] >= 0
		if to-begin >= fullChunk && i < len(l.ends)-1 {
			end(to)
			at.Next = &store.Chunk{First: at.Last + 1, Last: at.Last, Output: true}
			at = at.Next
		}
	}
	end(len(l.text))
	return head
}

// encode makes a chunk of events, which come after before others of their run.
func (c *codec) encode(id string, events []run.Event, before int64) (store.Chunk, error) {
	l, err := linesOf(id, events, before)
	return c.chunk(l, before+1), err
}

// text returns the lines of a chunk.
func (c *codec) text(chunk store.Chunk) ([]byte, error) {
	text, err := c.dec.DecodeAll(chunk.Data, make([]byte, 0, max(0, min(chunk.Bytes, maxChunk))))
	if err != nil {
		return nil, fmt.Errorf("events %d to %d: %w", chunk.First, chunk.Last, err)
	}
	return text, nil
}

// encodeFor makes a chunk of the events of a step, as those of its workflow's run.
func (c *codec) encodeFor(p store.Parent, events []run.Event, before int64) (store.Chunk, error) {
	events = slices.Clone(events)
	for i := range events {
		events[i].Step = p.Step
	}
	return c.encode(p.Run, events, before)
}

// decode returns the lines of a chunk that come after a number. It fails if there are others between, which no chunk has.
func (c *codec) decode(chunk store.Chunk, after int64) ([][]byte, error) {
	if chunk.First > after+1 {
		return nil, fmt.Errorf("events %d to %d are missing", after+1, chunk.First-1)
	}
	text, err := c.text(chunk)
	if err != nil {
		return nil, err
	}
	lines := slices.Collect(bytes.Lines(text))
	if int64(len(lines)) != chunk.Last-chunk.First+1 {
		return nil, fmt.Errorf("events %d to %d are %d", chunk.First, chunk.Last, len(lines))
	}
	return lines[max(0, after-chunk.First+1):], nil
}

// ending returns how a run ends that the server ends, with its events.
func (c *codec) ending(id string, result *run.Result, before ...run.Event) (store.Ended, error) {
	now := time.Now().UTC()
	result.Timeline.Finished = now
	if result.Outputs == nil {
		result.Outputs = map[string]string{}
	}
	events := slices.Concat(before, []run.Event{
		{Time: now, State: &run.StateChange{State: result.Status}},
		{Time: now, Result: result},
	})
	ended, err := endedBy(result)
	ended.Encode = func(before int64) (store.Chunk, error) { return c.encode(id, events, before) }
	ended.EncodeFor = func(p store.Parent, before int64) (store.Chunk, error) { return c.encodeFor(p, events, before) }
	return ended, err
}

// maxReason bounds the reason of a run in lists, in bytes; its result has all of it.
const maxReason = 8 << 10

// cutTo is text, or its beginning and a sign that there is more.
func cutTo(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// endedBy is how a run has ended, without events.
func endedBy(r *run.Result) (store.Ended, error) {
	data, err := json.Marshal(r)
	return store.Ended{Status: r.Status, ExitCode: r.ExitCode, Code: r.Code, Reason: cutTo(r.Reason, maxReason), Result: data}, err
}
