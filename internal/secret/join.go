package secret

import "bytes"

// Programs such as base64(1) and xxd(1) wrap their output into lines, and a secret inside something larger may cross the end of a
// line. Once one of its windows is found, its followers skip line breaks. findJoined finds a first window that has a line break
// in it.

const (
	// minJoin is how many bytes of a window must be before the line break. With fewer, the ends of many lines would be held
	// back until the next line, because they happen to be the first letters of a window.
	minJoin = 4
	// maxJoin is the largest place in a window at which a line break inside it can end: "\r\n" has two bytes.
	maxJoin = encodedWindow + 1
)

// findJoined masks the window that begins at pos and has a line break in it. It returns true if more bytes are needed to tell.
func (s *stream) findJoined(rest []byte, last bool) (wait bool) {
	before := bytes.IndexByte(rest[:min(len(rest), maxJoin)], '\n')
	switch {
	case before > 0 && rest[before-1] == '\r':
		before--
	case before < 0 && len(rest) < maxJoin && rest[len(rest)-1] == '\r':
		before = len(rest) - 1 // it may become "\r\n"
	}
	if before < minJoin || before >= encodedWindow {
		return false
	}
	for _, c := range rest[:before] {
		if !isBase64(c) {
			return false
		}
	}
	after := before
	for after < len(rest) && after-before < maxGap && isGap(rest[after], after > before) {
		after++
	}
	var room [encodedWindow]byte
	joined := append(room[:0], rest[:before]...)
	joined = append(joined, rest[after:min(len(rest), after+encodedWindow-before)]...)
	i, more := s.ix.find(joined)
	if more && len(joined) < encodedWindow && !last {
		return true
	}
	if i >= 0 && s.ix.windows[i].kind.wraps() && int(s.ix.windows[i].n) > before {
		s.found(i, after-before)
	}
	return false
}
