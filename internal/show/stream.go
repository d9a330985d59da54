package show

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Output is the two streams that a view writes to.
type Output struct{ Out, Err Stream }

// Stream is a place to write to, and what it can do.
type Stream struct {
	io.Writer
	// Terminal says that a person reads it, on a terminal that can erase its last line.
	Terminal bool
	// Cursor says that the terminal can also move its cursor up.
	Cursor bool
	// Color says that text may be coloured.
	Color bool
	// Size returns the size of the terminal in characters; nil stands for 80 columns and 24 rows.
	Size func() (columns, rows int)
}

// StreamOf returns a stream with what it can do. A terminal says with TERM=dumb that it can't move its cursor, and its user with
// NO_COLOR (no-color.org) that no text is to be coloured.
func StreamOf(w io.Writer) Stream {
	s := Stream{Writer: w, Terminal: IsTerminal(w)}
	if !s.Terminal {
		return s
	}
	s.Cursor = os.Getenv("TERM") != "dumb"
	s.Color = s.Cursor && os.Getenv("NO_COLOR") == ""
	s.Size = func() (columns, rows int) { return terminalSize(w) }
	return s
}

// IsTerminal reports whether a stream is a terminal.
func IsTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// The size of a terminal that doesn't tell its size (ECMA-48 names no default; this is the VT100's).
const defaultColumns, defaultRows = 80, 24

func terminalSize(w io.Writer) (columns, rows int) {
	if f, ok := w.(*os.File); ok {
		if c, r, err := term.GetSize(int(f.Fd())); err == nil && c > 0 && r > 0 {
			return c, r
		}
	}
	return defaultColumns, defaultRows
}

func (s Stream) size() (columns, rows int) {
	if s.Size == nil {
		return defaultColumns, defaultRows
	}
	return s.Size()
}

// paint colours text by a code of ECMA-48, 8.3.117, such as 31 for red.
func (s Stream) paint(code, text string) string {
	if !s.Color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
