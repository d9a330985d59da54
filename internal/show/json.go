package show

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"github.com/mayfly-run/mayfly/internal/run"
)

// JSON prints each event as one line of JSON. It is a [View].
type JSON struct {
	mu     sync.Mutex
	w      io.Writer
	failed error // the first failure to print; nothing is printed after it, since a stream with a gap is worth nothing
}

// NewJSON returns a view that prints JSON.
func NewJSON(w io.Writer) *JSON { return &JSON{w: w} }

// Event implements [View].
func (v *JSON) Event(e run.Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.failed == nil {
		v.failed = JSONLine(v.w, e)
	}
}

// Interrupted implements [View]. It says nothing: events tell how the run ends.
func (v *JSON) Interrupted() {}

// Finish implements [View]. It says nothing: the last event is the result.
func (v *JSON) Finish(*run.Result, error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return unprinted("run", v.failed)
}

// JSONLine prints a value as one line of JSON.
func JSONLine(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// unprinted is the error of a view that couldn't print everything that was asked for, or nil.
func unprinted(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("print the %s: %w", what, err)
}
