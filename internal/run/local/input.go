package local

import (
	"io"
	"sync"
)

// input is standard input for the attempts of a run, one after the other. A read of a terminal can't be ended: if each
// attempt had one of its own, that of an attempt which has ended would take what is typed for the next.
type input struct {
	mu    sync.Mutex
	ready *sync.Cond
	to    *io.PipeWriter // the attempt's; nil between two
	done  bool           // nothing more comes, or nobody wants it
}

// newInput begins to read. Nothing waits for its end: the read may block on a terminal where nobody types.
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
			taken, _ := to.Write(rest) // its error is that the attempt has ended; the rest is the next one's
			rest = rest[taken:]
		}
		if err != nil {
			return
		}
	}
}

// attempt waits until an attempt reads, and returns its pipe; nil when none will.
func (in *input) attempt() *io.PipeWriter {
	in.mu.Lock()
	defer in.mu.Unlock()
	for in.to == nil && !in.done {
		in.ready.Wait()
	}
	return in.to
}

// next is the input of one attempt, until end is called.
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
		_ = reader.Close() // ends a write that is under way
	}
}

// close says that nothing more comes, or that nobody reads any more.
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
