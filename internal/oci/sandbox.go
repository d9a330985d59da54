//go:build linux

package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/oci/wire"
	"github.com/mayfly-run/mayfly/internal/process"
)

// sandbox is one run's shim, seen from mayfly.
type sandbox struct {
	engine  *Engine
	id      string
	runDir  *runDir
	cgroup  string
	cmd     *exec.Cmd
	shimLog boundedLog
	group   *shimGroup
	control *os.File
	stdio   *stdio

	moved   chan struct{} // closed when the shim is in its cgroup, or moveErr is set
	moveErr error

	sendMu  sync.Mutex
	ending  *process.Deadline     // from SIGKILL until the shim's last report
	over    bool                  // the shim's last report has arrived
	passing atomic.Bool           // an event waits for its receiver
	late    atomic.Pointer[error] // the error of a shim that was killed because it didn't end in time
	enc     *json.Encoder
	dec     *json.Decoder

	early  []engine.Event // events that arrived before the report of the start
	events chan engine.Event
	done   chan struct{} // closed when exit and err are set
	exit   engine.Exit
	err    error

	closeOnce sync.Once
	closeErr  error
	reapOnce  sync.Once
	reapErr   error
	stuck     error         // set by reap if the shim can't be killed
	patience  time.Duration // for the shim to end
}

func (s *sandbox) Events() <-chan engine.Event { return s.events }

func (s *sandbox) send(r wire.Request) error {
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	return s.enc.Encode(r)
}

// Signal implements [engine.Sandbox]. If the socket is broken the shim has ended,
// and the tool with it, which is not an error.
func (s *sandbox) Signal(sig engine.Signal) error {
	if sig == engine.SIGKILL {
		s.expectEnd()
	}
	err := s.send(wire.Request{Signal: &sig})
	if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

// expectEnd starts a deadline at which a shim that hasn't reported the end is
// killed. The shim's own deadline is shorter, and its error says more.
func (s *sandbox) expectEnd() {
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	if s.ending == nil && !s.over {
		s.startEnding(time.Now())
	}
}

func (s *sandbox) startEnding(since time.Time) {
	s.ending = process.NewDeadline(s.patience*3/2, func() {
		if s.passing.Load() { // the receiver of the events is slow, and the shim waits for it
			s.sendMu.Lock()
			defer s.sendMu.Unlock()
			if !s.over {
				s.startEnding(since)
			}
			return
		}
		err := s.engine.overdue("end", s.id, since)
		s.late.Store(&err)
		_ = s.cmd.Process.Kill()
		s.hangUp() // ends the goroutine that reads the reports
	})
}

// hangUp ends the connection to the shim. It may be called at any time, and more
// than once.
func (s *sandbox) hangUp() {
	if c, err := s.control.SyscallConn(); err == nil { // otherwise it is closed
		_ = c.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
	}
}

// pass sends an event to the receiver of events.
func (s *sandbox) pass(e engine.Event) {
	s.passing.Store(true)
	defer s.passing.Store(false)
	s.events <- e
}

// Resize implements [engine.Sandbox].
func (s *sandbox) Resize(columns, rows uint16) error { return s.stdio.resize(columns, rows) }

// follow passes on the shim's reports until the last one.
func (s *sandbox) follow() {
	defer close(s.done)
	defer close(s.events)
	for _, e := range s.early {
		s.pass(e)
	}
	for {
		var r wire.Report
		if err := s.dec.Decode(&r); err != nil {
			s.err = s.lost(context.Background(), err)
			break
		}
		if r.Event != nil {
			s.pass(*r.Event)
			continue
		}
		if r.Exit != nil {
			s.exit = *r.Exit
			break
		}
		if r.Failure != nil {
			s.err = r.Failure.Err()
			break
		}
	}
	s.sendMu.Lock()
	s.over = true
	s.ending.Stop()
	s.sendMu.Unlock()
	if s.err != nil {
		// Processes that the shim could not end still have the pipes open.
		if err := s.killCgroup(); err != nil {
			s.err = errors.Join(s.err, err)
			s.stdio.close() // processes that can't be killed have them open too
		}
	}
	if err := s.stdio.wait(); err != nil {
		s.err = errors.Join(s.err, fmt.Errorf("pass on the tool's output: %w", err))
	}
}

// Wait implements [engine.Sandbox].
func (s *sandbox) Wait() (engine.Exit, error) {
	<-s.done
	return s.exit, s.err
}

// Close implements [engine.Sandbox].
func (s *sandbox) Close() error {
	s.closeOnce.Do(func() { s.closeErr = s.close() })
	return s.closeErr
}

func (s *sandbox) close() error {
	var errs []error
	if s.control != nil {
		if s.enc != nil {
			_ = s.send(wire.Request{Done: true}) // the shim may have ended
		}
		s.hangUp()            // the shim ends the sandbox and exits
		_ = s.control.Close() // after hangUp, because Close waits for a Read in progress
	}
	var stuck error
	if s.cmd != nil && !s.kept() {
		_ = s.reap() // Wait reports the error; it is not a failure to clean up
		stuck = errors.Join(s.stuck, killAll(s.cgroup, s.engine.patience.kill, nil))
	}
	if s.done != nil {
		go func() { // the caller may have stopped receiving
			for range s.events {
			}
		}()
		<-s.done
	}
	if s.stdio != nil {
		s.stdio.close()
	}
	switch {
	case s.runDir == nil:
	case stuck != nil:
		// A sweep removes the directory when the processes have ended; until then doctor names them.
		errs = append(errs, stuck, s.runDir.giveUp(stuck), s.runDir.lock.Close())
	case s.kept():
		// The shim continues, and removes the directory when it ends.
		errs = append(errs, s.runDir.lock.Close())
	default:
		errs = append(errs, s.runDir.removeAfter(removeCgroup(s.cgroup)))
	}
	return errors.Join(errs...)
}

// Remove implements [engine.Sandbox].
func (s *sandbox) Remove() error {
	err := s.Close()
	if s.kept() {
		err = errors.Join(err, s.engine.RemoveKept(s.id), s.reap())
	}
	return err
}

// kept reports whether the sandbox outlives this process, which is known after
// the exit.
func (s *sandbox) kept() bool {
	if s.done == nil {
		return false
	}
	select {
	case <-s.done:
		return s.err == nil && s.exit.Kept
	default:
		return false
	}
}

// reap waits until the shim has ended, and kills it if it doesn't end in time; its
// sandbox and its mounts end with it. If it can't be killed, reap sets s.stuck.
func (s *sandbox) reap() error {
	s.reapOnce.Do(func() {
		ended := make(chan error, 1)
		go func() {
			<-s.moved // until then the shim's id must not be reused
			ended <- s.cmd.Wait()
		}()
		for _, patience := range []time.Duration{s.patience, s.engine.patience.kill} {
			late, stop := process.Late(patience)
			select {
			case s.reapErr = <-ended:
				stop()
				return
			case <-late:
				_ = s.cmd.Process.Kill()
			}
		}
		s.stuck = newStuckError(wire.ShimCgroup(s.cgroup), []int{s.cmd.Process.Pid})
		s.reapErr = s.stuck
	})
	return s.reapErr
}

// lost returns the error for reports that ended without an exit.
func (s *sandbox) lost(ctx context.Context, cause error) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	s.hangUp()
	err := s.reap()
	if late := s.late.Load(); late != nil {
		return *late
	}
	if s.group.outOfMemory() {
		return fmt.Errorf("%w: mayfly-shim needed more memory than its limit of %d MiB; have the tool open fewer connections or move less at once, or raise its disk limit",
			engine.ErrLost, s.group.limit>>20)
	}
	detail := strings.TrimSpace(s.shimLog.String())
	if err == nil {
		err = cause
	}
	if detail != "" {
		return fmt.Errorf("%w: %w: %s", engine.ErrLost, err, detail)
	}
	return fmt.Errorf("%w: %w", engine.ErrLost, err)
}

// boundedLog keeps the first maxShimLog bytes of a shim's standard error. A shim
// writes to it only if it fails.
type boundedLog struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

const maxShimLog = 16 << 10

func (l *boundedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if room := maxShimLog - l.buf.Len(); room > 0 {
		l.buf.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func (l *boundedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
