package secret

import "bytes"

// Programs such as base64(1) and xxd(1) wrap what they print into lines, and a secret inside of something larger may
// stand where a line ends. Once one of its windows has been found its followers take it over the line breaks. To find a
// first window that has one in it is what join is for.

const (
	// minJoin is how much of a window has to be before the line break: so much that no end of a line has to wait for
	// the next line because it happens to have the first letter of a window.
	minJoin = 4
	// maxJoin is where a line break ends at the latest to be in a window and not after it: "\r\n" takes two bytes.
	maxJoin = encodedWindow + 1
)

// findJoined masks the window that begins at pos and has a line break in it. wait says that there have to be more
// bytes first.
func (s *stream) findJoined(rest []byte, last bool) (wait bool) {
	before := bytes.IndexByte(rest[:min(len(rest), maxJoin)], '\n')
	switch {
	case before > 0 && rest[before-1] == '\r':
		before--
	case before < 0 && len(rest) < maxJoin && rest[len(rest)-1] == '\r':
		before = len(rest) - 1 // it may become one
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
