package fake

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// signalled is the cause of the end of a process that a signal ended.
type signalled engine.Signal

func (s signalled) Error() string { return fmt.Sprintf("signal %d", int(s)) }

// sandbox is one process and its exit.
type sandbox struct {
	events  chan engine.Event
	done    chan struct{}
	kill    context.CancelCauseFunc
	free    func()
	keep    func()
	remove  func()
	process *Process

	mu          sync.Mutex
	ignoresTERM bool
	closing     sync.Once

	// Valid when done is closed.
	exit engine.Exit
	err  error
}

func (s *sandbox) run(program Program) {
	p := s.process
	begin := time.Now()
	s.exit.Started = begin.UTC()
	code := program(p)
	s.exit.Code = code
	var sig signalled
	if errors.As(context.Cause(p.Context), &sig) {
		s.exit.Code, s.exit.Signal = engine.ExitSignal(engine.Signal(sig)), engine.Signal(sig)
	}
	s.exit.Finished = time.Now().UTC()
	cpu := p.cpu
	if cpu == 0 {
		cpu = max(time.Since(begin), 1)
	}
	s.exit.Usage = engine.Usage{CPUSeconds: cpu.Seconds(), MemoryPeakBytes: 1<<20 + p.memory}
	s.exit.Output = p.Output
	if limit := p.Spec.MaxOutputBytes; int64(len(p.Output)) > limit {
		s.exit.Output, s.exit.OutputTruncated = p.Output[:limit], true
	}
	if s.exit.Code == 0 {
		s.err = p.save()
	}
	if p.Spec.KeepFor > 0 && s.exit.Code != 0 {
		s.exit.Kept = true
		s.keep()
	}
	s.kill(nil)
	s.free()
	close(s.events)
	close(s.done)
}

func (s *sandbox) Events() <-chan engine.Event { return s.events }

func (s *sandbox) Signal(sig engine.Signal) error {
	s.mu.Lock()
	ignored := s.ignoresTERM && sig == engine.SIGTERM
	s.mu.Unlock()
	if !ignored {
		s.kill(signalled(sig))
	}
	return nil
}

func (s *sandbox) Resize(columns, rows uint16) error {
	s.process.resize(columns, rows)
	return nil
}

func (s *sandbox) Wait() (engine.Exit, error) {
	<-s.done
	return s.exit, s.err
}

func (s *sandbox) Close() error {
	s.kill(signalled(engine.SIGKILL))
	s.closing.Do(func() {
		go func() { // the caller may have stopped receiving
			for range s.events {
			}
		}()
	})
	<-s.done
	return nil
}

func (s *sandbox) Remove() error {
	err := s.Close()
	s.remove()
	return err
}
