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
	"time"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/oci/wire"
)

// sandbox is one run's shim, seen from mayfly.
type sandbox struct {
	engine  *Engine
	id      string
	runDir  *runDir
	cgroup  string
	cmd     *exec.Cmd
	shimLog boundedLog
	control *os.File
	stdio   *stdio

	sendMu sync.Mutex
	enc    *json.Encoder
	dec    *json.Decoder

	early  []engine.Event // what came before the report of the start
	events chan engine.Event
	done   chan struct{} // closed when exit and err are set
	exit   engine.Exit
	err    error

	closeOnce sync.Once
	closeErr  error
	reapOnce  sync.Once
	reapErr   error
	patience  time.Duration // shimPatience, but for tests
}

func (s *sandbox) Events() <-chan engine.Event { return s.events }

func (s *sandbox) send(r wire.Request) error {
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	return s.enc.Encode(r)
}

// Signal implements [engine.Sandbox]. A socket that breaks has no shim at its
// other end any more, and so no tool.
func (s *sandbox) Signal(sig engine.Signal) error {
	err := s.send(wire.Request{Signal: &sig})
	if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

// Resize implements [engine.Sandbox].
func (s *sandbox) Resize(columns, rows uint16) error { return s.stdio.resize(columns, rows) }

// follow passes on the shim's reports until the last one.
func (s *sandbox) follow() {
	defer close(s.done)
	defer close(s.events)
	for _, e := range s.early {
		s.events <- e
	}
	for {
		var r wire.Report
		if err := s.dec.Decode(&r); err != nil {
			s.err = s.lost(context.Background(), err)
			break
		}
		if r.Event != nil {
			s.events <- *r.Event
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
	if s.err != nil {
		// Whatever the shim could not end has the pipes still open.
		s.err = errors.Join(s.err, s.killCgroup())
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
			_ = s.send(wire.Request{Done: true}) // it may have ended
		}
		_ = s.control.Close() // the leash: the shim ends the sandbox and exits
	}
	if s.cmd != nil && !s.kept() {
		_ = s.reap() // that it died is for Wait to say, and no failure to clean up
		errs = append(errs, s.killCgroup(), s.removeCgroup())
	}
	if s.done != nil {
		go func() { // nobody may be receiving any more
			for range s.events {
			}
		}()
		<-s.done
	}
	if s.stdio != nil {
		s.stdio.close()
	}
	if s.runDir != nil && s.kept() {
		// The shim lives on, and removes the directory when it ends.
		return errors.Join(append(errs, s.runDir.lock.Close())...)
	}
	if s.runDir != nil {
		errs = append(errs, s.runDir.remove())
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

// kept says whether the sandbox outlives this process. It is known once the
// exit is.
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

// shimPatience is how long a shim may take to end after its socket was closed.
// One that takes longer is stuck, in a system call on a broken file system say.
const shimPatience = 30 * time.Second

// reap waits for the shim to end, and kills one that doesn't: its sandbox and
// its mounts end with it.
func (s *sandbox) reap() error {
	s.reapOnce.Do(func() {
		kill := time.AfterFunc(s.patience, func() { _ = s.cmd.Process.Kill() })
		defer kill.Stop()
		s.reapErr = s.cmd.Wait()
	})
	return s.reapErr
}

// lost explains the end of the shim's reports.
func (s *sandbox) lost(ctx context.Context, cause error) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	_ = s.control.Close()
	err := s.reap()
	detail := strings.TrimSpace(s.shimLog.String())
	if err == nil {
		err = cause
	}
	if detail != "" {
		return fmt.Errorf("%w: %w: %s", engine.ErrLost, err, detail)
	}
	return fmt.Errorf("%w: %w", engine.ErrLost, err)
}

// boundedLog keeps the first of what a shim writes to its standard error,
// which is nothing unless it fails. It is read when the shim has been reaped.
type boundedLog struct{ buf bytes.Buffer }

const maxShimLog = 16 << 10

func (l *boundedLog) Write(p []byte) (int, error) {
	if room := maxShimLog - l.buf.Len(); room > 0 {
		l.buf.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func (l *boundedLog) String() string { return l.buf.String() }
