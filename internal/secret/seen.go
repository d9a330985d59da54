package secret

import (
	"bytes"
	"context"
	"slices"
	"sync"
)

// Seen is a [Source] that remembers what it gave, so that a value can be masked wherever it goes from there.
type Seen struct {
	source Source

	mu     sync.Mutex
	values [][]byte
}

// NewSeen returns a source that gives what another one does.
func NewSeen(source Source) *Seen { return &Seen{source: source} }

// Get is Source's.
func (s *Seen) Get(ctx context.Context, name string) ([]byte, error) {
	value, err := s.source.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	s.Add(value)
	return value, nil
}

// Add has a value remembered as if it had been given.
func (s *Seen) Add(value []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.ContainsFunc(s.values, func(v []byte) bool { return bytes.Equal(v, value) }) {
		s.values = append(s.values, bytes.Clone(value))
	}
}

// Values are the different values given so far. They are not to be changed.
func (s *Seen) Values() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.values)
}
