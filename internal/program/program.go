// Package program finds the other programs of a release, and tells the version of each.
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
	Daemon = "mayflyd"     // runs services: long-running work, and libraries that are too heavy for the command
)

// purposes has the words of [NotFoundError] for what a program does.
var purposes = map[string]string{
	Shim:   "supervises sandboxes",
	CEL:    "evaluates conditions",
	Daemon: "runs services",
}

// NotFoundError says that a program is neither beside this one nor in PATH.
type NotFoundError struct {
	Name string
	Self string // the path of this program
	Err  error  // why it isn't in PATH
}

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("%s, which %s, is neither beside %s nor in PATH; install the programs in one folder: %v", e.Name, purposes[e.Name], e.Self, e.Err)
}

func (e *NotFoundError) Unwrap() error { return e.Err }

// Find returns the path of one of the programs above: the file beside the running program, or otherwise the one in PATH. The
// error is a [*NotFoundError].
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
