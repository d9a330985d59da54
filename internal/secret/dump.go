package secret

// The output of xxd(1) and hexdump(1) has a secret twice: as numbers, and as characters at the end of each row. So after a window
// of a dump, the rest of the row is masked too, and the follower continues in the next row.

// rowState is the place of a follower in a row of a dump.
type rowState uint8

const (
	inNumbers rowState = iota // in the numbers
	inRest                    // after the numbers
	inOffset                  // in the next row, in the offset that it may begin with
	inIndent                  // after the offset
)

// maxRowRest is how many bytes are masked after the numbers of a row.
const maxRowRest = 96

// row is the state of a follower in a dump.
type row struct {
	state   rowState
	rest    uint8 // how many bytes are masked in state inRest
	matched bool  // a number of this row has matched
}

// stepRow moves a follower of a dump past the byte c, and reports whether it continues.
func (s *stream) stepRow(f *follower, c byte) bool {
	switch f.row.state {
	case inNumbers:
		if f.at < f.end && c == s.ix.array[f.at] {
			f.at++
			if c == ' ' {
				f.gap++
				return true
			}
			f.row.matched = true
			s.takeRow(f)
			return true
		}
		if !f.row.matched {
			return false
		}
		f.row.state = inRest
		return s.stepRow(f, c)
	case inRest:
		if c == '\n' {
			f.row, f.gap = row{state: inOffset}, f.gap+1
			return f.at < f.end
		}
		f.row.rest++
		s.takeRow(f)
		return f.row.rest < maxRowRest
	case inOffset:
		f.gap++
		if c == ' ' || c == ':' {
			f.row.state = inIndent
		}
		return f.gap < maxGap && (c == ' ' || c == ':' || isHex(c))
	default: // inIndent
		if c == ' ' {
			f.gap++
			return f.gap < maxGap
		}
		if f.at < f.end && s.ix.array[f.at] == ' ' {
			f.at++
		}
		f.row.state = inNumbers
		return s.stepRow(f, c)
	}
}

// takeRow masks the bytes that are held back, and the byte at pos.
func (s *stream) takeRow(f *follower) {
	s.mask(f.matched, f.next)
	f.matched, f.gap = f.next, 0
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' }
