package secret

import "strings"

// maxFollowers bounds the texts that are compared with the stream at once. Each window of a text that is printed in
// full is found by itself, so a follower that there is no room for is missed only at the ends of a part of a text.
const maxFollowers = 16

// maxGap is how many bytes a line break inside a wrapped text may have, indentation included.
const maxGap = 64

// follower compares the stream with a text, from a window that was found on, for as long as they agree.
type follower struct {
	at, end uint32 // what is expected next, in the array
	kind    textKind
	next    int   // where it is expected in the buffer
	matched int   // the end of what has agreed
	gap     int   // bytes of a line break since then
	tail    uint8 // what came after the end of the text
	row     row   // of a dump
}

// The tail of base64 and base32: at most one character that has bits of what follows the value, then padding of up to
// six characters.
const (
	tailCharacter uint8 = iota
	tailPadding
	tailDone = tailPadding + 6
)

// startFollower follows the text of a window that begins at pos and ends at end, unless that is being done.
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
	s.followers = append(s.followers, follower{at: at, end: textEnd, kind: w.kind, next: end, matched: end, row: row{begun: true}})
}

// follow hands the byte at pos to the followers.
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

// step takes the follower one byte on, and says whether it goes on from there.
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
			// It is the secret's if more of the secret follows, and the log's if not.
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

// isGap says whether a byte belongs to a line break, which is followed by the indentation of the next line.
func isGap(c byte, begun bool) bool {
	return c == '\n' || c == '\r' || begun && (c == ' ' || c == '\t')
}

// mayHaveTail says whether more of a tail may come: after a text that ends within a character, or after padding.
func (f *follower) mayHaveTail() bool {
	return f.tail < tailDone && (f.kind == partialText || f.tail > tailPadding)
}

// takeTail says whether a byte that isn't in the text belongs to it nevertheless: after its end, or in its middle if
// only a part of it was encoded.
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
