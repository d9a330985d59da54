package run

import (
	"sync"
	"time"
)

// Sequence numbers the events of one run, and passes them on one at a time. It may be used from several goroutines.
type Sequence struct {
	id   string
	next func(Event)

	mu   sync.Mutex
	last int64
}

// NewSequence returns the sequence of a run. next gets each event; nil drops them.
func NewSequence(id string, next func(Event)) *Sequence { return &Sequence{id: id, next: next} }

// Emit sets the number, time and run of an event, and passes it on.
func (s *Sequence) Emit(e Event) {
	if s.next == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	e.Seq, e.Time, e.Run = s.last, time.Now().UTC(), s.id
	s.next(e)
}
