package wire

import "strconv"

// The words among the shim's arguments. The shim reads its arguments in C, before the Go runtime starts, by
// internal/sandbox/arguments.h; a test of package sandbox compares the two files.
const (
	Supervise = "supervise" // the first argument
	Here      = "here"      // the shim stays on one processor while it starts
	Anywhere  = "anywhere"
)

// ArgumentCount is the number of the shim's arguments with the name of the program.
const ArgumentCount = 5

// Arguments returns the shim's arguments without the name of the program: Supervise; FirstID and IDCount of the start
// request, which the shim needs before it can read one; and place, which is Here or Anywhere.
func Arguments(firstID, idCount int, place string) []string {
	return []string{Supervise, strconv.Itoa(firstID), strconv.Itoa(idCount), place}
}

// Supervises reports whether args, with the name of the program, are those of a shim.
func Supervises(args []string) bool { return len(args) == ArgumentCount && args[1] == Supervise }
