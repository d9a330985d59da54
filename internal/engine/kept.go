package engine

import (
	"fmt"
	"strings"
	"time"
)

// Keeper is an engine that keeps sandboxes whose tool failed (Spec.KeepFor), so
// that somebody can look inside. A caller finds out whether an engine is one by
// a type assertion.
type Keeper interface {
	// KeptRuns lists the sandboxes that are kept.
	KeptRuns() ([]Kept, error)
	// Shell runs a process in a kept sandbox and returns its exit status.
	// Without a terminal it has the streams alone. The error of an id that
	// isn't kept is a [*NotKeptError].
	Shell(id string, args []string, terminal *Terminal, streams Streams) (int, error)
	// RemoveKept ends a kept sandbox, with a shell that is open in it, and waits
	// until it is gone.
	RemoveKept(id string) error
}

// Prober is an engine that says what it needs of its host, and what of that is
// there. store is the folder of the images.
type Prober interface {
	Probe(store string) []Check
}

// Sweeper is an engine that leaves something on its host when it is killed.
// Sweep removes what nothing owns any more, and nothing of live sandboxes.
type Sweeper interface {
	Sweep() error
}

// Kept is a sandbox that was kept after its tool failed.
type Kept struct {
	ID    string    `json:"id"`
	Since time.Time `json:"kept"`
}

// Terminal is the caller's terminal, which a shell gets.
type Terminal struct {
	Columns, Rows uint16
	// Resized are its new sizes.
	Resized <-chan [2]uint16
	// Take is called when the shell has started: from then on what is typed is the shell's, Ctrl-C too.
	Take func()
}

// NotKeptError says that a run's sandbox can't be looked into.
type NotKeptError struct{ ID string }

func (e *NotKeptError) Error() string {
	return fmt.Sprintf("run %q has no kept sandbox; mayfly run --keep-on-failure keeps one, and mayfly shell lists them", e.ID)
}

// FindKept is the id of the kept sandbox that is meant by an id or by the beginning of one.
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
