package server

import (
	"bytes"
	"context"
	"errors"
	"sync"

	"github.com/mayfly-run/mayfly/internal/store"
)

// A runner reports often, so that others can follow its run, and each report makes a chunk. The server that takes the reports
// puts small ones together: a window of a log is then read at once, and compressed well.

const (
	// manySmall is after how many small chunks they are put together, however small; endSmall, when the run has ended.
	manySmall = 100
	endSmall  = 8
)

// compactor knows which runs have small chunks. What it forgets stays small until the log is moved to the archive.
type compactor struct {
	mu      sync.Mutex
	pending map[string]*smallChunks // by run
	ready   chan smallChunks
}

// smallChunks are chunks of a run that were not put together yet.
type smallChunks struct {
	run    string
	after  int64 // the number of the event before them
	chunks int
	bytes  int64
}

// reported is a report that was taken.
type reported struct {
	run   string
	ended bool
	chunk store.Chunk // without events if it had none, or came before
}

const (
	mostPending = 10_000
	mostReady   = 1000
)

func newCompactor() *compactor {
	return &compactor{pending: map[string]*smallChunks{}, ready: make(chan smallChunks, mostReady)}
}

// reported counts the chunks of a report.
func (c *compactor) reported(r reported) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pending[r.run]
	if r.chunk.Bytes > 0 {
		if p == nil {
			if len(c.pending) >= mostPending {
				clear(c.pending) // of runs that have ended, or will be put together when they do
			}
			p = &smallChunks{run: r.run, after: r.chunk.First - 1}
			c.pending[r.run] = p
		}
		for one := &r.chunk; one != nil; one = one.Next {
			p.chunks, p.bytes = p.chunks+1, p.bytes+one.Bytes
		}
	}
	if p == nil {
		return
	}
	small := p.bytes < int64(p.chunks)*leastChunk
	if r.ended && p.chunks >= endSmall && small || p.chunks >= manySmall || p.chunks > 1 && p.bytes >= fullChunk {
		if small {
			select {
			case c.ready <- *p:
			default: // there is too much to do
			}
		}
		delete(c.pending, r.run)
	}
	if r.ended {
		delete(c.pending, r.run)
	}
}

// compact puts small chunks together until the server ends.
func (s *Server) compact(ctx context.Context) {
	for {
		select {
		case p := <-s.compactor.ready:
			if err := s.compactRun(ctx, p); err != nil && ctx.Err() == nil {
				s.log.Warn("put small chunks of a log together", "run", p.run, "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// compactRun puts the small chunks of a run together.
func (s *Server) compactRun(ctx context.Context, p smallChunks) error {
	chunks, err := s.store.Chunks(ctx, p.run, p.after, 2*mostChunk)
	if err != nil {
		return err
	}
	pack := &packer{codec: s.live.codec, run: p.run, put: func(c store.Chunk, of int) error {
		if of < 2 {
			return nil
		}
		err := s.store.Compact(ctx, p.run, of, c)
		if errors.Is(err, store.ErrNotHeld) {
			return nil // another server has done it
		}
		return err
	}}
	for _, c := range chunks {
		if c.Object != "" {
			return nil // the whole log was moved meanwhile
		}
		if err := pack.add(c); err != nil {
			return err
		}
	}
	return pack.flush()
}

// packer puts chunks together that follow each other.
type packer struct {
	codec *codec
	run   string
	put   func(c store.Chunk, of int) error // gets each, and of how many chunks it is made

	text bytes.Buffer
	made store.Chunk // of what is in text
	of   int
}

// add adds the next chunk.
func (p *packer) add(c store.Chunk) error {
	if p.of > 0 && c.First != p.made.Last+1 { // events between are missing, and what is there stays readable
		if err := p.flush(); err != nil {
			return err
		}
	}
	if p.text.Len() >= leastChunk && int64(p.text.Len())+c.Bytes > mostChunk {
		if err := p.flush(); err != nil {
			return err
		}
	}
	if p.of == 0 && c.Bytes >= leastChunk {
		return p.put(c, 1)
	}
	text, err := p.codec.text(c)
	if err != nil {
		return &store.DamagedError{Run: p.run, First: c.First, Last: c.Last, Where: "the database", Err: err}
	}
	if p.of == 0 {
		p.made = store.Chunk{First: c.First, FirstLine: c.FirstLine, Output: true}
	}
	p.text.Write(text)
	p.made.Last, p.made.Lines, p.made.Output, p.of = c.Last, p.made.Lines+c.Lines, p.made.Output && c.Output, p.of+1
	if p.text.Len() >= fullChunk {
		return p.flush()
	}
	return nil
}

// flush ends the chunk that is being made.
func (p *packer) flush() error {
	if p.of == 0 {
		return nil
	}
	c, of := p.made, p.of
	c.Bytes, c.Data = int64(p.text.Len()), p.codec.enc.EncodeAll(p.text.Bytes(), nil)
	p.text.Reset()
	p.of = 0
	return p.put(c, of)
}
