package secret

// What xxd(1) and hexdump(1) print of a secret is in it twice: as numbers, and at the end of each row as characters. So
// from where a window of a dump was found on, the rest of the row is masked, and a follower goes on in the next one.

// rowState is where in a dump a follower is.
type rowState uint8

const (
	inNumbers rowState = iota // at the numbers
	inRest                    // behind them
	inOffset                  // in the next row, at the offset that it may begin with
	inIndent                  // behind that
)

// maxRowRest bounds what is masked behind the numbers of a row.
const maxRowRest = 96

// row is what a follower knows of a dump.
type row struct {
	state rowState
	rest  uint8 // bytes masked in state inRest
	begun bool  // something has agreed in this row
}

// stepRow takes a follower of a dump one byte on, and says whether it goes on from there.
func (s *stream) stepRow(f *follower, c byte) bool {
	switch f.row.state {
	case inNumbers:
		if f.at < f.end && c == s.ix.array[f.at] {
			f.at++
			if c == ' ' {
				f.gap++
				return true
			}
			f.row.begun = true
			s.takeRow(f)
			return true
		}
		if !f.row.begun {
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

// takeRow masks what has been held back, and the byte at pos.
func (s *stream) takeRow(f *follower) {
	s.mask(f.matched, f.next)
	f.matched, f.gap = f.next, 0
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' }
