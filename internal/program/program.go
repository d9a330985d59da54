// Package program is about the programs of one release: how one of them finds another, and which version each is.
package program

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// The programs of a release. All are installed in one folder.
const (
	Mayfly = "mayfly"      // the command
	Shim   = "mayfly-shim" // supervises a sandbox of the embedded engine; only for Linux
	CEL    = "mayfly-cel"  // evaluates conditions
	Daemon = "mayflyd"     // what runs for long or is too heavy for the command
)

// purposes says, in an error, why a program is looked for.
var purposes = map[string]string{
	Shim:   "supervises sandboxes",
	CEL:    "evaluates conditions",
	Daemon: "runs services",
}

// NotFoundError says that a program isn't installed where this one looks.
type NotFoundError struct {
	Name string
	Self string // the path of this program
	Err  error  // why it isn't in PATH
}

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("%s, which %s, is neither beside %s nor in PATH; install the programs in one folder: %v", e.Name, purposes[e.Name], e.Self, e.Err)
}

func (e *NotFoundError) Unwrap() error { return e.Err }

// Find returns the path of the program with one of the names above: the file beside the running program, or otherwise the
// one in PATH. The error is a [*NotFoundError].
func Find(name string) (string, error) {
	self, err := os.Executable()
	if err == nil {
		beside := filepath.Join(filepath.Dir(self), name)
		if runtime.GOOS == "windows" {
			beside += ".exe"
		}
		if _, err := os.Stat(beside); err == nil {
			return beside, nil
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", &NotFoundError{Name: name, Self: self, Err: err}
	}
	return path, nil
}
