package sandbox

import (
	"errors"
	"fmt"
	"io"
)

// errStopped is the error of a save that was stopped.
var errStopped = errors.New("stopped")

// saveCaches saves the caches and artifacts of a successful run. A save has no
// deadline. It stops if mayfly asks for the end or is gone; then the former
// copies stay.
func (s *supervisor) saveCaches() error {
	stop, saved := make(chan struct{}), make(chan error, 1)
	go func() { saved <- saveAll(s.rootfs.caches, stop) }()
	for requests := s.requests; ; {
		select {
		case err := <-saved:
			if errors.Is(err, errStopped) {
				return nil
			}
			return err
		case req, ok := <-requests:
			if !ok || req.Signal != nil {
				close(stop)
				s.expectEnd() // in case a write hangs
				requests = nil
			}
		}
	}
}

func saveAll(caches []*cache, stop <-chan struct{}) error {
	for _, c := range caches {
		if !c.kept() {
			continue
		}
		if err := c.save(stop); err != nil {
			return fmt.Errorf("keep the %s %s: %w", c.kind, c.file, err)
		}
	}
	return nil
}

// stoppable is a writer that fails with errStopped once stop is closed.
type stoppable struct {
	io.Writer
	stop <-chan struct{}
}

func (w stoppable) Write(p []byte) (int, error) {
	if stopped(w.stop) {
		return 0, errStopped
	}
	return w.Writer.Write(p)
}

func stopped(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return false
	}
}
