//go:build !linux

package image

import "time"

// holdWithin is for Linux, where runs are.
const holdWithin = 0 * time.Second

func (s *Store) late(string) (late <-chan struct{}, stop func(), err func() error) {
	return nil, func() {}, nil
}
