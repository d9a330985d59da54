package local

import (
	"io"
	"sync"
)

// input passes standard input to the attempts of a run, one after the other. A read from a terminal can't be interrupted: if
// each attempt read by itself, the read of an attempt that has ended would take what is typed for the next.
type input struct {
	mu    sync.Mutex
	ready *sync.Cond
	to    *io.PipeWriter // of the current attempt; nil between attempts
	done  bool           // there is no more input, or no attempt reads any more of it
}

// newInput starts to read. Nothing waits for the reading goroutine to end: its read may block on a terminal where nobody types.
func newInput(from io.Reader) *input {
	in := &input{}
	in.ready = sync.NewCond(&in.mu)
	go in.pump(from)
	return in
}

func (in *input) pump(from io.Reader) {
	defer in.close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		for rest := buf[:n]; len(rest) > 0; {
			to := in.attempt()
			if to == nil {
				return
			}
			taken, _ := to.Write(rest) // an error means that the attempt has ended; the next one gets the rest
			rest = rest[taken:]
		}
		if err != nil {
			return
		}
	}
}

// attempt waits for an attempt and returns its pipe, or nil if there will be none.
func (in *input) attempt() *io.PipeWriter {
	in.mu.Lock()
	defer in.mu.Unlock()
	for in.to == nil && !in.done {
		in.ready.Wait()
	}
	return in.to
}

// next returns the input of one attempt, which ends when end is called.
func (in *input) next() (r io.Reader, end func()) {
	reader, writer := io.Pipe()
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.done {
		_ = writer.Close()
	} else {
		in.to = writer
		in.ready.Broadcast()
	}
	return reader, func() {
		in.mu.Lock()
		in.to = nil
		in.mu.Unlock()
		_ = reader.Close() // ends a write in progress
	}
}

// close records that there is no more input, or that no attempt will read.
func (in *input) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.done = true
	if in.to != nil {
		_ = in.to.Close()
		in.to = nil
	}
	in.ready.Broadcast()
}
