package secret

import "strings"

// maxFollowers is the largest number of texts that are compared with the stream at once. Without a follower only the end of a part
// of a text stays readable: each complete window in the stream is found by itself.
const maxFollowers = 16

// maxGap is the largest number of bytes in a line break inside a wrapped text, including the indentation.
const maxGap = 64

// follower compares the stream with a text, starting after a window of the text, as long as they match.
type follower struct {
	at, end uint32   // the next expected byte and the end of the text, in the array
	kind    textKind // of the text
	next    int      // where in the buffer the next byte is expected
	matched int      // the end of the match in the buffer
	gap     int      // bytes of a line break after matched
	tail    uint8    // what has followed the end of the text
	row     row      // for a dump
}

// The tail of base64 and base32: at most one character that has bits of what follows the value, then up to six characters of
// padding.
const (
	tailCharacter uint8 = iota
	tailPadding
	tailDone = tailPadding + 6
)

// startFollower starts to follow the text of a window that begins at pos and ends at end, unless a follower already does.
func (s *stream) startFollower(w *window, end int) {
	at, textEnd := w.at+uint32(w.n), s.ix.end(w.at)
	for i := range s.followers {
		f := &s.followers[i]
		// It compares the same places if it is as far from the buffer in the array. A gap in the window makes that another
		// distance at its end than at its beginning.
		distance := int(f.at) - f.next
		same := distance == int(w.at)-s.pos || distance == int(at)-end
		if same && f.end == textEnd && f.at >= w.at {
			return
		}
	}
	// Behind the end of a text comes nothing to follow, except what belongs to its last bytes.
	if at == textEnd && w.kind != partialText && w.kind != dumpText {
		return
	}
	if len(s.followers) == maxFollowers {
		return
	}
	s.followers = append(s.followers, follower{at: at, end: textEnd, kind: w.kind, next: end, matched: end, row: row{matched: true}})
}

// follow passes the byte at pos to the followers, and removes those that end.
func (s *stream) follow() {
	for i := 0; i < len(s.followers); {
		if f := &s.followers[i]; f.next > s.pos || s.step(f) {
			i++
			continue
		}
		end := len(s.followers) - 1
		s.followers[i] = s.followers[end]
		s.followers = s.followers[:end]
	}
}

// step moves a follower past the byte at pos, and reports whether it continues.
func (s *stream) step(f *follower) bool {
	c := s.buf[s.pos]
	f.next++
	if f.kind == dumpText {
		return s.stepRow(f, c)
	}
	switch {
	case f.at < f.end && c == s.ix.array[f.at]:
		f.at++
		if f.kind == plainText && strings.IndexByte(space, c) >= 0 {
			// White space belongs to the secret if more of the secret follows, and otherwise to the log.
			f.gap++
			return f.gap < maxGap
		}
	case f.at < f.end && f.kind != plainText && isGap(c, f.gap > 0):
		f.gap++
		return f.gap < maxGap
	case !f.takeTail(c):
		return false
	}
	s.mask(f.matched, f.next)
	f.matched, f.gap = f.next, 0
	return f.at < f.end || f.mayHaveTail()
}

// isGap reports whether a byte belongs to a line break. After the first byte of a line break (inside), the indentation of the next
// line belongs to it too.
func isGap(c byte, inside bool) bool {
	return c == '\n' || c == '\r' || inside && (c == ' ' || c == '\t')
}

// mayHaveTail says whether more of a tail may come: after a text that ends within a character, or after padding.
func (f *follower) mayHaveTail() bool {
	return f.tail < tailDone && (f.kind == partialText || f.tail > tailPadding)
}

// takeTail reports whether a byte that isn't in the text belongs to the tail: at the end of the text, or in its middle if a program
// encoded only a part of it.
func (f *follower) takeTail(c byte) bool {
	switch {
	case c == '=' && f.kind >= base64Text && f.tail < tailDone && f.gap == 0:
		f.end = f.at
		f.tail = max(f.tail, tailPadding) + 1
		return true
	case f.at == f.end && f.kind == partialText && f.tail == tailCharacter && isBase64(c):
		f.tail = tailPadding
		return true
	}
	return false
}

func isBase64(c byte) bool {
	return isAlnum(c) || c == '+' || c == '/' || c == '-' || c == '_'
}
