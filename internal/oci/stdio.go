//go:build linux

package oci

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// stdio has the tool's standard streams. They are pipes whose other ends the tool
// itself has, so that its output passes through no other process than mayfly; or
// the controlling side of its terminal, which arrives over a socket when the
// container has made it.
type stdio struct {
	theirs   [3]*os.File // what the shim inherits: the tool's stdin, stdout, stderr
	stdin    *os.File    // mayfly's end, or the terminal when it has arrived
	outputs  [2]*os.File // mayfly's ends of stdout and stderr
	console  *os.File    // the socket for the terminal, or nil
	terminal *os.File
	stream   engine.Streams
	copies   sync.WaitGroup
	errs     [2]error
}

// logBuffer is the size of the buffers for the tool's output in bytes, the
// kernel's default capacity of a pipe.
const logBuffer = 64 << 10

func newStdio(terminal bool, streams engine.Streams) (_ *stdio, err error) {
	s := &stdio{stream: streams}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if terminal {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		s.console, s.theirs[0] = os.NewFile(uintptr(pair[0]), "console"), os.NewFile(uintptr(pair[1]), "console")
		for i := 1; i < 3; i++ {
			if s.theirs[i], err = os.OpenFile(os.DevNull, os.O_RDWR, 0); err != nil {
				return nil, err
			}
		}
		return s, nil
	}
	// A tool without input gets a pipe that ends immediately instead of the host's
	// /dev/null, because runtimes make the tool's user the owner of its streams.
	if s.theirs[0], s.stdin, err = os.Pipe(); err != nil {
		return nil, err
	}
	for i := range s.outputs {
		if s.outputs[i], s.theirs[i+1], err = os.Pipe(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *stdio) closeTheirs() {
	for i, f := range s.theirs {
		if f != nil {
			_ = f.Close()
			s.theirs[i] = nil
		}
	}
}

// start starts the copies, once the tool runs. wait doesn't wait for the copy to
// the tool's input: it may block in a read of an idle terminal, and ends with the
// terminal's next byte.
func (s *stdio) start() error {
	if s.console != nil {
		if err := s.receiveTerminal(); err != nil {
			return fmt.Errorf("get the tool's terminal: %w", err)
		}
	}
	switch {
	case s.stream.Stdin != nil:
		go func() {
			// A tool that doesn't read its input is not an error.
			_, _ = io.Copy(s.stdin, s.stream.Stdin)
			if s.terminal == nil { // closing it would hang up the terminal
				_ = s.stdin.Close()
			}
		}()
	case s.terminal == nil:
		_ = s.stdin.Close()
	}
	for i, w := range []io.Writer{s.stream.Stdout, s.stream.Stderr} {
		if s.outputs[i] == nil {
			continue
		}
		if w == nil {
			w = io.Discard
		}
		s.copies.Go(func() { s.errs[i] = s.copy(w, s.outputs[i]) })
	}
	return nil
}

// copy copies one stream to its writer. If the writer fails, copy reads and drops
// the rest, so that the tool neither blocks nor ends because of that failure.
func (s *stdio) copy(w io.Writer, from *os.File) error {
	buf := make([]byte, logBuffer)
	var failed error
	for {
		n, err := from.Read(buf)
		if n > 0 && failed == nil {
			_, failed = w.Write(buf[:n])
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF), errors.Is(err, fs.ErrClosed):
			return failed
		case s.terminal != nil && errors.Is(err, unix.EIO):
			return failed // the last process has closed the terminal
		default:
			return errors.Join(failed, err)
		}
	}
}

// receiveTerminal receives the terminal's controlling side from the socket
// (unix(7), SCM_RIGHTS), as OCI runtimes send it.
func (s *stdio) receiveTerminal() error {
	control := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(int(s.console.Fd()), make([]byte, 4096), control, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return err
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil {
		return err
	}
	if len(messages) != 1 {
		return fmt.Errorf("%d control messages instead of one", len(messages))
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return err
	}
	if len(fds) != 1 {
		return fmt.Errorf("%d descriptors instead of one", len(fds))
	}
	if err := unix.SetNonblock(fds[0], true); err != nil { // otherwise Close wouldn't end a Read
		return err
	}
	s.terminal = os.NewFile(uintptr(fds[0]), "terminal")
	s.stdin, s.outputs[0] = s.terminal, s.terminal
	return nil
}

// resize sets the terminal's size (TIOCSWINSZ, ioctl_tty(2)).
func (s *stdio) resize(columns, rows uint16) error {
	if s.terminal == nil {
		return nil
	}
	err := unix.IoctlSetWinsize(int(s.terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: rows})
	if errors.Is(err, unix.EBADF) {
		return nil // the terminal is closed
	}
	return err
}

// wait returns when the tool's last byte has been written.
func (s *stdio) wait() error {
	s.copies.Wait()
	return errors.Join(s.errs[:]...)
}

func (s *stdio) close() {
	s.closeTheirs()
	for _, f := range []*os.File{s.stdin, s.outputs[0], s.outputs[1], s.console} {
		if f != nil {
			_ = f.Close() // fails the second time for a terminal, which is in the list twice
		}
	}
}
