package commandmock

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Special lengths: frameEnd ends the standard input, and argsEnd the arguments (see engine.Mocks).
const (
	frameEnd = 0
	argsEnd  = 0xffffffff
)

// The kinds of frames that are sent to a command.
const (
	kindStdout = 1
	kindStderr = 2
	kindExit   = 3
)

var errProtocol = errors.New("what connects isn't a mocked command")

// readArgs reads the arguments of a call, the command's name first.
func readArgs(r io.Reader) ([]string, error) {
	var args []string
	total := 0
	for {
		n, err := readLength(r)
		if err != nil {
			return nil, err
		}
		if n == argsEnd {
			break
		}
		if total += int(n); n > maxArgBytes || total > maxArgBytes || len(args) >= maxArgs {
			return nil, fmt.Errorf("%w: it sends more arguments than Linux takes", errProtocol)
		}
		// The buffer grows with the data that arrives, so that a length alone reserves no memory.
		arg, err := io.ReadAll(io.LimitReader(r, int64(n)))
		if err == nil && len(arg) < int(n) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		args = append(args, string(arg))
	}
	if len(args) == 0 {
		return nil, fmt.Errorf("%w: it sends no name", errProtocol)
	}
	return args, nil
}

func readLength(r io.Reader) (uint32, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint32(head[:]), nil
}

// stdin is the standard input of a call while it is read. kept has the first maxStdinKept bytes.
type stdin struct {
	kept []byte
	size int64
	left uint32 // bytes of the current frame that haven't been read
	done bool
}

// read waits for input and reads some of a frame, or the end of the input.
func (s *stdin) read(r io.Reader, buf []byte) error {
	if s.left == 0 {
		n, err := readLength(r)
		if err != nil {
			return err
		}
		if n == frameEnd {
			s.done = true
			return nil
		}
		s.left = n
	}
	n, err := r.Read(buf[:min(len(buf), int(s.left))])
	s.left -= uint32(n)
	s.size += int64(n)
	s.kept = append(s.kept, buf[:min(n, maxStdinKept-len(s.kept))]...)
	return err
}

// writeFrames sends data to a command, in several frames if it is longer than maxFrame.
func writeFrames(w io.Writer, kind byte, data []byte) error {
	for len(data) > 0 {
		n := min(len(data), maxFrame)
		frame := make([]byte, 5, 5+n)
		frame[0] = kind
		binary.BigEndian.PutUint32(frame[1:], uint32(n))
		if _, err := w.Write(append(frame, data[:n]...)); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}
