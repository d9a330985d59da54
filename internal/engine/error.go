package engine

import (
	"errors"
	"fmt"
)

// Unsupported says that this host can't enforce a feature that the spec asks
// for. Nothing was started.
type Unsupported struct {
	Feature string `json:"feature"` // such as "memory limit"
	Why     string `json:"why"`     // what is missing
	Remedy  string `json:"remedy"`  // what to do about it
}

func (e *Unsupported) Error() string {
	return fmt.Sprintf("this host can't enforce the %s: %s; %s", e.Feature, e.Why, e.Remedy)
}

// CommandError says that the tool's command could not be executed.
type CommandError struct {
	Path     string `json:"path"`
	NotFound bool   `json:"not_found"` // otherwise it was found but is not executable
	Why      string `json:"why"`
}

func (e *CommandError) Error() string {
	if e.NotFound {
		return fmt.Sprintf("command %q not found in the image: %s", e.Path, e.Why)
	}
	return fmt.Sprintf("command %q can't be executed: %s", e.Path, e.Why)
}

// ExitCode returns a shell's exit status for the failure: 127 not found, 126 not
// executable.
func (e *CommandError) ExitCode() int {
	if e.NotFound {
		return ExitNotFound
	}
	return ExitNotExecutable
}

// InvalidError says that no host can run the spec: it has an unknown user, for
// example, or a working directory that is a symbolic link out of the image.
type InvalidError struct {
	Field string `json:"field"`
	Why   string `json:"why"`
}

func (e *InvalidError) Error() string { return fmt.Sprintf("invalid %s: %s", e.Field, e.Why) }

// ErrLost says that the sandbox vanished without reporting an exit: its
// supervisor was killed or crashed.
var ErrLost = errors.New("the sandbox was lost: its supervisor ended without reporting the tool's exit")
