package secret

import (
	"errors"
	"io"
)

const (
	// streamBuffer is how many bytes are scanned at once.
	streamBuffer = 64 << 10
	// maxHeld is more than the bytes that are ever held back: a window, and the gap before the rest of a wrapped text.
	maxHeld = maxWindow + maxGap
)

// span is a piece of the buffer.
type span struct{ from, to int }

// stream masks what is written to it: masking.go has an overview. What it does depends on the bytes alone, not on how they are cut into writes:
// a place is decided on once all the bytes are there that the decision needs.
type stream struct {
	ix  *index
	w   io.Writer
	err error

	buf       []byte     // the bytes that aren't written yet, with a fixed capacity
	pos       int        // every window that begins before it has been found
	spans     []span     // to be masked, in order; they don't touch each other
	open      bool       // the first span begins at 0, and its mask is already written
	followers []follower // of texts whose windows have been found
	out       []byte     // output with masks
}

func newStream(ix *index, w io.Writer, size int) *stream {
	return &stream{ix: ix, w: w, buf: make([]byte, 0, min(size, streamBuffer)+maxHeld)}
}

var errClosed = errors.New("write to a closed redactor")

func (s *stream) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 && s.err == nil {
		n := copy(s.buf[len(s.buf):cap(s.buf)], p)
		s.buf = s.buf[:len(s.buf)+n]
		p = p[n:]
		s.scan(false)
		s.flush(false)
	}
	if s.err != nil {
		return 0, s.err
	}
	return total, nil
}

// Close writes the bytes that are held back. A second Close does nothing.
func (s *stream) Close() error {
	if errors.Is(s.err, errClosed) {
		return nil
	}
	if s.err == nil {
		s.scan(true)
		s.flush(true)
	}
	err := s.err
	clear(s.buf[:cap(s.buf)])
	s.buf, s.spans, s.followers, s.out = nil, nil, nil, nil
	if s.err == nil {
		s.err = errClosed
	}
	return err
}

// scan finds the spans to mask. It stops where more bytes are needed to tell, unless these are the last bytes of the stream.
func (s *stream) scan(last bool) {
	for s.pos < len(s.buf) {
		if len(s.followers) == 0 {
			if s.pos = s.ix.skip(s.buf, s.pos); s.pos == len(s.buf) {
				return
			}
		}
		rest := s.buf[s.pos:]
		if s.ix.mayBegin(rest) && (s.find(rest, last) || s.findJoined(rest, last)) {
			return
		}
		if len(s.followers) > 0 {
			s.follow()
		}
		s.pos++
	}
}

// find masks the window that begins at pos. It returns true if more bytes are needed to tell.
func (s *stream) find(rest []byte, last bool) (wait bool) {
	if !s.ix.mayBe(rest) {
		return false
	}
	i, more := s.ix.find(rest)
	if more && !last {
		return true
	}
	if i >= 0 {
		s.found(i, 0)
	}
	return false
}

// found masks the window i, which begins at pos and has a gap of so many bytes in it, and follows the texts that have it:
// of the windows of the same bytes it is the last.
func (s *stream) found(i, gap int) {
	end := s.pos + int(s.ix.windows[i].n) + gap
	s.mask(s.pos, end)
	for k := i; k >= i-int(s.ix.windows[i].same); k-- {
		w := &s.ix.windows[k]
		if w.kind != plainText || int(w.n) > maxWindow/2 {
			s.startFollower(w, end)
		}
	}
}

// mask adds a span.
func (s *stream) mask(from, to int) {
	for n := len(s.spans); n > 0; n-- {
		before := s.spans[n-1]
		if before.to < from {
			break
		}
		from, to = min(from, before.from), max(to, before.to)
		s.spans = s.spans[:n-1]
	}
	s.spans = append(s.spans, span{from, to})
}

// flush writes everything before the first undecided place.
func (s *stream) flush(last bool) {
	hold := s.pos
	for i := range s.followers {
		hold = min(hold, s.followers[i].matched)
	}
	if last {
		hold = len(s.buf)
	}
	if hold == 0 {
		return
	}
	if len(s.spans) == 0 {
		s.put(s.buf[:hold])
	} else {
		s.putMasked(hold)
	}
	n := copy(s.buf, s.buf[hold:])
	s.buf = s.buf[:n]
	s.pos -= hold
	for i := range s.followers {
		s.followers[i].next -= hold
		s.followers[i].matched -= hold
	}
}

// putMasked writes buf[:hold] with masks instead of the spans, and moves the remaining spans by hold bytes.
func (s *stream) putMasked(hold int) {
	s.out = s.out[:0]
	at, done := 0, 0
	for _, m := range s.spans {
		if m.from >= hold {
			break
		}
		s.out = append(s.out, s.buf[at:m.from]...)
		if !s.open || done > 0 {
			s.out = append(s.out, Mask...)
		}
		at = min(m.to, hold)
		done++
	}
	s.out = append(s.out, s.buf[at:hold]...)
	s.put(s.out)
	// A span that reaches hold continues in the rest of the buffer, and its mask is written already. That also applies if it
	// ends at hold, since a span that begins there touches it.
	open := done > 0 && s.spans[done-1].to >= hold
	if open {
		done--
	}
	n := copy(s.spans, s.spans[done:])
	s.spans = s.spans[:n]
	for i := range s.spans {
		s.spans[i] = span{max(0, s.spans[i].from-hold), s.spans[i].to - hold}
	}
	s.open = open
}

func (s *stream) put(p []byte) {
	if s.err != nil || len(p) == 0 {
		return
	}
	n, err := s.w.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	s.err = err
}
