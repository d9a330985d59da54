//go:build linux

package mocks

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// server is a test's mocks: the other side of the protocol of engine.Mocks.
type server struct {
	t           *testing.T
	connections string
	commands    string

	mu   sync.Mutex
	seen []engine.MockedConnection
	runs [][]string // the arguments of the commands that were called

	listeners []*net.UnixListener
}

// close closes the sockets.
func (s *server) close() {
	for _, l := range s.listeners {
		l.Close()
	}
}

// connection is one connection of the tool. Its handler must end it.
type connection struct {
	engine.MockedConnection
	*net.UnixConn
	from *bufio.Reader
}

// Read reads what the tool sends.
func (c *connection) Read(p []byte) (int, error) { return c.from.Read(p) }

// Write sends data to the tool.
func (c *connection) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := c.frame(uint32(len(p))); err != nil {
		return 0, err
	}
	return c.UnixConn.Write(p)
}

func (c *connection) frame(length uint32) error {
	_, err := c.UnixConn.Write(binary.BigEndian.AppendUint32(nil, length))
	return err
}

// end ends the data to the tool, and reset resets the connection.
func (c *connection) end()   { _ = c.frame(0) }
func (c *connection) reset() { _ = c.frame(0xffffffff) }

// command is one call of a mocked command.
type command struct {
	args []string
	*net.UnixConn
	stdin io.Reader
}

func (c *command) frame(kind byte, data string) error {
	head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(data)))
	_, err := c.UnixConn.Write(append(head, data...))
	return err
}

func (c *command) stdout(data string) { _ = c.frame(1, data) }
func (c *command) stderr(data string) { _ = c.frame(2, data) }
func (c *command) exit(code byte)     { _ = c.frame(3, string([]byte{code})) }

// input reads the data of frames until a frame of length 0.
type input struct {
	from *bufio.Reader
	left uint32
	end  bool
}

func (i *input) Read(p []byte) (int, error) {
	if i.end {
		return 0, io.EOF
	}
	if i.left == 0 {
		if err := binary.Read(i.from, binary.BigEndian, &i.left); err != nil {
			return 0, err
		}
		if i.left == 0 {
			i.end = true
			return 0, io.EOF
		}
	}
	n, err := i.from.Read(p[:min(len(p), int(i.left))])
	i.left -= uint32(n)
	return n, err
}

// newServer serves connections and commands, each in its own goroutine. If a handler is nil, a connection or call of its kind
// fails the test.
func newServer(t *testing.T, connect func(*connection), run func(*command)) *server {
	t.Helper()
	dir, err := os.MkdirTemp("", "mocks") // t.TempDir's names are too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &server{t: t, connections: filepath.Join(dir, "connections"), commands: filepath.Join(dir, "commands")}
	s.listen(s.connections, func(conn *net.UnixConn) {
		c := &connection{UnixConn: conn, from: bufio.NewReader(conn)}
		line, err := c.from.ReadBytes('\n')
		if err != nil {
			t.Errorf("the first line: %v", err)
			return
		}
		if err := json.Unmarshal(line, &c.MockedConnection); err != nil {
			t.Errorf("the first line %q: %v", line, err)
			return
		}
		s.mu.Lock()
		s.seen = append(s.seen, c.MockedConnection)
		s.mu.Unlock()
		if connect == nil {
			t.Errorf("the mocks were asked for %+v", c.MockedConnection)
			return
		}
		connect(c)
	})
	s.listen(s.commands, func(conn *net.UnixConn) {
		r := bufio.NewReader(conn)
		c := &command{UnixConn: conn, stdin: &input{from: r}}
		for {
			var length uint32
			if err := binary.Read(r, binary.BigEndian, &length); err != nil {
				t.Errorf("an argument's length: %v", err)
				return
			}
			if length == 0xffffffff {
				break
			}
			arg := make([]byte, length)
			if _, err := io.ReadFull(r, arg); err != nil {
				t.Errorf("an argument: %v", err)
				return
			}
			c.args = append(c.args, string(arg))
		}
		s.mu.Lock()
		s.runs = append(s.runs, c.args)
		s.mu.Unlock()
		if run == nil {
			t.Errorf("the mocks were asked for %q", c.args)
			return
		}
		run(c)
	})
	if err := os.Chmod(s.commands, 0o666); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *server) listen(at string, f func(*net.UnixConn)) {
	s.t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: at, Net: "unix"})
	if err != nil {
		s.t.Fatal(err)
	}
	s.listeners = append(s.listeners, l)
	var open sync.WaitGroup
	open.Go(func() {
		for {
			conn, err := l.AcceptUnix()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				s.t.Error(err)
				return
			}
			open.Go(func() {
				defer conn.Close()
				f(conn)
			})
		}
	})
	s.t.Cleanup(func() {
		l.Close()
		open.Wait() // the sockets end with the run, so every handler returns
	})
}

// connected returns the connections so far.
func (s *server) connected() []engine.MockedConnection {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]engine.MockedConnection(nil), s.seen...)
}

// greet answers with what the tool dialled, and ends.
func greet(c *connection) {
	text, _ := json.Marshal(c.MockedConnection)
	_, _ = c.Write(append([]byte("mocked "), text...))
	c.end()
	_, _ = io.Copy(io.Discard, c)
}
