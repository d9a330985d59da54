package engine

import (
	"fmt"
	"strings"
	"time"
)

// Keeper is an engine that keeps sandboxes whose tool failed (Spec.KeepFor), so
// that someone can look inside. A type assertion tells whether an engine is a
// Keeper.
type Keeper interface {
	// KeptRuns lists the sandboxes that are kept.
	KeptRuns() ([]Kept, error)
	// Shell runs a process in a kept sandbox and returns its exit status.
	// terminal may be nil. The error for an id that isn't kept is a
	// [*NotKeptError].
	Shell(id string, args []string, terminal *Terminal, streams Streams) (int, error)
	// RemoveKept ends a kept sandbox and a shell that is open in it, and waits
	// until they are gone.
	RemoveKept(id string) error
}

// Prober is an engine that reports what it needs of its host, and whether that
// exists. store is the folder of the images.
type Prober interface {
	Probe(store string) []Check
}

// Sweeper is an engine that leaves something on its host when it is killed.
// Sweep removes what no longer has an owner, and nothing of live sandboxes.
type Sweeper interface {
	Sweep() error
}

// Kept is a sandbox that was kept after its tool failed.
type Kept struct {
	ID    string    `json:"id"`
	Since time.Time `json:"kept"`
}

// Terminal is the caller's terminal, for a shell.
type Terminal struct {
	Columns, Rows uint16
	// Resized receives new sizes: columns, rows.
	Resized <-chan [2]uint16
	// Gone is closed when the terminal is there no longer, which ends the shell; nil for a terminal that stays.
	Gone <-chan struct{}
	// Take is called when the shell has started. From then on all input is the shell's, including Ctrl-C.
	Take func()
}

// NotKeptError says that no sandbox of the run with this id is kept.
type NotKeptError struct{ ID string }

func (e *NotKeptError) Error() string {
	return fmt.Sprintf("run %q has no kept sandbox; mayfly run --keep-on-failure keeps one, and mayfly shell lists them", e.ID)
}

// FindKept returns the id of the kept sandbox whose id is given, or begins with given. It fails with a [*NotKeptError] if there
// is none, and if there are several that begin with given.
func FindKept(k Keeper, given string) (string, error) {
	kept, err := k.KeptRuns()
	if err != nil {
		return "", err
	}
	var found []string
	for _, k := range kept {
		if k.ID == given {
			return given, nil
		}
		if given != "" && strings.HasPrefix(k.ID, given) {
			found = append(found, k.ID)
		}
	}
	switch len(found) {
	case 0:
		return "", &NotKeptError{ID: given}
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("%q is the beginning of the ids of %d runs; write more of it: %s", given, len(found), strings.Join(found[:min(len(found), 3)], ", "))
}
