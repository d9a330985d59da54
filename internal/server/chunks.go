package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// chunks is store.Runs.Chunks with the data of those that are in the archive.
func (s *Server) chunks(ctx context.Context, id string, after int64, most int) ([]store.Chunk, error) {
	return s.filled(ctx, id, func() ([]store.Chunk, error) { return s.store.Chunks(ctx, id, after, most) })
}

// chunksOfLines is store.Runs.ChunksOfLines with the data of those that are in the archive.
func (s *Server) chunksOfLines(ctx context.Context, id string, first, last int64, most int) ([]store.Chunk, error) {
	return s.filled(ctx, id, func() ([]store.Chunk, error) { return s.store.ChunksOfLines(ctx, id, first, last, most) })
}

// chunksButOutput is store.Runs.ChunksButOutput with the data of those that are in the archive.
func (s *Server) chunksButOutput(ctx context.Context, id string, after int64, most int) ([]store.Chunk, error) {
	return s.filled(ctx, id, func() ([]store.Chunk, error) { return s.store.ChunksButOutput(ctx, id, after, most) })
}

// eachEvent calls take with the events of a run that there are, each a line of JSON, until it fails. Chunks may be put together or archived
// meanwhile: each event comes once.
func (s *Server) eachEvent(ctx context.Context, r store.Run, take func(line []byte) error) error {
	return s.eachOf(ctx, r, s.chunks, take)
}

// eachButOutput is eachEvent, except that it leaves out most of the output without reading it.
func (s *Server) eachButOutput(ctx context.Context, r store.Run, take func(line []byte) error) error {
	return s.eachOf(ctx, r, s.chunksButOutput, take)
}

func (s *Server) eachOf(ctx context.Context, r store.Run, read func(ctx context.Context, id string, after int64, most int) ([]store.Chunk, error),
	take func(line []byte) error,
) error {
	for after := int64(0); ; {
		chunks, err := read(ctx, r.ID, after, page)
		if err != nil {
			return err
		}
		if len(chunks) == 0 {
			return s.gone(ctx, r, after)
		}
		for _, c := range chunks {
			if c.LeftOut() && c.First <= after+1 {
				after = c.Last
				continue
			}
			lines, err := s.live.codec.decode(c, after)
			if err != nil {
				return &store.DamagedError{Run: r.ID, First: c.First, Last: c.Last, Where: "the database or the archive", Err: err}
			}
			for _, line := range lines {
				if err := take(line); err != nil {
					return err
				}
			}
			after = c.Last
		}
	}
}

// gone says why a run has no more events than so many, if it had more when it was looked up.
func (s *Server) gone(ctx context.Context, r store.Run, after int64) error {
	if after >= r.Events {
		return nil
	}
	now, err := s.store.Run(ctx, r.Project, r.ID)
	if err != nil {
		return err
	}
	if !now.LogRemoved.IsZero() {
		return logRemoved(now)
	}
	return missing(r.ID, after+1, r.Events)
}

// missing says that a run's events from first to last are nowhere.
func missing(id string, first, last int64) error {
	return &store.DamagedError{Run: id, First: first, Last: last, Where: "the database", Err: errors.New("no chunk has them")}
}

// ofType reads an event that may be of a type. It returns nil for others without reading them: most events of a long run are logs.
func ofType(kind string, line []byte) (*run.Event, error) {
	if !bytes.Contains(line, []byte(`"type":"`+kind+`"`)) {
		return nil, nil //nolint:nilnil // it has another type
	}
	e := &run.Event{} // the text may have been in another type's
	if err := json.Unmarshal(line, e); err != nil {
		return nil, fmt.Errorf("read an event: %w", err)
	}
	return e, nil
}

// filled reads chunks, and what the archive has of them. If an object is gone, the log may have been removed meanwhile: then
// the store has no chunks any longer.
func (s *Server) filled(ctx context.Context, id string, read func() ([]store.Chunk, error)) ([]store.Chunk, error) {
	chunks, err := read()
	if err != nil {
		return nil, err
	}
	err = s.fill(ctx, id, chunks)
	if !errors.Is(err, fs.ErrNotExist) {
		return chunks, err
	}
	again, failed := read()
	if failed != nil || len(again) == 0 {
		return again, failed
	}
	return again, s.fill(ctx, id, again)
}

// fill reads the data of chunks that are in the archive: those that are beside each other in an object at once.
func (s *Server) fill(ctx context.Context, id string, chunks []store.Chunk) error {
	for begin := 0; begin < len(chunks); {
		c := chunks[begin]
		if c.Object == "" {
			begin++
			continue
		}
		end, size := begin, int64(0)
		for end < len(chunks) && chunks[end].Object == c.Object && chunks[end].At == c.At+size {
			size += chunks[end].Size
			end++
		}
		if err := s.fillFrom(ctx, id, chunks[begin:end], size); err != nil {
			return err
		}
		begin = end
	}
	return nil
}

// fillFrom reads chunks that are size bytes of an object together.
func (s *Server) fillFrom(ctx context.Context, id string, chunks []store.Chunk, size int64) (err error) {
	object, last := chunks[0].Object, chunks[len(chunks)-1].Last
	damaged := func(err error) error {
		return &store.DamagedError{Run: id, First: chunks[0].First, Last: last, Where: "the archive's " + object, Err: err}
	}
	r, _, err := s.archive.In.Open(ctx, object, chunks[0].At, size)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, io.ErrUnexpectedEOF) {
		return damaged(err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	data := make([]byte, size)
	if _, err := io.ReadFull(r, data); err != nil {
		return err
	}
	for i := range chunks {
		c := &chunks[i]
		c.Data, data = data[:c.Size:c.Size], data[c.Size:]
		if err := c.Check(id); err != nil {
			return err
		}
	}
	return nil
}

// logRemoved is the answer to a request for a log that was removed.
func logRemoved(r store.Run) *api.Problem {
	return problem(http.StatusGone, run.CodeLogRemoved,
		fmt.Sprintf("the log of run %s was removed on %s: this server keeps logs for a limited time, or up to a size", r.ID, r.LogRemoved.Format(time.DateOnly)),
		"run it again if you need its output; mayfly server --keep-logs and --keep-size say how much is kept")
}
