package runner

import (
	"sync"

	"github.com/mayfly-run/mayfly/internal/run"
)

// ending holds back the events that say how an attempt has ended, until its artifacts are sent: without them it has not succeeded.
type ending struct {
	emit func(run.Event)

	mu   sync.Mutex
	held []run.Event
}

func (e *ending) add(one run.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if one.Result != nil || one.State != nil && one.State.State == run.Succeeded {
		e.held = append(e.held, one)
		return
	}
	e.emitHeld() // it was not the end
	e.emit(one)
}

// fail has the result, and what is held back, say that the attempt has ended otherwise.
func (e *ending) fail(result *run.Result, state run.State, failing func(*run.Result)) {
	failing(result)
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.held {
		if s := e.held[i].State; s != nil {
			other := *s
			other.State = state
			e.held[i].State = &other
		}
		if r := e.held[i].Result; r != nil {
			other := *r
			failing(&other)
			e.held[i].Result = &other
		}
	}
}

func (e *ending) release() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.emitHeld()
}

func (e *ending) emitHeld() {
	for _, one := range e.held {
		e.emit(one)
	}
	e.held = nil
}
