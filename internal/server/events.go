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
	enc, _ := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	dec, _ := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxChunk))
	return &codec{enc, dec}
}

const (
	// A chunk has leastChunk to mostChunk bytes of events where there are enough of them: a window of a log needs one or two, and
	// reading one takes about a millisecond. The first is also where a chunk of a report ends.
	leastChunk = 64 << 10
	fullChunk  = 128 << 10
	mostChunk  = 256 << 10
)

// maxEvent bounds an event, in bytes, except a result: its outputs have a bound of their own.
const maxEvent = 1 << 20

// encode makes a chunk of events, which come after before others of their run. If they are many, others follow it.
func (c *codec) encode(id string, events []run.Event, before int64) (store.Chunk, error) {
	var head store.Chunk
	at := &head
	begin := func(first int64) { at.First, at.Last = first, first-1 }
	begin(before + 1)
	var text bytes.Buffer
	end := func() { at.Bytes, at.Data = int64(text.Len()), c.enc.EncodeAll(text.Bytes(), nil) }
	for i, e := range events {
		e.Seq, e.Run = before+int64(i)+1, id
		line, err := e.MarshalJSON() // json.Marshal would check and copy it once more
		if err != nil {
			return head, fmt.Errorf("event %d of run %s: %w", e.Seq, id, err)
		}
		if len(line) > maxEvent && e.Result == nil {
			return head, fmt.Errorf("event %d of run %s has %d bytes; the most is %d", e.Seq, id, len(line), maxEvent)
		}
		if text.Len() >= fullChunk {
			end()
			text.Reset()
			at.Next = &store.Chunk{}
			at = at.Next
			begin(e.Seq)
		}
		text.Write(line)
		text.WriteByte('\n')
		at.Last = e.Seq
		if e.Log != nil {
			at.Lines += int64(bytes.Count(e.Log.Bytes(), []byte("\n")))
		}
	}
	end()
	return head, nil
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

// decode returns the lines of a chunk that come after a number.
func (c *codec) decode(chunk store.Chunk, after int64) ([][]byte, error) {
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
func (c *codec) ending(id string, result *run.Result) (store.Ended, error) {
	now := time.Now().UTC()
	result.Timeline.Finished = now
	if result.Outputs == nil {
		result.Outputs = map[string]string{}
	}
	events := []run.Event{
		{Time: now, State: &run.StateChange{State: result.Status}},
		{Time: now, Result: result},
	}
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
